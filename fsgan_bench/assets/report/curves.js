// A score against iterations: a line a method with its band, reference lines, and the cursor.

const CHART_HEIGHT = 300;
const FONT = "11px system-ui, sans-serif";

// What the axes of all charts have in common.
function axis(more) {
  return {
    stroke: css("--faint"),
    font: FONT,
    grid: { stroke: css("--line"), width: 1 },
    ticks: { stroke: css("--line"), width: 1, size: 4 },
    ...more,
  };
}

// A method that is not the one pointed at steps back.
function strength(variant) {
  return state.pointed === null || state.pointed === variant.label ? 1 : 0.18;
}

// Reference lines on a scale: [{name, title, look, value}].
function referencesOn(key) {
  return task().references
    .filter((each) => each.values[key])
    .map((each) => ({ ...each, value: each.values[key][0] }));
}

function realValue(key) {
  return scale(key)?.capped ? referencesOn(key).find((each) => each.name === "real")?.value : undefined;
}

// The range of a scale's axis, from all that is drawn on it.
function rangeOf(key) {
  const of = scale(key);
  if (!of) return [0, 1];
  const values = referencesOn(key).map((each) => each.value);
  for (const variant of shown()) {
    const found = curve(variant, key);
    found?.y.forEach((y, i) => {
      if (y !== null) values.push(y - (found.spread[i] ?? 0), y + (found.spread[i] ?? 0));
    });
  }
  // From 0 where nothing lies far below it, as of an agreement that is at least chance's.
  const [lowest, most] = of.limits;
  const least = lowest < 0 && Math.min(...values) > 0.1 * lowest ? 0 : lowest;
  if (least !== null && most !== null) return [least - 0.03 * (most - least), most + 0.03 * (most - least)];
  if (values.length === 0) return [0, 1];
  const fromZero = of.lowerIsBetter && least === 0;
  const low = fromZero ? 0 : Math.min(...values);
  const high = Math.max(...values);
  const margin = 0.06 * (high - low || 1);
  return [fromZero ? 0 : low - margin, high + margin];
}

// Where ticks are: near evenly spaced places on the axis, but at snapshots.
function ticksAt(all, linear, count) {
  const to = linear ? (x) => x : Math.sqrt;
  const end = to(all[all.length - 1]);
  const found = new Set([0]);
  for (let i = 1; i < count; i += 1) {
    const wanted = (end * i) / (count - 1);
    found.add(all.reduce((best, x) => (Math.abs(to(x) - wanted) < Math.abs(to(best) - wanted) ? x : best)));
  }
  return [...found].sort((a, b) => a - b);
}

// Shade from the diversity of real images upwards: more than they have is artefact.
function shadeArtefact(plot, key) {
  const real = realValue(key);
  if (real === undefined) return;
  const { left, top, width } = plot.bbox;
  const bottom = Math.min(plot.valToPos(real, "y", true), top + plot.bbox.height);
  if (bottom <= top) return;
  plot.ctx.save();
  plot.ctx.fillStyle = css("--artefact");
  plot.ctx.fillRect(left, top, width, bottom - top);
  plot.ctx.restore();
}

class CurveChart {
  constructor(element, choice) {
    this.element = element;
    this.choice = choice; // "quality" or "diversity"
    this.plot = null;
    new ResizeObserver(() => this.resize()).observe(element);
  }

  get key() {
    return state[this.choice];
  }

  resize() {
    const width = this.element.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) {
      this.plot.setSize({ width, height: CHART_HEIGHT });
    }
  }

  // Everything anew: other methods, another scale, another seed.
  draw() {
    this.plot?.destroy();
    this.all = iterations();
    this.variants = shown().filter((variant) => curve(variant, this.key));
    const last = this.all[this.all.length - 1] || 1;
    const count = this.element.clientWidth < 380 ? 4 : 6;
    this.plot = new uPlot(
      {
        width: this.element.clientWidth || 400,
        height: CHART_HEIGHT,
        padding: [10, 44, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: {
          x: {
            time: false,
            range: [0, last * 1.015],
            distr: state.linear ? 1 : 100,
            fwd: (x) => Math.sqrt(Math.max(x, 0)),
            bwd: (x) => x * x,
          },
          y: { range: rangeOf(this.key) },
        },
        axes: [
          axis({
            splits: () => ticksAt(this.all, state.linear, count),
            filter: (_, at) => at,
            values: (_, at) => at.map(whole),
            label: "iterations",
            labelFont: FONT,
            labelSize: 18,
            size: 28,
          }),
          axis({ size: 46 }),
        ],
        series: [{}, ...this.variants.flatMap((variant) => this.series(variant))],
        bands: this.variants.map((variant, i) => ({
          series: [3 * i + 3, 3 * i + 2],
          fill: () => faded(colour(variant.look), 0.16 * strength(variant)),
        })),
        hooks: {
          drawAxes: [(plot) => this.beneath(plot)],
          draw: [(plot) => this.above(plot)],
          setCursor: [(plot) => this.tell(plot)],
        },
      },
      [this.all, ...this.variants.flatMap((variant) => this.columns(variant))],
      this.element,
    );
    scrubOn(this.plot.over, (x) => this.plot.posToVal(x, "x"));
    this.describe();
  }

  series(variant) {
    return [
      {
        stroke: () => faded(colour(variant.look), strength(variant)),
        width: LINE,
        dash: dashes(variant.look),
        points: { show: false },
        spanGaps: true,
      },
      { stroke: "transparent", points: { show: false }, spanGaps: true },
      { stroke: "transparent", points: { show: false }, spanGaps: true },
    ];
  }

  // Values, and the lower and the upper end of the band, at every iteration of the axis.
  columns(variant) {
    const of = curve(variant, this.key);
    const level = isLevel(variant, of.x);
    const places = this.all.map((x) => (level ? 0 : of.x.indexOf(x)));
    const end = (sign) => places.map((i) => (i < 0 || of.y[i] === null ? null : of.y[i] + sign * (of.spread[i] ?? 0)));
    return [end(0), end(-1), end(1)];
  }

  // The cursor alone has moved, or another method is pointed at.
  move() {
    this.plot?.redraw(false);
    this.describe();
  }

  beneath(plot) {
    shadeArtefact(plot, this.key);
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const names = [];
    ctx.save();
    for (const each of referencesOn(this.key)) {
      const y = plot.valToPos(each.value, "y", true);
      ctx.strokeStyle = colour(each.look);
      ctx.lineWidth = 1.2 * ratio;
      ctx.setLineDash(dashes(each.look, 1.2 * ratio));
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      names.push({ text: each.name, y, colour: colour(each.look) });
    }
    ctx.restore();
    this.nameLines(plot, names);
  }

  // Names at the right end of reference lines, kept apart.
  nameLines(plot, names) {
    const apart = 13 * uPlot.pxRatio;
    names.sort((a, b) => a.y - b.y);
    for (let round = 0; round < 40; round += 1) {
      for (let i = 1; i < names.length; i += 1) {
        const overlap = Math.max(0, apart - (names[i].y - names[i - 1].y));
        names[i].y += overlap / 2;
        names[i - 1].y -= overlap / 2;
      }
    }
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.font = `${11 * uPlot.pxRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    for (const each of names) {
      ctx.fillStyle = each.colour;
      ctx.fillText(each.text, bbox.left + bbox.width + 6 * uPlot.pxRatio, each.y);
    }
    ctx.restore();
  }

  above(plot) {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const at = iteration();
    const x = plot.valToPos(at, "x", true);
    ctx.save();
    ctx.strokeStyle = css("--ink");
    ctx.lineWidth = 1.3 * ratio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
    for (const variant of this.variants) {
      const of = curve(variant, this.key);
      ctx.save();
      ctx.globalAlpha = strength(variant);
      const places = isLevel(variant, of.x) ? this.all.slice(-1) : of.x;
      places.forEach((when, i) => {
        if (of.y[i] === null) return;
        const radius = when === at ? 5 : 3;
        drawMarker(ctx, variant.look, plot.valToPos(when, "x", true), plot.valToPos(of.y[i], "y", true), radius, ratio);
      });
      ctx.restore();
    }
  }

  tell(plot) {
    const { left, idx } = plot.cursor;
    if (left === undefined || left < 0 || idx === null || idx === undefined) return tip();
    const at = this.all[idx];
    const rows = this.variants
      .map((variant) => ({ variant, found: valueAt(variant, this.key, at) }))
      .filter(({ found }) => found && found.value !== null)
      .sort((a, b) => b.found.value - a.found.value)
      .map(({ variant, found }) =>
        make("div", { class: "tip-row" }, swatch(variant.look), make("span", {}, variant.label), make("b", {}, withSpread(found))));
    const box = plot.over.getBoundingClientRect();
    tip(box.left + left, box.top + plot.cursor.top, make("div", { class: "tip-head" }, `iteration ${whole(at)}`), ...rows);
  }

  describe() {
    const at = iteration();
    const values = this.variants.map((variant) => `${variant.label} ${withSpread(valueAt(variant, this.key, at))}`);
    this.element.setAttribute("role", "img");
    this.element.setAttribute(
      "aria-label",
      `${scale(this.key)?.name ?? "score"} against iterations. At iteration ${at}: ${values.join("; ")}.`,
    );
  }
}

function faded(hex, alpha) {
  return hex + Math.round(255 * alpha).toString(16).padStart(2, "0");
}

// Pressing and drawing over a chart moves the cursor of all.
function scrubOn(element, toIteration) {
  const follow = (event) => {
    const x = event.clientX - element.getBoundingClientRect().left;
    goTo(nearest(iterations(), toIteration(x)));
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    follow(event);
    const stop = () => window.removeEventListener("pointermove", follow);
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", stop, { once: true });
    window.addEventListener("pointercancel", stop, { once: true });
  });
}
