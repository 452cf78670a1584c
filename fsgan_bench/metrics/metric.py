"""The metrics of a snapshot. All of them judge the same 8-bit images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.features.names import IntraProtocol, frechet_name
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import Clustered

FEW_REFERENCES = 1000
"""A Frechet distance to fewer real images than this comes with a warning."""

NO_CLASSIFIER = "there are no images of the target, or of anything else, to train a classifier with"
NO_REFERENCE = "the target has no set of real images to compare with"

Role = Literal["classifier", "lpips", "frechet", "edges"]
"""Which of a task's networks a metric looks through; ``edges`` is none but a filter."""


class Classifier(Protocol):
    """What scoring needs of a classifier.

    ``card`` names it (``name``) and its network in full (``backbone``).
    """

    card: Mapping[str, Any]

    def scores(self, images: Images) -> NDArray[np.float64]:
        """Probability of the target domain for images [N, H, W, 3], [N] in [0, 1]."""


@runtime_checkable
class FeatureClassifier(Protocol):
    """A classifier on the pooled features of the backbone whose version is ``trunk``.

    They need not be extracted again if another metric looks through the same backbone.
    """

    trunk: str

    def scores_from_features(self, pooled: Tensor) -> NDArray[np.float64]:
        """Probability of the target domain for features [N, d], [N] in [0, 1]."""


@dataclass(frozen=True)
class Yardstick:
    """What the images of a task are held against; a part that the target lacks is None.

    Attributes:
        few_shot: LPIPS features of the few-shot images, [M, D].
        classifier: target or not.
        reference: pooled features of real target images.
        real: these features themselves, [N, d].
        real_nearest: gives the LPIPS [N] of held-out real images to their nearest few-shot image.
        source: gives what the source generator draws for the probe batch, uint8 [N, R, R, 3].
        ideal: gives the ideal adaptation of that.
    """

    few_shot: Tensor
    classifier: Classifier | None
    reference: FrechetReference | None
    real: Tensor | None = None
    real_nearest: Callable[[], NDArray[np.floating[Any]]] | None = None
    source: Callable[[], Images] | None = None
    ideal: Callable[[], Images] | None = None


@dataclass(frozen=True)
class Measured:
    """What the networks made of N images, as far as the metrics ask for it.

    Attributes:
        images: the images, uint8 [N, H, W, 3].
        clusters: which few-shot image each is nearest to, and their diversity, by protocol; None
            if no metric looks at LPIPS.
        pooled: their pooled features [N, d], by the version of the backbone.
        frechet: pooled features [N', d] of these and further images; empty without a reference.
        to_ideal: LPIPS [N] of each image to the ideal of its latent; None if no metric asks for it.
    """

    images: Images
    clusters: Clustered | None
    pooled: Mapping[str, Tensor]
    frechet: Tensor
    to_ideal: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Value:
    """A metric's answer for ``n`` images.

    The value, its standard error if it is a mean, and what else to store. ``each`` [n] is what the
    single images have to do with it: for a mean, that of which it is one.
    """

    value: float
    n: int
    stderr: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    each: NDArray[np.float64] | None = None


class Metric(ABC):
    """A number for a set of images.

    Class attributes:
        name: identifier in ``scores.jsonl``.
        title: label in figures and tables; the backbone's name is added to it.
        version: raised whenever values change.
        higher_is_better: the direction of better.
        definition: one sentence with the source.
        role: which network it looks through.
        paired: whether it holds each image against the source's for the same latent, so that only
            images of the probe batch have it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    higher_is_better: ClassVar[bool]
    definition: ClassVar[str]
    role: ClassVar[Role]
    paired: ClassVar[bool] = False

    def missing(self, yardstick: Yardstick) -> str | None:
        """Why a task with this yardstick goes without the metric; None if it does not."""
        return None

    def warning(self, yardstick: Yardstick) -> str | None:
        """What a reader of its values must know, in one clause; None if there is nothing."""
        return None

    def stored_as(self, backbone: str) -> str:
        """The name under which its scores are stored, by default its own."""
        return self.name

    @abstractmethod
    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        """Score what was measured; not called if something is missing."""


class RealisticnessScore(Metric):
    """``p_t`` (Zhao et al. 2022, Eq. 3): mean probability of the target domain, in [0, 1]."""

    name = "realisticness"
    title = "realisticness p_t"
    version = "1"
    higher_is_better = True
    definition = "mean classifier probability of the target domain (Zhao et al. 2022, Eq. 3)"
    role = "classifier"

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_CLASSIFIER if yardstick.classifier is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        classifier = yardstick.classifier
        assert classifier is not None
        if isinstance(classifier, FeatureClassifier) and classifier.trunk in measured.pooled:
            scores = classifier.scores_from_features(measured.pooled[classifier.trunk])
        else:
            scores = classifier.scores(measured.images)
        stderr = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
        return Value(float(scores.mean()), len(scores), stderr, each=scores)


class IntraLPIPSScore(Metric):
    """Diversity within the clusters around the few-shot images (Ojha et al. 2021)."""

    name = "intra_lpips"
    title = "intra-LPIPS"
    version = "1"
    higher_is_better = True
    definition = "mean LPIPS of all pairs nearest to the same few-shot image, over the clusters"
    role = "lpips"
    protocol: ClassVar[IntraProtocol] = "exact"

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert measured.clusters is not None
        result = measured.clusters.by_protocol[self.protocol]
        clusters = sum(size > 1 for size in result.cluster_sizes)
        detail = {
            "cluster_sizes": list(result.cluster_sizes),
            "empty": result.empty,
            "singleton": result.singleton,
            "with_empty_as_zero": result.with_empty_as_zero,
            "std": result.std,
        }
        stderr = result.std / clusters**0.5 if clusters > 1 else None
        each = measured.clusters.distances if self.protocol == "exact" else None
        return Value(result.value, len(measured.images), stderr, detail, each)


class IntraLPIPSCDC2021(IntraLPIPSScore):
    """The same with at most 50 images a cluster, as Ojha et al. 2021 evaluate."""

    name = "intra_lpips_cdc2021"
    title = "intra-LPIPS (at most 50 a cluster)"
    definition = "as intra_lpips, with at most 50 images a cluster (Ojha et al. 2021)"
    protocol = "cdc2021"


class FrechetScore(Metric):
    """Frechet distance to real target images (Heusel et al. 2017) on a backbone's features.

    It is FID on ``inception`` only (see `frechet_name`); ``detail`` holds how many real images.
    """

    name = "fd"
    title = "Frechet distance"
    version = "1"
    higher_is_better = False
    definition = "Frechet distance to held-out real target images on the backbone's features"
    role = "frechet"

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_REFERENCE if yardstick.reference is None else None

    def warning(self, yardstick: Yardstick) -> str | None:
        count = yardstick.reference.count if yardstick.reference else FEW_REFERENCES
        if count >= FEW_REFERENCES:
            return None
        return f"compares with only {count} real images, which biases it upwards"

    def stored_as(self, backbone: str) -> str:
        return frechet_name(backbone)

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        reference, features = yardstick.reference, measured.frechet
        assert reference is not None
        detail = {"references": reference.count}
        return Value(reference.distance(features), len(features), detail=detail)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (RealisticnessScore(), IntraLPIPSScore(), IntraLPIPSCDC2021(), FrechetScore())
}
"""What can be said of any set of images; `registry` has the others."""
