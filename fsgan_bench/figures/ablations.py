"""The figures of the classifier ablation and of the number of target images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from scipy import stats

from fsgan_bench.figures import curves, legends, palette, trajectories
from fsgan_bench.figures.canvas import chart
from fsgan_bench.figures.curves import Curve, Scale, Variant
from fsgan_bench.figures.entries import Column, Entry, Row, Table, table_name
from fsgan_bench.figures.palette import Look
from fsgan_bench.figures.results import TaskResults, read_lines

PANEL_HEIGHT = 1.75

_IMAGES = {
    "noise": "p_t of noise ↓",
    "source": "p_t of source",
    "real": "p_t of real",
    "ideal": "p_t of ideal",
}


@dataclass(frozen=True, eq=False)
class Judgements:
    """What several classifiers make of the same snapshots and of images of known kind.

    Attributes:
        results: the task and its cells.
        titles: of the classifiers, by key; the suite's own comes first.
        scores: a row a snapshot and classifier: judge, hash (the cell's), iteration, value, stderr.
        references: a row a kind of images and classifier: judge, reference, value, stderr.
        cards: of the classifiers, by key.
    """

    results: TaskResults
    titles: Mapping[str, str]
    scores: pd.DataFrame
    references: pd.DataFrame
    cards: Mapping[str, Mapping[str, Any]]

    def curve(self, judge: str, variant: Variant) -> Curve | None:
        """A variant's mean p_t over its judged seeds."""
        cells = self.results.cells
        hashes = cells[cells["variant"] == variant.key]["hash"]
        found = self.scores[(self.scores["judge"] == judge) & self.scores["hash"].isin(hashes)]
        by_seed = {
            number: Curve(
                iterations=part["iteration"].to_numpy(np.float64),
                values=part["value"].to_numpy(np.float64),
                spread=part["stderr"].to_numpy(np.float64),
                stderr=part["stderr"].to_numpy(np.float64),
                seeds=1,
            )
            for number, (_, part) in enumerate(found.sort_values("iteration").groupby("hash"))
        }
        return curves.mean_curve(by_seed)

    def reference(self, judge: str, name: str) -> float:
        """Mean score of the reference images; NaN if it is not known."""
        rows = self.references
        found = rows[(rows["judge"] == judge) & (rows["reference"] == name)]["value"]
        return float(found.iloc[0]) if len(found) else math.nan


def read_judgements(
    results: TaskResults, file: Path, titles: Mapping[str, str], cards: Mapping[str, Any]
) -> Judgements:
    """Read the scores that ``fsgan_bench.ablation`` wrote, of the cells in ``results``."""
    lines = [line for _, line in read_lines(file)]
    scores = pd.DataFrame([line for line in lines if "cell" in line]).rename(
        columns={"cell": "hash"}
    )
    scores = scores[scores["hash"].isin(results.cells["hash"])]
    references = pd.DataFrame([line for line in lines if "reference" in line])
    judged = set(scores["judge"])
    return Judgements(
        results,
        {key: title for key, title in titles.items() if key in judged},
        scores,
        references,
        cards,
    )


def classifier_curves(found: Judgements) -> Figure:
    """p_t against iterations, a panel a classifier and a line a method (Fig. 6 left)."""
    results = found.results
    variants = [
        variant
        for variant in curves.variants(results)
        if any(found.curve(judge, variant) for judge in found.titles)
    ]
    seeds = results.cells[results.cells["hash"].isin(found.scores["hash"])]["seed"].nunique()
    band = "standard error (one seed)" if seeds == 1 else "standard deviation over the seeds"
    compared = [
        name
        for name in palette.REFERENCES
        if any(math.isfinite(found.reference(judge, name)) for judge in found.titles)
    ]
    figure, panels = chart(
        results.task.title,
        [legends.method_handles(variants), legends.reference_handles(compared)],
        [
            "The same stored snapshots, judged by classifiers that learnt the target against other "
            "images; the title says which. Bands: " + band + ".",
        ],
        panels=len(found.titles),
        panel_height=PANEL_HEIGHT,
        columns=2,
        head=0.45,
        gap=0.6,
        right=0.12,
    )
    for axes, (judge, title) in zip(panels, found.titles.items(), strict=True):
        axes.set_title(title)
        axes.set_ylabel("realisticness $p_t$", parse_math=True)
        axes.set_xlabel("iterations (square-root scale)")
        snapshots = np.zeros(0)
        for number, variant in enumerate(variants):
            curve = found.curve(judge, variant)
            if curve is not None:
                trajectories.draw_curve(axes, curve, variant.look, zorder=3 + 0.1 * number)
                snapshots = np.union1d(snapshots, curve.iterations)
        for name, look in palette.REFERENCES.items():
            value = found.reference(judge, name)
            if math.isfinite(value):
                axes.axhline(
                    value, color=look.colour, linestyle=look.dashes, linewidth=1.0, zorder=2
                )
        axes.set_ylim(-0.03, 1.03)
        trajectories.scale_iterations(axes, snapshots)
    return figure


def classifier_table(found: Judgements) -> Table:
    """A row a classifier: how good it is, what it makes of noise, and how far it agrees."""
    task = found.results.task
    wide = found.scores.pivot_table(index=["hash", "iteration"], columns="judge", values="value")
    first = next(iter(found.titles))
    rows = []
    for judge, title in found.titles.items():
        both = wide[[*dict.fromkeys([first, judge])]].dropna()
        one, other = both[first].to_numpy(), both[judge].to_numpy()
        held_out = found.cards.get(judge, {}).get("held_out", {})
        entries = {
            "held_out_accuracy": Entry(float(held_out.get("accuracy", math.nan))),
            **{name: Entry(found.reference(judge, name)) for name in _IMAGES},
        }
        if judge != first:
            entries["difference"] = Entry(float(np.abs(one - other).mean()))
            entries["kendall_tau"] = Entry(float(stats.kendalltau(one, other).statistic))
        rows.append(Row(judge, title, "", 0, entries))
    columns = [
        Column("held_out_accuracy", "held-out accuracy ↑", "accuracy ↑", True),
        *(Column(name, heading, heading) for name, heading in _IMAGES.items()),
        Column("difference", "mean difference of p_t", "difference"),
        Column("kendall_tau", "Kendall's tau", "tau"),
    ]
    return Table(
        f"{table_name(found.results, None)}-classifiers",
        f"{task.title}: classifiers",
        columns,
        rows,
        [
            f"Difference and tau (b): to the first classifier, over {len(wide)} stored snapshots "
            f"of {wide.index.get_level_values('hash').nunique()} runs.",
            "p_t of noise, source, real and ideal images: mean score. Noise is uniform, a value a "
            "channel and pixel.",
        ],
        [],
        head="classifier (non-target images)",
    )


def sizes_figure(every: Sequence[TaskResults]) -> Figure:
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
        [curves.spread_note(every[0], variants, "Bars"), _SIZE_NOTE],
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


def sizes_table(every: Sequence[TaskResults]) -> Table:
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
        [curves.spread_note(every[0], _size_variants(every), "±"), _SIZE_NOTE],
        [],
        head="method, target images",
    )


_SIZE_NOTE = (
    "Intra-LPIPS is over as many clusters as there are target images: more clusters are narrower, "
    "so its values are to be held against the real images' of the same number."
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
