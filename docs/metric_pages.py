"""What the page of the metrics says by itself: their facts, and snapshots that they disagree on."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from fsgan_bench.metrics.metric import Metric
from fsgan_bench.metrics.registry import EVERY_SNAPSHOT, OURS

ROLES = {
    "classifier": "the classifier",
    "lpips": "LPIPS",
    "frechet": "pooled features",
    "edges": "edges, no network",
}
SHOWN = ("realisticness", "intra_lpips", "structure", "fd_lite0")
NOTHING = "The reference results hold no target with several methods.\n"


def facts() -> str:
    """A row a metric: direction, range with the unit, network, images that it takes, version."""
    heads = ("metric", "better", "values", "looks through", "of", "scored", "version")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for metric in OURS.values():
        cells = (
            f"`{metric.name}`",
            _better(metric),
            _values(metric),
            ROLES[metric.role],
            "pairs" if metric.paired else f"{metric.least} or more",
            "every snapshot" if metric.name in EVERY_SNAPSHOT else "on request",
            metric.version,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _better(metric: Metric) -> str:
    if metric.higher_is_better is None:
        return "neither"
    if not metric.higher_is_better:
        return "lower"
    return "higher, up to real images'" if metric.capped else "higher"


def _values(metric: Metric) -> str:
    low, high = metric.limits
    if low is None:
        return "see below"
    span = f"from {low:g}" if high is None else f"{low:g} to {high:g}"
    return f"{span} {metric.unit}".strip()


def disagreement(scores: pd.DataFrame, root: Path, out: Path) -> str:
    """The last snapshots of one target that each metric likes best, with the values of all.

    Of a target whose strips of images are kept.
    """
    last = scores[(scores["kind"] == "method") & scores["metric"].isin(SHOWN)]
    drawn = {path.parents[3].name.rpartition("-")[0] for path in root.glob("*/*/*/grids/*.png")}
    last = last[last["target"].isin(drawn)]
    last = last[last["iteration"] == last.groupby("target")["iteration"].transform("max")]
    counts = last.groupby("target")["method"].nunique()
    if counts.empty or counts.max() < 2:
        return NOTHING
    target = counts.idxmax()
    ends = last[(last["target"] == target) & (last["seed"] == last["seed"].min())]
    values = ends.pivot_table(index="method", columns="metric", values="value")
    about = ends.drop_duplicates("metric").set_index("metric")
    best = {
        metric: values[metric].idxmin()
        if about.loc[metric, "direction"] == "lower"
        else values[metric].idxmax()
        for metric in SHOWN
    }
    rows = []
    for method in dict.fromkeys(best.values()):
        one = ends[ends["method"] == method].iloc[0]
        (strip,) = root.glob(
            f"{target}-{one['shots']:.0f}shot/{method}/seed{one['seed']:.0f}-*/grids/"
            f"{one['iteration']:06.0f}.png"
        )
        told = [
            f"{about.loc[metric, 'title']}: {_number(values.loc[method, metric])}"
            + (" (best)" if best[metric] == method else "")
            for metric in SHOWN
        ]
        rows.append((one["label"], strip, told))
    _sheet(rows, out / "disagreement.png")
    return (
        f"![The last snapshots that a metric likes best](_generated/metrics/disagreement.png)\n\n"
        f"*{target}, the last snapshots of the reference results: each method that one of these "
        f"metrics puts first among {values.shape[0]}, for the same noise.*\n"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _sheet(rows: list[tuple[str, Path, list[str]]], path: Path) -> None:
    figure, axes = plt.subplots(
        len(rows),
        2,
        figsize=(9, 1.05 * len(rows)),
        width_ratios=(2, 1),
        layout="constrained",
        squeeze=False,
    )
    for (label, strip, told), (left, right) in zip(rows, axes, strict=True):
        pixels = np.asarray(Image.open(strip).convert("RGB"))
        left.imshow(pixels[: len(pixels) // 2], interpolation="nearest")
        for axis in (left, right):
            axis.set_axis_off()
        right.text(0, 0.5, "\n".join([label, *told]), va="center", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
