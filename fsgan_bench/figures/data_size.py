"""Quality and diversity by number of target images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fsgan_bench.figures import legends, palette
from fsgan_bench.figures.canvas import chart
from fsgan_bench.figures.palette import Look
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Scale, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.tables.model import Column, Entry, Row, Table

_SIZE_NOTE = (
    "Intra-LPIPS is over as many clusters as there are target images: more clusters are narrower, "
    "so its values are to be held against the real images' of the same number."
)


def figure(every: Sequence[TaskResults]) -> Figure:
    """Final quality and diversity against the number of target images, a line a method.

    ``every`` are the results of one target with different numbers of shots. Raises ValueError
    without a score.
    """
    scales = _size_scales(every)
    if not scales:
        raise ValueError("there is no score to draw")
    variants = _size_variants(every)
    shots = sorted(results.task.shots for results in every)
    compared = [name for name in palette.REFERENCES if _known(every, name, scales)]
    figure, panels = chart(
        _size_title(every),
        [legends.method_handles(variants), legends.reference_handles(compared)],
        [footnotes.spread_note(every[0], variants, "Bars"), _SIZE_NOTE],
        panels=len(scales),
        panel_height=2.0,
        gap=0.6,
        right=0.12,
    )
    for axes, scale in zip(panels, scales, strict=True):
        axes.set_xscale("log")
        axes.set_xlabel("target images")
        axes.set_ylabel(scale.name(mathtext=True), parse_math=True)
        for variant in variants:
            _draw_sizes(axes, size_points(every, variant.label, scale), variant.look)
        for name in compared:
            known = [(r.task.shots, curves.reference(r, name, scale)) for r in every]
            points = sorted((k, value[0]) for k, value in known if value)
            look = palette.REFERENCES[name]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.0, zorder=2)
        axes.xaxis.set_major_locator(FixedLocator(shots))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(k) for k in shots])
        if scale.metric == "realisticness":
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.set_ylim(bottom=0.0)
    return figure


def table(every: Sequence[TaskResults]) -> Table:
    """A row a number of target images and method: final quality and diversity."""
    scales = _size_scales(every)
    rows = []
    for results in sorted(every, key=lambda each: each.task.shots):
        for variant in curves.variants(results):
            entries = {}
            for scale in scales:
                curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
                if curve is not None:
                    value, spread = float(curve.values[-1]), float(curve.spread[-1])
                    entries[scale.key] = Entry(value, spread, float(curve.stderr[-1]))
            label = f"{variant.label}, {results.task.shots}"
            rows.append(Row(variant.method, label, "", len(variant.seeds), entries))
    task = every[0].task
    return Table(
        f"{task.suite}-{task.target}-data-size",
        _size_title(every),
        [Column(s.key, f"{s.name()} ↑", f"{s.name()} ↑", True) for s in scales],
        rows,
        [footnotes.spread_note(every[0], _size_variants(every), "±"), _SIZE_NOTE],
        [],
        head="method, target images",
    )


def _size_title(every: Sequence[TaskResults]) -> str:
    task = every[0].task
    domains = task.title.rpartition(" (")[0]
    return f"{domains} ({task.suite}): last snapshots by number of target images"


def _size_scales(every: Sequence[TaskResults]) -> list[Scale]:
    first = every[0]
    return [
        scale
        for metric in ("realisticness", first.task.diversity)
        for scale in curves.scales(first, metric)[:1]
    ]


def _size_variants(every: Sequence[TaskResults]) -> list[Variant]:
    return list({v.label: v for results in every for v in curves.variants(results)}.values())


def _known(every: Sequence[TaskResults], name: str, scales: Sequence[Scale]) -> bool:
    return any(curves.reference(r, name, scale) for r in every for scale in scales)


def size_points(
    every: Sequence[TaskResults], label: str, scale: Scale
) -> list[tuple[int, float, float]]:
    """Shots, final score and its spread of the variant called ``label``, by shots."""
    points = []
    for results in every:
        for variant in curves.variants(results):
            curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
            if variant.label == label and curve is not None:
                points.append(
                    (results.task.shots, float(curve.values[-1]), float(curve.spread[-1]))
                )
    return sorted(points)


def _draw_sizes(axes: Axes, points: Sequence[tuple[int, float, float]], look: Look) -> None:
    if not points:
        return
    shots, values, spreads = (np.array(column) for column in zip(*points, strict=True))
    axes.errorbar(
        shots,
        values,
        yerr=np.nan_to_num(spreads),
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=legends.MARKER_SIZE + 1,
        markeredgecolor="white",
        markeredgewidth=0.4,
        elinewidth=0.8,
        zorder=3,
    )
