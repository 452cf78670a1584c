"""Quality and diversity by number of target images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fsgan_bench.figures import legends, palette
from fsgan_bench.figures.canvas import chart
from fsgan_bench.figures.trajectories import limit_values
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales
from fsgan_bench.tables.model import Column, Row, Table, TableEntry
from fsgan_bench.training.look import Look

_SIZE_NOTE = (
    "Intra-LPIPS is over as many clusters as there are target images: more clusters are narrower, "
    "so its values are to be held against the real images' of the same number."
)


def figure(tasks: Sequence[TaskResults]) -> Figure:
    """Final quality and diversity against the number of target images, a line a method.

    ``tasks`` are the results of one target with different numbers of shots. Raises ValueError
    without a score.
    """
    scales = _size_scales(tasks)
    if not scales:
        raise ValueError("there is no score to draw")
    variants = _size_variants(tasks)
    looks = {
        key: look
        for results in tasks
        for key, look in palette.variant_looks(results, curves.variants(results)).items()
    }
    shots = sorted(results.task.shots for results in tasks)
    compared = [name for name in palette.REFERENCES if _known(tasks, name, scales)]
    figure, panels = chart(
        _size_title(tasks),
        [legends.method_handles(variants, looks), legends.reference_handles(compared)],
        [footnotes.spread_note(tasks[0], variants, "Bars"), _SIZE_NOTE],
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
            _draw_sizes(axes, size_points(tasks, variant.label, scale), looks[variant.key])
        for name in compared:
            known = [(r.task.shots, curves.reference(r, name, scale)) for r in tasks]
            points = sorted((k, value[0]) for k, value in known if value)
            look = palette.REFERENCES[name]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.0, zorder=2)
        axes.xaxis.set_major_locator(FixedLocator(shots))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(k) for k in shots])
        if scale.metric == QUALITY:
            limit_values(axes, scale)
        else:
            axes.set_ylim(bottom=0.0)
    return figure


def table(tasks: Sequence[TaskResults]) -> Table:
    """A row a number of target images and method: final quality and diversity."""
    scales = _size_scales(tasks)
    rows = []
    for results in sorted(tasks, key=lambda each: each.task.shots):
        for variant in curves.variants(results):
            entries = {}
            for scale in scales:
                curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
                if curve is not None:
                    value, spread = float(curve.values[-1]), float(curve.spread[-1])
                    entries[scale.key] = TableEntry(value, spread, float(curve.stderr[-1]))
            label = f"{variant.label}, {results.task.shots}"
            rows.append(Row(variant.method, label, "", len(variant.seeds), entries))
    task = tasks[0].task
    return Table(
        f"{task.suite}-{task.target}-data-size",
        _size_title(tasks),
        [
            Column(s.key, s.heading, s.heading, s.about.higher_is_better, scored=True)
            for s in scales
        ],
        rows,
        [footnotes.spread_note(tasks[0], _size_variants(tasks), "±"), _SIZE_NOTE],
        [],
        head="method, target images",
    )


def _size_title(tasks: Sequence[TaskResults]) -> str:
    task = tasks[0].task
    domains = task.title.rpartition(" (")[0]
    return f"{domains} ({task.suite}): last snapshots by number of target images"


def _size_scales(tasks: Sequence[TaskResults]) -> list[Scale]:
    first = tasks[0]
    return [
        scale
        for metric in (QUALITY, first.task.diversity)
        for scale in metric_scales(first, metric)[:1]
    ]


def _size_variants(tasks: Sequence[TaskResults]) -> list[Variant]:
    return list({v.label: v for results in tasks for v in curves.variants(results)}.values())


def _known(tasks: Sequence[TaskResults], name: str, scales: Sequence[Scale]) -> bool:
    return any(curves.reference(r, name, scale) for r in tasks for scale in scales)


def size_points(
    tasks: Sequence[TaskResults], label: str, scale: Scale
) -> list[tuple[int, float, float]]:
    """Shots, final score and its spread of the variant called ``label``, by shots."""
    points = []
    for results in tasks:
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
