// Puts the page together: choices, slider, keys, play.

const STEP_MILLISECONDS = 700; // a snapshot while playing
const RELOAD_MILLISECONDS = 60000;

const charts = [
  new CurveChart(byId("quality-plot"), "quality"),
  new CurveChart(byId("diversity-plot"), "diversity"),
  new PathChart(byId("path-plot")),
];
const latent = new Latent(byId("latent"));
const grid = new Grid(byId("rows"), (number) => latent.open(number));
let playing = null;

// Move the cursor of everything to a snapshot.
function goTo(place) {
  const at = Math.min(Math.max(place, 0), iterations().length - 1);
  if (at === state.at) return;
  state.at = at;
  move();
}

function move() {
  const slider = byId("slider");
  const all = iterations();
  slider.max = all.length - 1;
  slider.value = state.at;
  slider.style.setProperty("--part", `${all.length > 1 ? (100 * state.at) / (all.length - 1) : 0}%`);
  slider.setAttribute("aria-valuetext", `iteration ${iteration()} of ${all[all.length - 1]}`);
  fill(byId("iteration"), make("b", {}, whole(iteration())), make("small", {}, ` of ${whole(all[all.length - 1])}`));
  [...byId("ticks").children].forEach((tick, i) => tick.classList.toggle("now", i === state.at));
  charts.forEach((chart) => chart.move());
  grid.move();
  if (latent.dialog.open) latent.draw();
  toAddress();
}

// What is shown has changed: another target, other methods, another scale.
function draw() {
  drawLegend();
  charts.forEach((chart) => chart.draw());
  grid.draw();
  const notes = [grid.missing(), ...page.imageNotes, task().attribution];
  fill(byId("grid-notes"), notes.filter((note) => note).map((note) => make("li", {}, note)));
  drawTables();
  drawTicks();
  move();
}

// Another target: its choices and its words too.
function drawTask() {
  settle();
  const { scales, variants } = task();
  const entries = scales.map((each) => [each.key, each.name]);
  options(byId("quality"), entries, state.quality);
  options(byId("diversity"), entries, state.diversity);
  const seeds = [...new Set(variants.flatMap((variant) => variant.seeds))].sort((a, b) => a - b);
  const counts = new Set(variants.map((variant) => variant.averaged));
  const mean = seeds.length === 1 ? "all" : counts.size === 1 ? `mean of ${[...counts][0]}` : "mean";
  options(byId("seed"), [["mean", mean], ...seeds.map((seed) => [String(seed), String(seed)])], state.seed);
  byId("axis").value = state.linear ? "linear" : "root";
  fill(byId("curve-notes"), [...marks(variants), ...task().notes].map((note) => make("li", {}, note)));
  byId("heading").textContent = task().title;
  drawTroubles();
  drawCards();
  drawProvenance();
  draw();
}

function marks(variants) {
  const any = (mark) => variants.some((variant) => variant.mark.includes(mark));
  const running = variants.flatMap((variant) =>
    Object.entries(variant.running).map(([seed, [at, of]]) => `${variant.label}, seed ${seed}: ${whole(at)} of ${whole(of)}`));
  return [
    any("†")
      ? "† not converged: p_t had not settled over the last third of the iterations, or had not risen."
      : null,
    any("‡") ? "‡ too few snapshots or images to tell whether p_t has converged." : null,
    running.length ? `Not finished yet: ${running.join("; ")} iterations scored.` : null,
  ].filter((note) => note !== null);
}

function drawLegend() {
  const methods = task().variants.map((variant) => {
    const on = !state.hidden.has(variant.label);
    const point = (label) => () => { state.pointed = label; charts.forEach((chart) => chart.move()); };
    return make("button", {
      type: "button",
      "aria-pressed": String(on),
      "data-method": variant.label,
      on: { click: () => toggle(variant.label), pointerenter: point(on ? variant.label : null), pointerleave: point(null) },
    }, swatch(variant.look), variant.label + variant.mark);
  });
  const all = state.hidden.size
    ? make("button", { type: "button", class: "all", on: { click: () => { state.hidden.clear(); draw(); } } }, "show all")
    : null;
  const keys = [state.quality, state.diversity];
  const references = task().references
    .filter((each) => keys.some((key) => each.values[key]))
    .map((each) => make("span", { class: "key" }, lineSwatch(each.look), each.title));
  const artefact = keys.some((key) => realValue(key) !== undefined)
    ? make("span", { class: "key" }, make("i", { class: "patch" }), "beyond real images: artefact")
    : null;
  fill(byId("legend"), make("div", { class: "methods" }, methods, all), make("div", { class: "references" }, references, artefact));
}

function toggle(label) {
  if (!state.hidden.delete(label)) state.hidden.add(label);
  state.pointed = null;
  draw();
  [...byId("legend").querySelectorAll("button")].find((each) => each.dataset.method === label)?.focus();
}

function drawTicks() {
  const all = iterations();
  const every = Math.ceil(all.length / 17);
  fill(byId("ticks"), all.map((at, i) => {
    const named = i % every === 0 && (i === 0 || all.length - 1 - i >= every || i === all.length - 1);
    return make("span", {}, named || i === all.length - 1 ? whole(at) : "");
  }));
}

function play(on) {
  clearInterval(playing);
  playing = null;
  if (on) {
    if (state.at >= iterations().length - 1) goTo(0);
    playing = setInterval(() => {
      goTo(state.at + 1);
      if (state.at >= iterations().length - 1) play(false);
    }, STEP_MILLISECONDS);
  }
  byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
  byId("play-shape").setAttribute("d", on ? "M3 2h4v12H3zM9 2h4v12H9z" : "M4 2v12l10-6z");
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || latent.dialog.open) return;
  const target = event.target;
  if (target.matches("select, input:not(#slider), .scroll")) return;
  const presses = target.matches("button, summary, a");
  if (event.key === " " && presses) return;
  const acts = {
    ArrowLeft: () => goTo(state.at - 1),
    ArrowRight: () => goTo(state.at + 1),
    Home: () => goTo(0),
    End: () => goTo(iterations().length - 1),
    " ": () => play(playing === null),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
}

function drawHead() {
  const counts = Object.entries(page.counts).map(([status, number]) => [`${number} ${number === 1 ? "cell" : "cells"} ${status}`, status]);
  const targets = page.tasks.length;
  byId("version").textContent = `· fsgan-bench ${page.version}`;
  byId("summary").textContent =
    "How realistic and how diverse images are while a generator adapts to a few images. Move the slider to see when it stopped learning and started forgetting.";
  const chip = (text, kind, target) => make("li", { class: kind }, make("a", { href: target }, text));
  fill(byId("chips"),
    counts.map(([text, status]) => chip(text, status, status === "finished" ? "#provenance" : "#troubles")),
    targets > 1 ? chip(`${targets} targets`, "plain", "#curves") : null,
    (page.verdict?.observations ?? []).map((each) => chip(`${each.name}: ${each.verdict}`, each.verdict.replace(" ", "-"), "#verdict")));
  if (page.going) {
    const again = make("input", { type: "checkbox", id: "again" });
    fill(byId("going"), make("p", {}, `Not finished: this is how far the run was at ${page.going}. `,
      make("label", {}, again, " look again every minute")));
    again.checked = sessionStorage.getItem("again") === "yes";
    again.addEventListener("change", () => sessionStorage.setItem("again", again.checked ? "yes" : "no"));
    setInterval(() => { if (again.checked) location.reload(); }, RELOAD_MILLISECONDS);
  }
}

// A target with as much as tells it from the others.
function taskName(of) {
  const same = page.tasks.filter((each) => each !== of && each.target === of.target);
  const shots = same.some((each) => each.shots !== of.shots) ? `, ${of.shots} shots` : "";
  const alike = same.filter((each) => each.shots === of.shots);
  if (alike.some((each) => each.root === of.root)) return of.key;
  return of.target + shots + (alike.length ? ` (${of.root})` : "");
}

function start() {
  fromAddress();
  drawHead();
  options(byId("task"), page.tasks.map((each, i) => [String(i), taskName(each)]), String(state.task));
  byId("task-label").hidden = page.tasks.length < 2;
  byId("task").addEventListener("change", (event) => {
    const at = iteration();
    state.task = Number(event.target.value);
    settle();
    state.at = Math.max(0, nearest(iterations(), at));
    drawTask();
  });
  byId("seed").addEventListener("change", (event) => { state.seed = event.target.value; draw(); });
  byId("axis").addEventListener("change", (event) => { state.linear = event.target.value === "linear"; draw(); });
  for (const choice of ["quality", "diversity"]) {
    byId(choice).addEventListener("change", (event) => { state[choice] = event.target.value; draw(); });
  }
  byId("slider").addEventListener("input", (event) => goTo(Number(event.target.value)));
  byId("play").addEventListener("click", () => play(playing === null));
  document.addEventListener("keydown", onKey);
  darkPage.addEventListener("change", draw);
  onPaper.addEventListener("change", (event) => {
    document.querySelectorAll("#tables details, #verdict details, #troubles details").forEach((each) => { if (event.matches) each.open = true; });
    draw();
  });
  // A link to a section leaves the address to the state.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    const section = byId(link.getAttribute("href").slice(1));
    section.tabIndex = -1;
    section.focus();
    section.scrollIntoView();
  });
  window.addEventListener("hashchange", () => { if (location.hash.includes("task=")) { fromAddress(); drawTask(); } });
  drawVerdict();
  drawTask();
}

start();
