"""The metrics that come with fsgan-bench, by name; ``plugins.metrics`` adds those of others."""

from __future__ import annotations

from collections.abc import Iterable

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.correspondence import CorrespondenceScore, StructureScore
from fsgan_bench.metrics.frechet import FrechetScore
from fsgan_bench.metrics.intra_lpips import IntraLPIPSCDC2021, IntraLPIPSScore
from fsgan_bench.metrics.kernel import KernelScore
from fsgan_bench.metrics.manifold import CoverageScore, DensityScore, PrecisionScore, RecallScore
from fsgan_bench.metrics.metric import Metric
from fsgan_bench.metrics.nearest import NearestScore
from fsgan_bench.metrics.realisticness import RealisticnessScore
from fsgan_bench.metrics.retention import (
    CoarseRetention,
    FineRetention,
    MiddleRetention,
    RetentionScore,
)
from fsgan_bench.system.names import names_in


def _by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


EVERY_SNAPSHOT: dict[str, Metric] = _by_name(
    (
        RealisticnessScore(),
        IntraLPIPSScore(),
        IntraLPIPSCDC2021(),
        FrechetScore(),
        CorrespondenceScore(),
        StructureScore(),
    )
)
"""What every snapshot is scored by, as far as its task can be."""

ON_REQUEST: dict[str, Metric] = _by_name(
    (
        KernelScore(),
        PrecisionScore(),
        RecallScore(),
        DensityScore(),
        CoverageScore(),
        NearestScore(),
        RetentionScore(),
        CoarseRetention(),
        MiddleRetention(),
        FineRetention(),
    )
)
"""What ``fsgan-bench score`` adds from stored snapshots."""

OURS: dict[str, Metric] = {**EVERY_SNAPSHOT, **ON_REQUEST}

TOGETHER: dict[str, tuple[str, ...]] = {
    "prdc": ("precision", "recall", "density", "coverage"),
    "levels": ("retention", "retention_coarse", "retention_middle", "retention_fine"),
}
"""Names that stand for several."""


def metric_names(names: str) -> list[str]:
    """The names in a comma-separated list such as ``kid,prdc``, each once.

    Raises:
        UserError: none is given.
    """
    parts = names_in(names)
    if not parts:
        raise UserError("--metrics names no metric; see fsgan-bench list metrics.")
    return list(dict.fromkeys(name for part in parts for name in TOGETHER.get(part, (part,))))


def scored_always(version: str) -> bool:
    """Whether a stored score's version is that of a metric of every snapshot."""
    _, _, metric = version.partition(", ")
    return metric.partition(" ")[0] in EVERY_SNAPSHOT
