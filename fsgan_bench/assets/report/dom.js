// Elements. Every text goes in as text: nothing that comes from a file is ever read as HTML.

// make("td", {class: "best", on: {click: act}}, "0.91", other) is <td class="best">0.91...</td>.
// An attribute that is false or null is left out, and so is a child that is null.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    } else if (value !== false && value !== null) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

// Put children in the place of those that an element has.
function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
}

function options(select, entries, chosen) {
  fill(select, entries.map(([value, text]) => make("option", { value }, text)));
  select.value = chosen;
}

// A score: three decimals, fewer for large numbers.
function show(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toLocaleString("en", {
    minimumFractionDigits: size >= 100 ? 0 : size >= 10 ? 2 : 3,
    maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 2 : 3,
  });
}

function whole(value) {
  return value.toLocaleString("en");
}

// The value of a CSS variable such as --ink, as it is now.
function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The box beside the pointer; without children it goes away.
function tip(x, y, ...children) {
  const box = byId("tip");
  box.hidden = children.length === 0;
  if (box.hidden) return;
  fill(box, children);
  const { width, height } = box.getBoundingClientRect();
  const left = x + 16 + width > window.innerWidth ? x - 16 - width : x + 16;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.min(Math.max(4, y - height / 2), window.innerHeight - height - 4)}px`;
}
