// The looks of methods: the figures' own colours, dashes and markers.

const SHAPES = { // matplotlib's markers, in a square from -1 to 1
  o: "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  s: "M-.88-.88H.88V.88H-.88Z",
  "^": "M0-1.1L1 .85H-1Z",
  v: "M0 1.1L1-.85H-1Z",
  "<": "M-1.1 0L.85-1V1Z",
  ">": "M1.1 0L-.85-1V1Z",
  D: "M0-1.15L1.15 0L0 1.15L-1.15 0Z",
  d: "M0-1.2L.75 0L0 1.2L-.75 0Z",
  P: "M-.38-1.1H.38V-.38H1.1V.38H.38V1.1H-.38V.38H-1.1V-.38H-.38Z",
  X: "M-1.1-.6L-.6-1.1L0-.5L.6-1.1L1.1-.6L.5 0L1.1 .6L.6 1.1L0 .5L-.6 1.1L-1.1 .6L-.5 0Z",
  p: "M0-1.1L1.05-.34L.65 .89H-.65L-1.05-.34Z",
  h: "M0-1.1L.95-.55V.55L0 1.1L-.95 .55V-.55Z",
  "*": "M0-1.3L.33-.42L1.24-.4L.53 .16L.76 1.05L0 .55L-.76 1.05L-.53 .16L-1.24-.4L-.33-.42Z",
};

const LINE = 1.7; // pixels; dashes are in widths of the line

const darkPage = matchMedia("(prefers-color-scheme: dark)");
const onPaper = matchMedia("print");

function colour(look) {
  return darkPage.matches && !onPaper.matches ? look.dark : look.light;
}

function dashes(look, width = LINE) {
  return look.dashes.map((length) => length * width);
}

// Draw a marker on a canvas whose pixels are `ratio` to a pixel of the page.
function drawMarker(context, look, x, y, radius, ratio, hollow = false) {
  context.save();
  context.translate(x, y);
  context.scale(radius * ratio, radius * ratio);
  const path = new Path2D(SHAPES[look.marker] ?? SHAPES.o);
  context.lineWidth = (hollow ? 1.4 : 0.8) / radius;
  context.lineJoin = "round";
  context.setLineDash([]);
  context.fillStyle = hollow ? css("--card") : colour(look);
  context.strokeStyle = hollow ? colour(look) : css("--card");
  context.fill(path);
  context.stroke(path);
  context.restore();
}

// A piece of a method's line with its marker, for legends.
function swatch(look, line = true) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", line ? "0 0 34 12" : "11 0 12 12");
  svg.setAttribute("class", line ? "swatch" : "swatch small");
  svg.setAttribute("aria-hidden", "true");
  const add = (name, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    svg.append(part);
  };
  if (line) {
    const pattern = dashes(look, 2).join(" ");
    add("path", { d: "M0 6H34", fill: "none", stroke: colour(look), "stroke-width": 2, "stroke-dasharray": pattern || "none" });
  }
  add("path", { d: SHAPES[look.marker] ?? SHAPES.o, fill: colour(look), transform: "translate(17 6) scale(4.4)" });
  return svg;
}

// Reference lines are drawn without markers in curves.
function lineSwatch(look) {
  const svg = swatch({ ...look, marker: "o" });
  svg.lastChild.remove();
  return svg;
}
