// The same-noise grid: few-shot images, source, ideal, and each method at the cursor's snapshot.

const LATENTS = 16;

// Show one tile of a sheet: a background, moved so that the tile is in view.
function showTile(element, sheet, column, row, rows) {
  element.style.backgroundImage = sheet ? `url(${sheetUrl(sheet)})` : "none";
  element.style.backgroundSize = `${100 * LATENTS}% ${100 * rows}%`;
  element.style.backgroundPosition = `${(100 * column) / (LATENTS - 1)}% ${rows > 1 ? (100 * row) / (rows - 1) : 0}%`;
}

class Grid {
  constructor(element, openLatent) {
    this.element = element;
    this.openLatent = openLatent;
    this.moving = []; // what changes with the cursor
    element.addEventListener("keydown", (event) => this.walk(event));
  }

  draw() {
    this.moving = [];
    const strips = `${task().key}/strips`;
    const rows = [];
    if (page.sprites[`${strips}/few_shot`]) {
      const count = task().fewShot;
      const details = [task().shots > count ? `${count} of ${task().shots}` : `all ${task().shots}`, "of no noise"];
      rows.push(this.row("few-shot images", null, details, `${strips}/few_shot`, count, false, "apart"));
    }
    for (const name of ["source", "ideal"]) {
      const of = task().references.find((each) => each.name === name);
      if (page.sprites[`${strips}/${name}`]) rows.push(this.row(of.title, of.look, this.referenceDetails(of), `${strips}/${name}`, LATENTS, true));
    }
    for (const variant of shown()) rows.push(this.methodRow(variant));
    fill(this.element, rows);
    const first = this.element.querySelector("button.tile");
    if (first) first.tabIndex = 0;
    this.move();
  }

  // What is missing of the images, in a sentence; null if nothing is.
  missing() {
    const rows = shown().map((variant) => [curve(variant, state.quality)?.x.length ?? 0, snapshots(variant, seedOfImages(variant)).length]);
    if (rows.every(([scored, stored]) => stored >= scored)) return null;
    return rows.every(([, stored]) => stored <= 1)
      ? "These results keep the images of at most one snapshot a method, so that the slider moves the curves alone."
      : "The images of some snapshots are not kept; a row then shows the nearest that are, and says so.";
  }

  row(label, look, details, sheet, count, opens, more = "") {
    const tiles = Array.from({ length: count }, (_, latent) => {
      const tile = opens
        ? make("button", { type: "button", class: "tile", tabindex: -1, "data-latent": latent, on: { click: () => this.openLatent(latent) } })
        : make("span", { class: "tile", role: "img" });
      tile.setAttribute("aria-label", opens ? `${label}, noise ${latent + 1}` : `${label} ${latent + 1}`);
      if (sheet) showTile(tile, sheet, latent, 0, 1);
      return tile;
    });
    const text = make("div", { class: "row-details" }, details.map((each) => make("span", {}, each)));
    const name = make("div", { class: "row-name" }, look ? swatch(look, false) : null, make("span", {}, label));
    return make("div", { class: `row ${more}` }, make("div", { class: "row-label" }, name, text), make("div", { class: "row-tiles" }, tiles));
  }

  referenceDetails(of) {
    const part = (key) => (of.values[key] ? [`${scale(key).short} ${show(of.values[key][0])}`] : []);
    return [...part(state.quality), ...part(state.diversity)];
  }

  methodRow(variant) {
    const row = this.row(variant.label + variant.mark, variant.look, [], null, LATENTS, variant.aligned);
    this.moving.push({ variant, row, tiles: [...row.querySelectorAll(".tile")], details: row.querySelector(".row-details") });
    return row;
  }

  // The cursor has moved: other tiles of the same sheets, other scores.
  move() {
    const at = iteration();
    for (const { variant, row, tiles, details } of this.moving) {
      const seed = seedOfImages(variant);
      const stored = seed === null ? [] : snapshots(variant, seed);
      const place = nearest(stored, at);
      const sheet = place < 0 ? null : sheetName(variant, seed);
      tiles.forEach((tile, latent) => {
        showTile(tile, sheet, latent, place, stored.length);
        const which = variant.aligned ? "noise" : "image";
        tile.setAttribute("aria-label", `${variant.label}, ${which} ${latent + 1}${place < 0 ? ", no image" : `, iteration ${stored[place]}`}`);
      });
      const other = place >= 0 && stored[place] !== at && !isLevel(variant, stored);
      row.classList.toggle("elsewhere", other);
      const scores = [state.quality, state.diversity]
        .filter((key) => scale(key))
        .map((key) => make("span", {}, `${scale(key).short} ${show(valueAt(variant, key, at)?.value)}`));
      const remark = place < 0 ? "no images stored" : other ? `images of ${whole(stored[place])}` : null;
      const remarks = [remark, variant.aligned ? null : "not noise-aligned"].filter((each) => each !== null);
      fill(details, scores, remarks.map((each) => make("span", { class: "remark" }, each)));
    }
    const seeds = [...new Set(shown().map(seedOfImages).filter((seed) => seed !== null))];
    byId("grid-lead").textContent =
      `Iteration ${whole(at)}. Each column is one noise vector` +
      (seeds.length && state.seed === "mean" ? `; images of seed ${seeds.join(", ")}.` : ".") +
      " Press an image to follow its noise through the adaptation.";
  }

  // Arrow keys go from tile to tile; only one of them is a stop of the tab key.
  walk(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    if (!step || !event.target.matches("button.tile")) return;
    event.preventDefault();
    event.stopPropagation();
    const rows = [...this.element.querySelectorAll(".row")]
      .map((row) => [...row.querySelectorAll("button.tile")])
      .filter((tiles) => tiles.length > 0);
    const row = rows.findIndex((tiles) => tiles.includes(event.target));
    const next = rows[row + step[0]]?.[rows[row].indexOf(event.target) + step[1]];
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
