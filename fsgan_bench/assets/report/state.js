// What the page holds, what of it is shown now, and questions about both.

const page = JSON.parse(byId("data").textContent);

const state = {
  task: 0, // index into page.tasks
  seed: "mean", // or a seed
  quality: "", // keys of scales
  diversity: "",
  linear: false, // the axis of iterations
  at: 0, // index into iterations()
  hidden: new Set(), // labels of methods, so that they stay hidden on another target
  pointed: null, // the method whose legend entry is pointed at
};

function task() {
  return page.tasks[state.task];
}

// All iterations at which some method was looked at, in order.
function iterations() {
  const found = new Set();
  for (const byScale of Object.values(task().curves)) {
    for (const curves of Object.values(byScale)) curves.mean.x.forEach((x) => found.add(x));
  }
  for (const variant of task().variants) {
    for (const seed of variant.seeds) snapshots(variant, seed).forEach((x) => found.add(x));
  }
  return found.size ? [...found].sort((a, b) => a - b) : [0];
}

function iteration() {
  return iterations()[state.at] ?? 0;
}

function shown() {
  return task().variants.filter((variant) => !state.hidden.has(variant.label));
}

function scale(key) {
  return task().scales.find((each) => each.key === key);
}

// A method's curve on a scale: {x, y, spread}, of the seed that is chosen or of the mean.
function curve(variant, key) {
  return task().curves[variant.key]?.[key]?.[state.seed];
}

// Where a curve is at an iteration: at its last snapshot so far, or nowhere if it ends before.
function place(of, at) {
  if (!of || of.x.length === 0 || at > of.x[of.x.length - 1]) return -1;
  let found = -1;
  of.x.forEach((x, i) => { if (x <= at) found = i; });
  return found;
}

// Whether there is one look at something made elsewhere: it belongs to no iteration, or to all.
function isLevel(variant, looks) {
  return variant.imported && looks?.length === 1;
}

function valueAt(variant, key, at) {
  const of = curve(variant, key);
  const i = isLevel(variant, of?.x) ? 0 : place(of, at);
  return i < 0 ? null : { value: of.y[i], spread: of.spread[i] };
}

// "0.812 ± 0.013"
function withSpread(found) {
  if (!found || found.value === null) return "–";
  return found.spread === null ? show(found.value) : `${show(found.value)} ± ${show(found.spread)}`;
}

// The seed whose images stand for a method: the one that is chosen, or its first with images.
function seedOfImages(variant) {
  if (state.seed !== "mean") return variant.seeds.includes(Number(state.seed)) ? state.seed : null;
  const seed = variant.seeds.find((each) => page.sprites[sheetName(variant, each)]);
  return seed ?? variant.seeds[0] ?? null;
}

function sheetName(variant, seed) {
  return `${task().key}/${variant.key}/${seed}`;
}

// The iterations of which there are images of a method's seed.
function snapshots(variant, seed) {
  return page.sprites[sheetName(variant, seed)]?.iterations ?? [];
}

// Which of these iterations is nearest to one; -1 of none.
function nearest(of, at) {
  let best = -1;
  of.forEach((x, i) => {
    if (best < 0 || Math.abs(x - at) < Math.abs(of[best] - at)) best = i;
  });
  return best;
}

// The address of a sheet of images; it is decoded when it is first asked for.
const sheetUrls = new Map();
function sheetUrl(name) {
  const sprite = page.sprites[name];
  if (!sprite) return null;
  if (!sheetUrls.has(name)) {
    const bytes = Uint8Array.from(atob(byId(sprite.id).textContent), (c) => c.charCodeAt(0));
    sheetUrls.set(name, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
  }
  return sheetUrls.get(name);
}

// The state is in the page's address, so that it can be sent to somebody and outlives a reload.
function toAddress() {
  const words = new URLSearchParams({
    task: task().key,
    seed: state.seed,
    at: iteration(),
    quality: state.quality,
    diversity: state.diversity,
  });
  if (state.linear) words.set("axis", "linear");
  if (state.hidden.size) words.set("hidden", JSON.stringify([...state.hidden]));
  history.replaceState(null, "", `#${words}`);
}

function fromAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  state.task = Math.max(0, page.tasks.findIndex((each) => each.key === words.get("task")));
  state.linear = words.get("axis") === "linear";
  try {
    state.hidden = new Set(JSON.parse(words.get("hidden") ?? "[]"));
  } catch {
    state.hidden = new Set();
  }
  state.seed = words.get("seed") ?? "mean";
  state.quality = words.get("quality") ?? "";
  state.diversity = words.get("diversity") ?? "";
  settle();
  const at = words.get("at");
  state.at = at === null ? iterations().length - 1 : Math.max(0, nearest(iterations(), Number(at)));
}

// Replace choices that this task does not have.
function settle() {
  const seeds = new Set(task().variants.flatMap((variant) => variant.seeds.map(String)));
  if (!seeds.has(state.seed)) state.seed = "mean";
  const of = (metric) => task().scales.find((each) => each.metric === metric)?.key;
  const first = task().scales[0]?.key ?? "";
  if (!scale(state.quality)) state.quality = of("realisticness") ?? first;
  if (!scale(state.diversity)) state.diversity = of(task().diversity) ?? first;
}
