"""Metric: the base class of every metric, and what it is given. All judge the same 8-bit images.

A metric is one class: it says what it measures and how, what it is called, in which unit, which end
is better and what it is shown with. Nothing else decides labels or directions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.features.names import UNCALIBRATED
from fsgan_bench.metrics.description import Limits, MetricDescription, MetricKind

if TYPE_CHECKING:
    from torch import Tensor

    from fsgan_bench.data.images import Images
    from fsgan_bench.metrics.clusters import Clustered

PROTOCOL = "1"
"""Version of the evaluation protocol; raised whenever scores change."""

NO_REFERENCE = "the target has no set of real images to compare with"

Role = Literal["classifier", "lpips", "frechet", "edges", "none"]
"""Which of a task's networks a metric looks through; ``edges`` is a filter, ``none`` nothing."""

Reading = Literal["ideal", "attributes"]
"""What LPIPS features are read for: their distance to the ideal's, or a drawing's attributes."""


class ScoringClassifier(Protocol):
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


class AttributeReader(Protocol):
    """Reads attributes off pictures; ``card["attributes"][NAME]["kappa"]`` says how well."""

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes, in the order of what :meth:`read` gives."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What they were trained on, and how they do on real drawings that they have not seen."""

    def read(self, rows: Iterable[Tensor], side: int) -> NDArray[np.int64]:
        """Values [N, A] of images of ``side`` pixels, from batches of LPIPS features [B, D]."""


@dataclass(frozen=True, eq=False)
class AttributeReaders:
    """What reads attributes in a task: heads of the target's drawings and of the source's."""

    target: AttributeReader
    source: AttributeReader


class Reference(Protocol):
    """The reference side of a distance between distributions: features of ``count`` images."""

    count: int | None

    def distance(self, features: Tensor) -> float:
        """Of features [N, d] from the reference's."""


@dataclass(frozen=True)
class Yardstick:
    """What the images of a task are held against; a part that the target lacks is None.

    Attributes:
        few_shot: LPIPS features of the few-shot images, [M, D].
        classifier: target or not.
        reference: pooled features of real target images.
        real: these features themselves, [N, d].
        real_nearest: gives the LPIPS [N] of held-out real images to their nearest few-shot image.
        statistics: the file that ``reference`` was read from; empty if it is of ``real``.
        compared: how many images of which sets the Frechet distance compares, in one clause.
        no_classifier, no_reference: why there is none, in one clause; empty for the plain reason.
        source: gives what the source generator draws for the probe batch, uint8 [N, R, R, 3].
        ideal: gives the ideal adaptation of that.
        attributes: gives what reads attributes off the target's images and off the source's.
    """

    few_shot: Tensor
    classifier: ScoringClassifier | None
    reference: Reference | None
    statistics: str = ""
    no_classifier: str = ""
    no_reference: str = ""
    real: Tensor | None = None
    real_nearest: Callable[[], NDArray[np.floating[Any]]] | None = None
    source: Callable[[], Images] | None = None
    ideal: Callable[[], Images] | None = None
    compared: str = ""
    attributes: Callable[[], AttributeReaders] | None = None


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
        attributes: values [N, A] read off the images, and off the source's of the same latents;
            None if no metric asks for them.
        also: what ``frechet`` is on further backbones, by their version.
    """

    images: Images
    clusters: Clustered | None
    pooled: Mapping[str, Tensor]
    frechet: Tensor
    to_ideal: NDArray[np.float64] | None = None
    attributes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    also: Mapping[str, Tensor] = field(default_factory=dict)


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
        name: identifier; its scores are stored under it or under what :meth:`stored_as` says.
        title: what figures and tables call it; :meth:`describe` adds the backbone.
        short: the same where a column is narrow; by default the title.
        unit: of its values; empty for a pure number.
        version: raised whenever values change.
        higher_is_better: which end is better; None if neither is.
        definition: one sentence with the source.
        role: which network it looks through.
        least: images below which it is undefined.
        paired: whether it holds each image against the source's for the same latent, so that only
            images of the probe batch have it.
        reading: what it has LPIPS features read for.
        kind: what it is drawn and tabulated with.
        limits: lowest and highest value it can have; None where there is no limit.
        capped: whether more than real images have is artefact and no merit.
        tabulated: whether the table of final scores has it.
        selects: whether the table of model selection has a row for the snapshot that is best by it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    short: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    version: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    definition: ClassVar[str]
    role: ClassVar[Role]
    least: ClassVar[int] = 1
    paired: ClassVar[bool] = False
    reading: ClassVar[Reading | None] = None
    kind: ClassVar[MetricKind] = "further"
    limits: ClassVar[Limits] = (None, None)
    capped: ClassVar[bool] = False
    tabulated: ClassVar[bool] = True
    selects: ClassVar[bool] = False

    def missing(self, yardstick: Yardstick) -> str | None:
        """Why a task with this yardstick goes without the metric; None if it does not."""
        return None

    def warning(self, yardstick: Yardstick) -> str | None:
        """What a reader of its values must know, in one clause; None if there is nothing."""
        return None

    def stored_as(self, backbone: str) -> str:
        """The name under which its scores are stored, by default its own."""
        return self.name

    def title_on(self, backbone: str) -> str:
        """What figures and tables call it on this backbone, by default the title."""
        return self.title

    def details_on(self, backbone: str) -> str:
        """What follows in brackets: the backbone, if any, and that its LPIPS is not calibrated."""
        if self.role == "none":
            return ""
        uncalibrated = self.role == "lpips" and backbone in UNCALIBRATED
        return f"{backbone}, uncalibrated" if uncalibrated else backbone

    def describe(self, backbone: str) -> MetricDescription:
        """How its values on this backbone are shown: what is stored with each score."""
        title = self.title_on(backbone)
        return MetricDescription(
            name=self.name,
            title=title,
            short=self.short if self.short and title == self.title else title,
            details=self.details_on(backbone),
            unit=self.unit,
            higher_is_better=self.higher_is_better,
            kind=self.kind,
            limits=self.limits,
            capped=self.capped,
            tabulated=self.tabulated,
            selects=self.selects,
        )

    @abstractmethod
    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        """Score what was measured; not called if something is missing."""
