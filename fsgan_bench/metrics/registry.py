"""The metrics that come with fsgan-bench and score every snapshot."""

from __future__ import annotations

from fsgan_bench.metrics.correspondence import PAIRED
from fsgan_bench.metrics.metric import METRICS, Metric

ALWAYS: dict[str, Metric] = {**METRICS, **PAIRED}
"""What every snapshot is scored by, as far as its task can be; others can be added."""

TOGETHER: dict[str, tuple[str, ...]] = {"prdc": ("precision", "recall", "density", "coverage")}
"""Names that stand for several."""


def scored_always(version: str) -> bool:
    """Whether a stored score's version is that of a metric of every snapshot."""
    _, _, metric = version.partition(", ")
    return metric.partition(" ")[0] in ALWAYS
