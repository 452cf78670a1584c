"""Realisticness: how much of the target domain a classifier sees in the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import (
    FeatureClassifier,
    Measured,
    Metric,
    ScoringClassifier,
    Value,
    Yardstick,
)

if TYPE_CHECKING:
    from torch import Tensor

    from fsgan_bench.data.images import Images

ROUNDING = 1e-6
"""By so much a probability may miss 0 or 1 in single precision."""

LONGEST = 200
"""Characters of what a classifier gives that a message quotes."""

NO_CLASSIFIER = "there are no real images of the target to train a classifier with"
NOTHING_TO_REJECT = (
    "there are no images of anything but the target (source_images, non_target) to train a "
    "classifier with"
)


class RealisticnessScore(Metric):
    """``p_t`` (Zhao et al. 2022, Eq. 3): mean probability of the target domain, in [0, 1]."""

    name = "realisticness"
    title = "realisticness p_t"
    short = "p_t"
    version = "1"
    higher_is_better = True
    definition = "mean classifier probability of the target domain (Zhao et al. 2022, Eq. 3)"
    role = "classifier"
    kind = "quality"
    limits = (0.0, 1.0)

    def missing(self, yardstick: Yardstick) -> str | None:
        return (yardstick.no_classifier or NO_CLASSIFIER) if yardstick.classifier is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        classifier = yardstick.classifier
        assert classifier is not None
        scores = probabilities(classifier, measured.images, measured.pooled)
        stderr = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
        return Value(float(scores.mean()), len(scores), stderr, each=scores)


def probabilities(
    classifier: ScoringClassifier, images: Images, pooled: Mapping[str, Tensor]
) -> NDArray[np.float64]:
    """What a classifier says of images uint8 [N, H, W, 3]: [N] in [0, 1].

    ``pooled`` has features [N, d] of them that are there already, by the version of the network.

    Raises:
        UserError: the classifier gives something else.
    """
    if isinstance(classifier, FeatureClassifier) and classifier.trunk in pooled:
        given = classifier.scores_from_features(pooled[classifier.trunk])
    else:
        given = classifier.scores(images)
    try:
        return checked(given, len(images))
    except ValueError as error:
        name = classifier.card["name"]
        raise UserError(f"The classifier '{name}' cannot be used: {error}.") from None


def checked(given: object, count: int) -> NDArray[np.float64]:
    """A classifier's scores of ``count`` images as an array; ValueError if they are none."""
    try:
        scores = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        scores = np.empty(0)
    if scores.shape != (count,) or not (np.abs(scores - 0.5) <= 0.5 + ROUNDING).all():
        shown = repr(given)
        raise ValueError(
            f"its scores of {count} images must be as many numbers between 0 and 1, not "
            f"{shown if len(shown) <= LONGEST else shown[:LONGEST] + '...'}"
        )
    return scores.clip(0.0, 1.0)
