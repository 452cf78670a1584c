// Quality to the right, diversity upwards: each method's path from the source up to the cursor.

class PathChart {
  constructor(element) {
    this.element = element;
    this.plot = null;
    this.points = []; // where snapshots are drawn: {x, y, variant, i, at}
    new ResizeObserver(() => this.resize()).observe(element);
  }

  resize() {
    const width = this.element.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) {
      this.plot.setSize({ width, height: CHART_HEIGHT });
    }
  }

  draw() {
    this.plot?.destroy();
    this.paths = shown().map((variant) => this.path(variant)).filter((path) => path.length > 0);
    const across = rangeOf(state.quality);
    this.plot = new uPlot(
      {
        width: this.element.clientWidth || 400,
        height: CHART_HEIGHT,
        padding: [10, 16, 0, 0],
        legend: { show: false },
        cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: across }, y: { range: rangeOf(state.diversity) } },
        axes: [
          axis({ label: scale(state.quality)?.name ?? "", labelFont: FONT, labelSize: 18, size: 28 }),
          axis({ label: scale(state.diversity)?.name ?? "", labelFont: FONT, labelSize: 18, size: 46 }),
        ],
        series: [{}, { show: false }],
        hooks: {
          drawAxes: [(plot) => shadeArtefact(plot, state.diversity)],
          draw: [(plot) => this.above(plot)],
          setCursor: [(plot) => this.tell(plot)],
        },
      },
      [across, [null, null]],
      this.element,
    );
    this.plot.over.addEventListener("click", () => {
      const point = this.under(this.plot);
      if (point) goTo(nearest(iterations(), point.at));
    });
    this.describe();
  }

  // The snapshots of a method that have both scores.
  path(variant) {
    const quality = curve(variant, state.quality);
    const diversity = curve(variant, state.diversity);
    if (!quality || !diversity) return [];
    return quality.x
      .map((at, i) => ({ variant, at, quality: quality.y[i], diversity: diversity.y[diversity.x.indexOf(at)] ?? null }))
      .filter((each) => each.quality !== null && each.diversity !== null);
  }

  move() {
    this.plot?.redraw(false);
    this.describe();
  }

  above(plot) {
    const { ctx } = plot;
    const ratio = uPlot.pxRatio;
    const at = iteration();
    this.points = [];
    for (const path of this.paths) {
      const { variant } = path[0];
      const places = path.map((each) => ({
        ...each,
        x: plot.valToPos(each.quality, "x", true),
        y: plot.valToPos(each.diversity, "y", true),
      }));
      this.points.push(...places);
      const past = places.filter((each) => each.at <= at);
      const line = (of, alpha, width) => {
        ctx.globalAlpha = alpha * strength(variant);
        ctx.strokeStyle = colour(variant.look);
        ctx.lineWidth = width * ratio;
        ctx.setLineDash(dashes(variant.look, width * ratio));
        ctx.lineJoin = "round";
        ctx.beginPath();
        of.forEach((each) => ctx.lineTo(each.x, each.y));
        ctx.stroke();
      };
      ctx.save();
      line(places, 0.22, 1);
      line(past, 1, LINE + 0.3);
      ctx.globalAlpha = strength(variant);
      past.slice(1, -1).forEach((each) => drawMarker(ctx, { ...variant.look, marker: "o" }, each.x, each.y, 2, ratio));
      drawMarker(ctx, variant.look, places[0].x, places[0].y, 3.6, ratio, true);
      if (past.length > 1) drawMarker(ctx, variant.look, past[past.length - 1].x, past[past.length - 1].y, 5, ratio);
      ctx.restore();
    }
    for (const each of referencesOn(state.diversity)) {
      if (!each.values[state.quality]) continue;
      const x = plot.valToPos(each.values[state.quality][0], "x", true);
      drawMarker(ctx, each.look, x, plot.valToPos(each.value, "y", true), each.look.marker === "*" ? 7 : 5, ratio);
    }
  }

  // The snapshot under the pointer.
  under(plot) {
    const ratio = uPlot.pxRatio;
    const x = plot.cursor.left * ratio + plot.bbox.left;
    const y = plot.cursor.top * ratio + plot.bbox.top;
    let best = null;
    let distance = 14 * ratio;
    for (const point of this.points) {
      const from = Math.hypot(point.x - x, point.y - y);
      if (from < distance) [best, distance] = [point, from];
    }
    return best;
  }

  tell(plot) {
    const point = plot.cursor.left >= 0 ? this.under(plot) : null;
    plot.over.classList.toggle("pointing", point !== null);
    if (!point) return tip();
    const box = plot.over.getBoundingClientRect();
    tip(
      box.left + plot.cursor.left,
      box.top + plot.cursor.top,
      make("div", { class: "tip-head" }, `${point.variant.label}, iteration ${whole(point.at)}`),
      make("div", { class: "tip-row" }, make("span", {}, scale(state.quality).name), make("b", {}, show(point.quality))),
      make("div", { class: "tip-row" }, make("span", {}, scale(state.diversity).name), make("b", {}, show(point.diversity))),
    );
  }

  describe() {
    this.element.setAttribute("role", "img");
    this.element.setAttribute(
      "aria-label",
      `${scale(state.diversity)?.name ?? ""} against ${scale(state.quality)?.name ?? ""}: a path a method, up to iteration ${iteration()}.`,
    );
  }
}
