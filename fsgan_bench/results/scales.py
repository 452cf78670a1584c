"""What may share an axis or a column: a metric on a backbone in a version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fsgan_bench.metrics.description import MetricDescription, MetricKind
from fsgan_bench.results.reader import DONE, TaskResults

QUALITY = "realisticness"
"""The metric that tells whether an adaptation has converged."""


@dataclass(frozen=True)
class Scale:
    """One metric, on one backbone, in one version; ``about`` is how its values are shown.

    ``edition`` tells the version from others of the same metric and backbone in a task.
    """

    metric: str
    backbone: str
    version: str
    edition: str
    about: MetricDescription

    @property
    def key(self) -> str:
        """The scale as a column of a CSV file, e.g. ``intra_lpips_lite0``."""
        name = self.metric.removesuffix(f"_{self.backbone}")
        parts = " ".join(part for part in (name, self.backbone, self.edition) if part)
        return re.sub(r"\W+", "_", parts)

    def name(self, mathtext: bool = False) -> str:
        """The metric with its backbone, as over a column; ``mathtext`` as on an axis."""
        details = ", ".join(part for part in (self.about.details, self.edition) if part)
        name = f"{self.about.title} ({details})" if details else self.about.title
        if self.about.unit:
            name += f" [{self.about.unit}]"
        return formula(name) if mathtext else name

    @property
    def heading(self) -> str:
        """:meth:`name` and which way is better."""
        return f"{self.name()} {self.about.arrow}".rstrip()

    @property
    def short_heading(self) -> str:
        """The same where a column is narrow."""
        return f"{self.about.short} {self.about.arrow}".rstrip()


def formula(text: str) -> str:
    """``text`` for matplotlib's mathtext, with ``p_t`` as a formula and nothing else."""
    return re.sub(r"\bp_t\b", "$p_t$", text.replace("$", r"\$"))


def metric_scales(results: TaskResults, metric: str) -> list[Scale]:
    """The scales on which finished cells of a task were scored by ``metric``, sorted.

    Those of the references in a task without cells.
    """
    stored = _finished_scores(results)
    stored = stored[stored["metric"] == metric]
    versions: dict[str, list[str]] = {}
    for backbone, version in stored[["backbone", "version"]].drop_duplicates().itertuples(False):
        versions.setdefault(str(backbone), []).append(str(version))
    return [
        Scale(
            metric,
            backbone,
            version,
            _edition(version, known),
            results.metrics[metric, backbone, version],
        )
        for backbone, known in sorted(versions.items())
        for version in sorted(known)
    ]


def scales_of_kind(results: TaskResults, *kinds: MetricKind) -> list[Scale]:
    """The scales of all metrics of these kinds, in the order of the kinds and sorted within."""
    names = sorted({str(name) for name in _finished_scores(results)["metric"]})
    everything = [scale for name in names for scale in metric_scales(results, name)]
    return [scale for kind in kinds for scale in everything if scale.about.kind == kind]


def _finished_scores(results: TaskResults) -> pd.DataFrame:
    """The scores of finished cells; those of the references in a task without cells."""
    if results.cells.empty:
        return results.references
    scores: pd.DataFrame = results.scores[results.scores["status"] == DONE]
    return scores


def _edition(version: str, versions: Sequence[str]) -> str:
    """Those parts of a version that the others do not share; nothing if it is the only one."""
    shared = set.intersection(*(set(other.split(", ")) for other in versions))
    parts = ", ".join(part for part in version.split(", ") if part not in shared)
    return f"version {parts}" if parts.isdigit() else parts
