"""The classifier ablation (Zhao et al. 2022, Fig. 6 left): p_t by other classifiers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from fsgan_bench.figures import legends, palette, trajectories
from fsgan_bench.figures.canvas import chart
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.folders import read_ablation_scores
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.system.json_files import read_json
from fsgan_bench.tables.model import Column, Row, Table, TableEntry, table_name

PANEL_HEIGHT = 1.75

_IMAGES = {
    "noise": "p_t of noise ↓",
    "source": "p_t of source",
    "real": "p_t of real",
    "ideal": "p_t of ideal",
}


@dataclass(frozen=True, eq=False)
class Ablation:
    """What several classifiers make of the same snapshots and of images of known kind.

    Attributes:
        results: the task and its cells.
        titles: of the classifiers, by key; the suite's own comes first.
        scores: a row a snapshot and classifier: judge, cell (its hash), iteration, value, stderr.
        references: a row a kind of images and classifier: judge, reference, value, stderr.
        cards: of the classifiers, by key.
    """

    results: TaskResults
    titles: Mapping[str, str]
    scores: pd.DataFrame
    references: pd.DataFrame
    cards: Mapping[str, Mapping[str, Any]]

    def curve(self, judge: str, variant: Variant) -> Curve | None:
        """A variant's mean p_t over its scored seeds."""
        cells = self.results.cells
        hashes = cells[cells["variant"] == variant.key]["hash"]
        judged = self.scores[(self.scores["judge"] == judge) & self.scores["cell"].isin(hashes)]
        by_seed = {
            number: Curve(
                iterations=part["iteration"].to_numpy(np.float64),
                values=part["value"].to_numpy(np.float64),
                spread=part["stderr"].to_numpy(np.float64),
                stderr=part["stderr"].to_numpy(np.float64),
                seeds=1,
            )
            for number, (_, part) in enumerate(judged.sort_values("iteration").groupby("cell"))
        }
        return curves.mean_curve(by_seed)

    def reference(self, judge: str, name: str) -> float:
        """Mean score of the reference images; NaN if it is not known."""
        rows = self.references
        values = rows[(rows["judge"] == judge) & (rows["reference"] == name)]["value"]
        return float(values.iloc[0]) if len(values) else math.nan


def read_ablation(results: TaskResults, titles: Mapping[str, str]) -> Ablation:
    """Read what ``fsgan_bench.snapshots.classifier_ablation`` wrote, of the cells in ``results``.

    ``titles`` are the classifiers', by key, the suite's own first.
    """
    columns = ["judge", "cell", "iteration", "reference", "value", "stderr"]
    lines = [line.model_dump(include=set(columns)) for line in read_ablation_scores(results.files)]
    scored = pd.DataFrame(lines, columns=pd.Index(columns))
    scores = scored[scored["cell"].isin(results.cells["hash"])]
    judged = set(scores["judge"])
    return Ablation(
        results,
        {key: title for key, title in titles.items() if key in judged},
        scores,
        scored[scored["reference"].notna()],
        {
            key: read_json(file)
            for key, file in results.files.ablation_cards().items()
            if key in titles
        },
    )


def figure(ablation: Ablation) -> Figure:
    """p_t against iterations, a panel a classifier and a line a method (Fig. 6 left)."""
    results = ablation.results
    variants = [
        variant
        for variant in curves.variants(results)
        if any(ablation.curve(judge, variant) for judge in ablation.titles)
    ]
    looks = palette.variant_looks(results, variants)
    seeds = results.cells[results.cells["hash"].isin(ablation.scores["cell"])]["seed"].nunique()
    band = "standard error (one seed)" if seeds == 1 else "standard deviation over the seeds"
    compared = [
        name
        for name in palette.REFERENCES
        if any(math.isfinite(ablation.reference(judge, name)) for judge in ablation.titles)
    ]
    figure, panels = chart(
        results.task.title,
        [legends.method_handles(variants, looks), legends.reference_handles(compared)],
        [
            "The same stored snapshots, scored by classifiers that learnt the target against other "
            "images; the title says which. Bands: " + band + ".",
        ],
        panels=len(ablation.titles),
        panel_height=PANEL_HEIGHT,
        columns=2,
        head=0.45,
        gap=0.6,
        right=0.12,
    )
    for axes, (judge, title) in zip(panels, ablation.titles.items(), strict=True):
        axes.set_title(title)
        axes.set_ylabel("realisticness $p_t$", parse_math=True)
        axes.set_xlabel("iterations (square-root scale)")
        snapshots = np.zeros(0)
        for number, variant in enumerate(variants):
            curve = ablation.curve(judge, variant)
            if curve is not None:
                trajectories.draw_curve(axes, curve, looks[variant.key], zorder=3 + 0.1 * number)
                snapshots = np.union1d(snapshots, curve.iterations)
        for name, look in palette.REFERENCES.items():
            value = ablation.reference(judge, name)
            if math.isfinite(value):
                axes.axhline(
                    value, color=look.colour, linestyle=look.dashes, linewidth=1.0, zorder=2
                )
        axes.set_ylim(-0.03, 1.03)
        trajectories.scale_iterations(axes, snapshots)
    return figure


def table(ablation: Ablation) -> Table:
    """A row a classifier: how good it is, what it makes of noise, and how far it agrees."""
    task = ablation.results.task
    wide = ablation.scores.pivot_table(index=["cell", "iteration"], columns="judge", values="value")
    first = next(iter(ablation.titles))
    rows = []
    for judge, title in ablation.titles.items():
        both = wide[[*dict.fromkeys([first, judge])]].dropna()
        one, other = both[first].to_numpy(), both[judge].to_numpy()
        held_out = ablation.cards.get(judge, {}).get("held_out", {})
        entries = {
            "held_out_accuracy": TableEntry(float(held_out.get("accuracy", math.nan))),
            **{name: TableEntry(ablation.reference(judge, name)) for name in _IMAGES},
        }
        if judge != first:
            entries["difference"] = TableEntry(float(np.abs(one - other).mean()))
            entries["kendall_tau"] = TableEntry(float(stats.kendalltau(one, other).statistic))
            within = [
                float(stats.kendalltau(part[first], part[judge]).statistic)
                for _, part in both.groupby("iteration")
                if len(part) > 1
            ]
            known = [tau for tau in within if math.isfinite(tau)]
            mean = float(np.mean(known)) if known else math.nan
            entries["kendall_tau_within"] = TableEntry(mean)
        rows.append(Row(judge, title, "", 0, entries))
    columns = [
        Column("held_out_accuracy", "held-out accuracy ↑", "accuracy ↑", True, scored=True),
        *(Column(name, heading, heading) for name, heading in _IMAGES.items()),
        Column("difference", "mean difference of p_t", "difference"),
        Column("kendall_tau", "Kendall's tau", "tau"),
        Column("kendall_tau_within", "tau at equal iterations", "tau within"),
    ]
    return Table(
        f"{table_name(ablation.results, None)}-classifiers",
        f"{task.title}: classifiers",
        columns,
        rows,
        [
            f"Difference and tau (b): to the first classifier, over {len(wide)} stored snapshots "
            f"of {wide.index.get_level_values('cell').nunique()} runs; at equal iterations it is "
            "that over the runs, mean over the iterations, without the rise that all share.",
            "p_t of noise, source, real and ideal images: mean score. Noise is uniform, a value a "
            "channel and pixel.",
        ],
        [],
        head="classifier (non-target images)",
    )
