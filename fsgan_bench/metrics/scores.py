"""The metrics of a snapshot. All of them read the same features of the same 8-bit images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.metrics.backbone import Features
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import intra_lpips
from fsgan_bench.metrics.names import IntraProtocol


class Classifier(Protocol):
    """What scoring needs of a classifier."""

    def scores(self, images: Images) -> NDArray[np.float64]:
        """Probability of the target domain for images [N, H, W, 3], [N] in [0, 1]."""


@runtime_checkable
class FeatureClassifier(Protocol):
    """A classifier on the backbone's features, which then need not be extracted again."""

    def scores_from_features(self, pooled: Tensor) -> NDArray[np.float64]:
        """Probability of the target domain for features [N, d], [N] in [0, 1]."""


@dataclass(frozen=True)
class Yardstick:
    """What the images of a task are held against.

    Attributes:
        classifier: target or not.
        few_shot: LPIPS features of the few-shot images, [M, D].
        reference: pooled features of real target images.
    """

    classifier: Classifier
    few_shot: Tensor
    reference: FrechetReference


@dataclass(frozen=True)
class Value:
    """A metric's answer: the value, its standard error if it is a mean, and what else to store."""

    value: float
    stderr: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """A number for N images.

    Class attributes:
        name: identifier in ``scores.jsonl``.
        title: label in figures and tables; the backbone's name is added to it.
        version: raised whenever values change.
        higher_is_better: the direction of better.
        definition: one sentence with the source.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    higher_is_better: ClassVar[bool]
    definition: ClassVar[str]

    @abstractmethod
    def __call__(self, images: Images, features: Features, yardstick: Yardstick) -> Value:
        """Score N images, uint8 [N, H, W, 3], whose features are given."""


class RealisticnessScore(Metric):
    """``p_t`` (Zhao et al. 2022, Eq. 3): mean probability of the target domain, in [0, 1]."""

    name = "realisticness"
    title = "realisticness p_t"
    version = "1"
    higher_is_better = True
    definition = "mean classifier probability of the target domain (Zhao et al. 2022, Eq. 3)"

    def __call__(self, images: Images, features: Features, yardstick: Yardstick) -> Value:
        classifier = yardstick.classifier
        if isinstance(classifier, FeatureClassifier):
            scores = classifier.scores_from_features(features.pooled)
        else:
            scores = classifier.scores(images)
        stderr = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
        return Value(float(scores.mean()), stderr)


class IntraLPIPSScore(Metric):
    """Diversity within the clusters around the few-shot images (Ojha et al. 2021)."""

    name = "intra_lpips"
    title = "intra-LPIPS"
    version = "1"
    higher_is_better = True
    definition = "mean LPIPS of all pairs nearest to the same few-shot image, over the clusters"
    protocol: ClassVar[IntraProtocol] = "exact"

    def __call__(self, images: Images, features: Features, yardstick: Yardstick) -> Value:
        result = intra_lpips(features.lpips, yardstick.few_shot, self.protocol)
        clusters = sum(size > 1 for size in result.cluster_sizes)
        detail = {
            "cluster_sizes": list(result.cluster_sizes),
            "empty": result.empty,
            "singleton": result.singleton,
            "with_empty_as_zero": result.with_empty_as_zero,
            "std": result.std,
        }
        stderr = result.std / clusters**0.5 if clusters > 1 else None
        return Value(result.value, stderr, detail)


class IntraLPIPSCDC2021(IntraLPIPSScore):
    """The same with at most 50 images a cluster, as Ojha et al. 2021 evaluate."""

    name = "intra_lpips_cdc2021"
    title = "intra-LPIPS (at most 50 a cluster)"
    definition = "as intra_lpips, with at most 50 images a cluster (Ojha et al. 2021)"
    protocol = "cdc2021"


class FrechetScore(Metric):
    """Frechet distance to real target images (Heusel et al. 2017) on a backbone's features."""

    name = "fd"
    title = "Frechet distance"
    version = "1"
    higher_is_better = False
    definition = "Frechet distance to held-out real target images on the backbone's features"

    def __call__(self, images: Images, features: Features, yardstick: Yardstick) -> Value:
        return Value(yardstick.reference.distance(features.pooled))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (RealisticnessScore(), IntraLPIPSScore(), IntraLPIPSCDC2021(), FrechetScore())
}


def stored_name(metric: Metric, backbone: str) -> str:
    """The name under which a score is stored: a Frechet distance carries its backbone's name."""
    return f"fd_{backbone}" if metric.name == "fd" else metric.name
