from __future__ import annotations

import numpy as np
import pytest

from classifiers.base import Classifier
from classifiers.factory import get_classifier
from fsgan_bench.data.avatars import draw
from fsgan_bench.data.filters import pencil
from fsgan_bench.data.images import Images
from fsgan_bench.data.splits import CLASSIFIER_START

SIZE = 64


@pytest.fixture(scope="session")
def sketches() -> Images:
    return draw("sketches", CLASSIFIER_START, 64, SIZE)


@pytest.fixture(scope="session")
def negatives() -> dict[str, Images]:
    others = ("ink", "lorelei", "micah", "pixel-art", "bottts")
    counts = {"faces": 64, "grey-faces": 32, **dict.fromkeys(others, 16)}
    return {name: draw(name, CLASSIFIER_START, count, SIZE) for name, count in counts.items()}


@pytest.fixture(scope="session")
def few(sketches: Images, negatives: dict[str, Images]) -> tuple[Images, dict[str, Images]]:
    """The fewest images that a classifier may be asked to train on, or nearly."""
    return sketches[:16], {"faces": negatives["faces"][:16], "ink": negatives["ink"][:8]}


@pytest.fixture(scope="session")
def classifier(sketches: Images, negatives: dict[str, Images]) -> Classifier:
    return get_classifier("lite0-logistic", sketches, negatives, ideal=pencil)


@pytest.fixture
def coloured() -> dict[str, Images]:
    """Four sets of 12 different small images each, [12, 8, 8, 3]."""
    stream = np.random.default_rng(0)
    names = ("target", "faces", "ink", "robots")
    return {name: stream.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8) for name in names}
