"""What a realisticness classifier is, and when its word can be trusted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.frechet import FeatureArray

VERSION = "1"
"""Version of training and of the card; raised whenever either changes."""

MIN_ACCURACY = 0.9
MAX_CONTENT_FREE = 0.1

CONTENT_FREE = {
    "uniform_noise": "uniform noise",
    "gaussian_grey_noise": "Gaussian grey noise",
    "white_page": "a white page",
    "grey_page": "a grey page",
}
"""Probes that show nothing at all, by name, and what a sentence calls them."""

Scores: TypeAlias = NDArray[np.float64]
Parameters: TypeAlias = dict[str, NDArray[Any]]


class Classifier(ABC):
    """Tells target from non-target images.

    ``card`` is a JSON-ready record of what it was trained on and how it does on what it was not
    trained on; ``card["hash"]`` names everything that decides the classifier.
    """

    card: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of training images, configuration, backbone and version."""
        return str(self.card["hash"])

    @abstractmethod
    def scores(self, images: Images) -> Scores:
        """Probability of the target domain for images [N, H, W, 3], [N] in [0, 1].

        Does not depend on the batch beyond rounding. Raises ValueError for no or malformed images.
        """

    def check_usable(self, *, allow: bool = False) -> None:
        """:func:`check_usable` of this classifier's card."""
        check_usable(self.card, allow=allow)


class TrunkClassifier(Classifier):
    """A classifier on the pooled features of a frozen backbone, which other metrics need as well.

    ``trunk`` is the ``version`` of the backbone that the features must come from.
    """

    trunk: str

    @abstractmethod
    def scores_from_features(self, pooled: FeatureArray) -> Scores:
        """Probability of the target domain for features [N, d], [N] in [0, 1].

        Raises ValueError for another shape.
        """


def check_usable(card: Mapping[str, Any], *, allow: bool = False) -> None:
    """Raise UserError if a classifier is too weak to measure realisticness with.

    It must be right on at least 0.9 of the held-out images (classes and non-target domains
    weighted as in training) and give images that show nothing (noise, an empty page) at most 0.1
    on average. ``allow`` lets it pass anyway.
    """
    if allow:
        return
    faults = []
    accuracy = card["held_out"]["accuracy"]
    if accuracy < MIN_ACCURACY:
        faults.append(f"its held-out accuracy is {accuracy:.3f} (at least {MIN_ACCURACY} needed)")
    faults += [
        f"{words} scores {card['probes'][name]:.3f} (at most {MAX_CONTENT_FREE} allowed)"
        for name, words in CONTENT_FREE.items()
        if card["probes"][name] > MAX_CONTENT_FREE
    ]
    if faults:
        raise UserError(
            f"The classifier '{card['name']}' is too weak for this target: {', '.join(faults)}. "
            "Give it more images or more non-target domains, or score with it all the same by "
            "--allow-weak-classifier."
        )
