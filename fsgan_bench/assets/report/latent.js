// One noise vector along the adaptation in every method, and whether its images are copies.

class Latent {
  constructor(dialog) {
    this.dialog = dialog;
    this.number = 0;
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => this.key(event));
  }

  open(number) {
    this.number = number;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".close").focus();
  }

  key(event) {
    event.stopPropagation();
    if (event.key === "ArrowLeft") goTo(state.at - 1);
    else if (event.key === "ArrowRight") goTo(state.at + 1);
    else return;
    event.preventDefault();
  }

  turn(step) {
    this.number = (this.number + step + LATENTS) % LATENTS;
    this.draw();
    this.dialog.querySelector(step < 0 ? ".before" : ".after").focus();
  }

  // Everything anew; what had the focus has it afterwards, and snapshots of now are in view.
  draw() {
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
    this.build();
    [...this.dialog.querySelectorAll("button")].find((each) => each.ariaLabel === focused)?.focus();
    for (const now of this.dialog.querySelectorAll(".film .now")) {
      const film = now.closest(".film");
      film.scrollLeft = now.offsetLeft - film.offsetLeft - (film.clientWidth - now.offsetWidth) / 2;
    }
  }

  build() {
    const strips = `${task().key}/strips`;
    const button = (name, text, label, act) =>
      make("button", { type: "button", class: name, "aria-label": label, on: { click: act } }, text);
    fill(
      this.dialog,
      make("div", { class: "dialog-head" },
        make("h2", { id: "latent-heading" }, `Noise ${this.number + 1} at iteration ${whole(iteration())}`),
        button("before", "‹", "the noise before", () => this.turn(-1)),
        button("after", "›", "the next noise", () => this.turn(1)),
        button("close", "✕", "close", () => this.dialog.close())),
      make("div", { class: "origins" },
        ["source", "ideal"].filter((name) => page.sprites[`${strips}/${name}`]).map((name) => {
          const title = task().references.find((each) => each.name === name).title;
          const tile = make("span", { class: "tile", role: "img", "aria-label": title });
          showTile(tile, `${strips}/${name}`, this.number, 0, 1);
          return make("figure", {}, tile, make("figcaption", {}, title));
        })),
      shown().filter((variant) => variant.aligned).map((variant) => this.method(variant)),
      this.meaning(),
    );
  }

  method(variant) {
    const seed = seedOfImages(variant);
    const stored = seed === null ? [] : snapshots(variant, seed);
    const now = nearest(stored, iteration());
    const frames = stored.map((at, row) => {
      const tile = make("button", {
        type: "button",
        class: row === now ? "tile now" : "tile",
        "aria-label": `${variant.label} at iteration ${at}`,
        "aria-current": row === now ? "true" : false,
        on: { click: () => goTo(nearest(iterations(), at)) },
      });
      showTile(tile, sheetName(variant, seed), this.number, row, stored.length);
      return make("figure", {}, tile, make("figcaption", {}, whole(at)));
    });
    const film = frames.length ? frames : [make("p", { class: "remark" }, "No images are stored.")];
    return make("section", { class: "in-method" },
      make("h3", {}, swatch(variant.look, false), variant.label),
      make("div", { class: "film" }, film),
      this.nearestImage(variant, seed));
  }

  // Which few-shot image this one is nearest to at the cursor, and what else is known of it.
  nearestImage(variant, seed) {
    const each = task().each[`${variant.key}/${seed}`];
    if (!each) return null;
    const i = nearest(each.iterations, iteration());
    const image = each.cluster[i][this.number];
    const values = Object.entries(each.values)
      .map(([name, rows]) => [name, rows[i][this.number]])
      .filter(([, value]) => value !== null && value !== undefined);
    const tile = make("span", { class: "tile", role: "img", "aria-label": `few-shot image ${image + 1}` });
    const sheet = `${task().key}/strips/few_shot`;
    if (page.sprites[sheet] && image < LATENTS) showTile(tile, sheet, image, 0, 1);
    const distance = values.find(([name]) => name === "nearest_lpips")?.[1];
    const copied = task().copy !== null && distance !== undefined && distance < task().copy;
    const facts = values.map(([name, value]) => [make("dt", {}, task().eachTitles[name]), make("dd", {}, show(value))]);
    return make("div", { class: "nearest" },
      make("figure", {}, tile, make("figcaption", {}, `few-shot ${image + 1}`)),
      make("dl", {}, facts),
      copied ? make("p", { class: "warning" }, "nearer than 95 % of real images: a copy?") : null);
  }

  meaning() {
    const has = Object.values(task().each).some((each) => each.values.nearest_lpips);
    const text = has
      ? `The nearest few-shot image is by LPIPS.${task().copy === null ? "" : ` Of real images 95 % are farther than ${show(task().copy)} from theirs.`}`
      : Object.keys(task().each).length
        ? "The nearest few-shot image is by LPIPS; this run has not stored the distance itself."
        : "This run has not stored what single images are nearest to.";
    return make("p", { class: "notes" }, text);
  }
}
