"""Retention: which attributes of a source image survive the adaptation, at several semantic levels.

Zhao et al. 2022 claim that DCL keeps diversity "at several semantic levels" and show pictures.
Where the drawings' attributes are known it can be measured: heads read them off ``G_t(z)`` and off
``G_s(z)``, and their agreement beyond chance says what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.attributes import ABSENT
from fsgan_bench.metrics.metric import AttributeReaders, Measured, Metric, Value, Yardstick

Level = Literal["coarse", "middle", "fine"]

LEVELS: Mapping[Level, tuple[str, ...]] = {
    "coarse": ("top", "glasses"),
    "middle": ("skin", "hair colour", "hat colour", "beard", "beard colour", "clothes colour"),
    "fine": ("eyes", "brows", "mouth", "glasses colour"),
}
"""From what makes a face's outline to what a few pixels decide."""

READABLE = 0.5
"""Cohen's kappa on real target drawings, against the truth, from which an attribute counts: below
it the target's rendering has destroyed the attribute, or the features do not show it."""

VARIED = 0.02
"""Share of the source's images that must show another value than the commonest for an attribute to
count: where glasses are read off nearly nobody, their agreement beyond chance is not to be told."""

PRESENT = 0.05
"""Share of the source's images that must have a part for its colour to count."""

NO_ATTRIBUTES = "the attributes of its images are not known, or the source has others"


def readable(readers: AttributeReaders) -> tuple[str, ...]:
    """Attributes that both kinds of real drawings show, see ``READABLE``."""
    cards = [heads.card["attributes"] for heads in (readers.target, readers.source)]
    return tuple(
        name
        for name in readers.target.names
        if min(card[name]["kappa"] for card in cards) >= READABLE
    )


def varied(reading: NDArray[np.int64]) -> bool:
    """Whether images show an attribute and differ in it, as read off them [N]: see ``VARIED``."""
    shown = reading[reading != ABSENT]
    if len(shown) < PRESENT * len(reading):
        return False
    _, counts = np.unique(shown, return_counts=True)
    return bool(counts.max() <= (1 - VARIED) * len(shown))


class RetentionScore(Metric):
    """Cohen's kappa of the attributes read off ``G_t(z)`` and off ``G_s(z)``, mean over them.

    1: every face keeps all of its attributes; 0: no more than chance. A part's colour counts over
    the images whose source has the part: that the part is there is another attribute. Left out are
    attributes that cannot be read off real drawings (``READABLE``), and those that the source's
    images hardly have (``PRESENT``) or hardly differ in (``VARIED``). ``detail`` holds the kappa of
    each (``attributes``) and the target heads' on real drawings (``ceiling``).
    """

    name = "retention"
    title = "attribute retention"
    version = "3"
    higher_is_better = True
    definition = "Cohen's kappa of attributes read off G_t(z) and G_s(z), mean over attributes"
    role = "lpips"
    reading = "attributes"
    paired = True
    limits = (-1.0, 1.0)
    level: ClassVar[Level | None] = None

    def details_on(self, backbone: str) -> str:
        """The backbone alone: heads read its features, no distance between them is taken."""
        return backbone

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_ATTRIBUTES if yardstick.attributes is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.attributes is not None and measured.attributes is not None
        readers = yardstick.attributes()
        names = [n for n in readable(readers) if self.level is None or n in LEVELS[self.level]]
        ours, theirs = measured.attributes
        columns = {name: readers.target.names.index(name) for name in names}
        each = {
            name: kept(ours[:, k], theirs[:, k])
            for name, k in columns.items()
            if varied(theirs[:, k])
        }
        count = len(ours)
        if not each:
            return Value(float("nan"), count)
        mean = np.mean(list(each.values()), axis=0)
        card = readers.target.card["attributes"]
        detail = {
            "attributes": {name: round(float(part.mean()), 4) for name, part in each.items()},
            "ceiling": {name: card[name]["kappa"] for name in each},
        }
        stderr = float(mean.std(ddof=1) / count**0.5) if count > 1 else None
        return Value(float(mean.mean()), count, stderr, detail, mean)


class CoarseRetention(RetentionScore):
    """Retention of what makes the outline: top and glasses."""

    name, level = "retention_coarse", "coarse"
    title = "retention (coarse)"
    definition = "retention of the top and the glasses"


class MiddleRetention(RetentionScore):
    """Retention of areas: skin, beard, and the colours of hair, hat, beard and clothes."""

    name, level = "retention_middle", "middle"
    title = "retention (middle)"
    definition = "retention of skin, beard and the colours of hair, hat, beard and clothes"


class FineRetention(RetentionScore):
    """Retention of what a few pixels decide: eyes, brows, mouth and the glasses' colour."""

    name, level = "retention_fine", "fine"
    title = "retention (fine)"
    definition = "retention of eyes, brows, mouth and the glasses' colour"


def kept(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each image's part [N] in the kappa of two readings [N] where the second has the attribute.

    Their mean is that kappa, and their spread that of its estimate: an image without the attribute
    weighs nothing. Zeros where no image has it.
    """
    has = theirs != ABSENT
    if not has.any():
        return np.zeros(len(theirs))
    parts = agreement(ours[has], theirs[has])
    value = float(parts.mean())
    each = np.full(len(theirs), value)
    each[has] += (parts - value) * (len(theirs) / has.sum())
    return each


def agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each image's part [N] in Cohen's kappa of two readings [N], which is their mean.

    ``(agrees - p) / (1 - p)``, where ``p`` is the agreement of chance (Cohen 1960); zeros where p
    is 1, as two constants tell nothing.
    """
    values = np.union1d(first, second)
    shares = [np.array([(reading == v).mean() for v in values]) for reading in (first, second)]
    chance = float(shares[0] @ shares[1])
    if chance >= 1:
        return np.zeros(len(first))
    each: NDArray[np.float64] = ((first == second) - chance) / (1 - chance)
    return each


def kappa(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Cohen's kappa of two readings [N]: 1 for the same, 0 for the agreement of chance."""
    return float(agreement(first, second).mean())
