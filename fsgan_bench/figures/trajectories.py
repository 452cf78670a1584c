"""Quality and diversity along the adaptation (the paper's Fig. 2), and one against the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fsgan_bench.figures import legends, palette
from fsgan_bench.figures.canvas import FAINT, SMALL, WIDTH, chart
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import Scale
from fsgan_bench.training.look import Look

_BAND_ALPHA = 0.16
_TICKS = 6
_SINGLE = 5.2
_SHORT = {"source": "source", "real": "real", "ideal": "ideal"}


def along_iterations(
    results: TaskResults, scales: Sequence[Scale], panel_height: float = 2.35
) -> Figure:
    """Scores against iterations, a panel a scale and a line a variant, with one legend.

    Raises ValueError without scales.
    """
    if not scales:
        raise ValueError("there is no score to draw")
    variants = curves.variants(results)
    figure, panels = chart(
        results.task.title,
        legends.legends(results, variants, scales),
        legends.notes(results, variants, [footnotes.spread_note(results, variants, "Bands")]),
        panels=len(scales),
        panel_height=panel_height,
        width=_SINGLE if len(scales) == 1 else WIDTH,
    )
    for axes, scale in zip(panels, scales, strict=True):
        _draw_panel(axes, results, variants, scale)
    return figure


def quality_against_diversity(
    results: TaskResults, pairs: Sequence[tuple[Scale, Scale]], panel_height: float = 3.3
) -> Figure:
    """Paths of the variants from the source, realisticness to the right and diversity upwards.

    ``pairs`` holds the scales of the two, a pair a panel; raises ValueError if it is empty.
    """
    if not pairs:
        raise ValueError("there is no pair of scores to draw")
    variants = curves.variants(results)
    meaning = "A path runs from its first snapshot (hollow) to its last (filled); dots: snapshots."
    figure, panels = chart(
        results.task.title,
        legends.legends(
            results, variants, [scale for pair in pairs for scale in pair], points=True
        ),
        legends.notes(
            results, variants, [meaning, footnotes.spread_note(results, variants, "Bars")]
        ),
        panels=len(pairs),
        panel_height=panel_height,
        width=_SINGLE if len(pairs) == 1 else WIDTH,
        right=0.12,
        gap=0.6,
    )
    looks = palette.variant_looks(results, variants)
    for axes, (quality, diversity) in zip(panels, pairs, strict=True):
        axes.set_xlabel(quality.name(mathtext=True), parse_math=True)
        axes.set_ylabel(diversity.name(mathtext=True), parse_math=True)
        for number, variant in enumerate(variants):
            _draw_path(
                axes, results, variant, looks[variant.key], (quality, diversity), 3 + 0.1 * number
            )
        for name, look in palette.REFERENCES.items():
            x = curves.reference(results, name, quality)
            y = curves.reference(results, name, diversity)
            if x and y:
                axes.plot(
                    x[0],
                    y[0],
                    look.marker,
                    color=look.colour,
                    markersize=legends.point_size(look),
                    zorder=6,
                    markeredgecolor="white",
                    markeredgewidth=0.6,
                )
        axes.set_xlim(-0.03, 1.03)
        _shade_artefact(axes, results, diversity)
    return figure


def _draw_panel(axes: Axes, results: TaskResults, variants: list[Variant], scale: Scale) -> None:
    axes.set_ylabel(scale.name(mathtext=True), parse_math=True)
    axes.set_xlabel("iterations (square-root scale)")
    snapshots = np.zeros(0)
    looks = palette.variant_looks(results, variants)
    for number, variant in enumerate(variants):
        curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
        if curve is not None and variant.imported and len(curve.iterations) == 1:
            _draw_level(axes, curve, looks[variant.key], zorder=3 + 0.1 * number)
        elif curve is not None:
            draw_curve(axes, curve, looks[variant.key], zorder=3 + 0.1 * number)
            snapshots = np.union1d(snapshots, curve.iterations)
    lines = {
        name: known[0]
        for name in palette.REFERENCES
        if (known := curves.reference(results, name, scale)) is not None
    }
    for name, value in lines.items():
        look = palette.REFERENCES[name]
        axes.axhline(value, color=look.colour, linestyle=look.dashes, linewidth=1.0, zorder=2)
    limit_values(axes, scale)
    scale_iterations(axes, snapshots)
    _shade_artefact(axes, results, scale)
    _name_lines(axes, lines)


def limit_values(axes: Axes, scale: Scale) -> None:
    """What the axis of values shows: all that the metric can have, if that is an interval.

    Else the lower end, but for diversities, which keep far from it; 0 if nothing is far below it.
    """
    low, high = scale.about.limits
    low = 0.0 if low is not None and low < 0 and axes.dataLim.y0 > 0.1 * low else low
    if low is not None and high is not None:
        room = 0.03 * (high - low)
        axes.set_ylim(low - room, high + room)
    elif low is not None and scale.about.kind != "diversity":
        axes.set_ylim(bottom=low)


def draw_curve(axes: Axes, curve: Curve, look: Look, zorder: float) -> None:
    """A line with its markers and, where the spread is known, a band around it."""
    axes.plot(
        curve.iterations,
        curve.values,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=legends.MARKER_SIZE,
        markeredgecolor="white",
        markeredgewidth=0.4,
        clip_on=False,
        zorder=zorder,
    )
    if np.isfinite(curve.spread).any():
        axes.fill_between(
            curve.iterations,
            curve.values - curve.spread,
            curve.values + curve.spread,
            color=look.colour,
            alpha=_BAND_ALPHA,
            linewidth=0,
            zorder=zorder - 0.5,
        )


def _draw_level(axes: Axes, curve: Curve, look: Look, zorder: float) -> None:
    """The one score of what was trained elsewhere for nobody knows how long, at any iteration."""
    value, spread = float(curve.values[0]), float(curve.spread[0])
    axes.axhline(value, color=look.colour, linestyle=look.dashes, zorder=zorder)
    if np.isfinite(spread):
        axes.axhspan(
            value - spread,
            value + spread,
            color=look.colour,
            alpha=_BAND_ALPHA,
            linewidth=0,
            zorder=zorder - 0.5,
        )


def _draw_path(
    axes: Axes,
    results: TaskResults,
    variant: Variant,
    look: Look,
    scales: tuple[Scale, Scale],
    zorder: float,
) -> None:
    quality, diversity = (
        curves.mean_curve(curves.seed_curves(results, variant, scale)) for scale in scales
    )
    if quality is None or diversity is None:
        return
    _, at_x, at_y = np.intersect1d(
        quality.iterations, diversity.iterations, assume_unique=True, return_indices=True
    )
    x, y = quality.values[at_x], diversity.values[at_y]
    if len(x) == 0:
        return
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.2, zorder=zorder)
    axes.plot(x[1:-1], y[1:-1], ".", color=look.colour, markersize=3.5, zorder=zorder)
    for end, face, edge in ((0, "white", look.colour), (-1, look.colour, "white")):
        axes.plot(
            x[end],
            y[end],
            look.marker,
            markersize=5.5,
            markerfacecolor=face,
            markeredgecolor=edge,
            markeredgewidth=0.6 if face == "white" else 0.5,
            zorder=zorder + 1,
        )
    axes.errorbar(
        x[-1],
        y[-1],
        xerr=np.nan_to_num(quality.spread[at_x[-1]]),
        yerr=np.nan_to_num(diversity.spread[at_y[-1]]),
        fmt="none",
        ecolor=look.colour,
        elinewidth=0.8,
        zorder=zorder,
    )
    _draw_arrow(axes, x, y, look, zorder)


def _draw_arrow(axes: Axes, x: curves.Floats, y: curves.Floats, look: Look, zorder: float) -> None:
    """An arrowhead in the middle of the path's longest segment."""
    if len(x) < 2:
        return
    lengths = np.hypot(np.diff(x), np.diff(y))
    if not np.isfinite(lengths).any():
        return
    i = int(np.nanargmax(lengths))
    axes.annotate(
        "",
        xy=(x[i] + 0.6 * (x[i + 1] - x[i]), y[i] + 0.6 * (y[i + 1] - y[i])),
        xytext=(x[i] + 0.5 * (x[i + 1] - x[i]), y[i] + 0.5 * (y[i + 1] - y[i])),
        arrowprops={
            "arrowstyle": "-|>,head_width=0.22,head_length=0.45",
            "color": look.colour,
            "linewidth": 0.8,
            "shrinkA": 0.0,
            "shrinkB": 0.0,
        },
        zorder=zorder,
    )


def scale_iterations(axes: Axes, snapshots: curves.Floats) -> None:
    """A square-root axis, for most happens early, with its ticks at snapshots."""
    last = snapshots.max(initial=0.0)
    if last <= 0:
        return
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set_xlim(0.0, last * 1.02)
    wanted = np.linspace(0.0, np.sqrt(last), _TICKS)
    nearest = np.abs(np.sqrt(snapshots)[:, None] - wanted[None, :]).argmin(axis=0)
    axes.xaxis.set_major_locator(FixedLocator(np.unique([0.0, *snapshots[nearest]]).tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _root(values: curves.Floats) -> curves.Floats:
    return np.sqrt(np.maximum(values, 0.0))


def _shade_artefact(axes: Axes, results: TaskResults, scale: Scale) -> None:
    real = curves.reference(results, "real", scale)
    if real is None or not scale.about.capped:
        return
    low, high = axes.get_ylim()
    high = max(high, real[0] * 1.05)
    axes.axhspan(real[0], high, color=palette.ARTEFACT, linewidth=0, zorder=0.5)
    axes.set_ylim(low, high)


def _name_lines(axes: Axes, lines: dict[str, float]) -> None:
    """Short names at the right end of reference lines, kept apart."""
    low, high = axes.get_ylim()
    _, size = axes.figure.get_size_inches()  # type: ignore[union-attr]
    height = axes.get_position().height * size
    apart = SMALL * 1.15 / 72 / height
    names = sorted(lines, key=lines.__getitem__)
    places = np.array([(lines[name] - low) / (high - low) for name in names])
    for _ in range(20 * len(names)):
        for i in range(len(names) - 1):
            overlap = max(0.0, apart - (places[i + 1] - places[i]))
            places[i : i + 2] += np.array([-0.5, 0.5]) * overlap
    for name, place in zip(names, places, strict=True):
        axes.text(
            1.012,
            place,
            _SHORT[name],
            transform=axes.transAxes,
            fontsize=SMALL,
            color=palette.REFERENCES[name].colour if name == "real" else FAINT,
            va="center",
        )
