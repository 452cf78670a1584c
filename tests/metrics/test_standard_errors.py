"""The standard error of every metric that is a mean, against the formula on what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fsgan_bench.data.images import Images
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.manifold import Manifolds
from fsgan_bench.metrics.metric import Yardstick
from fsgan_bench.metrics.per_image import NEAREST
from fsgan_bench.metrics.registry import OURS
from fsgan_bench.metrics.scored import Scored
from fsgan_bench.metrics.scorer import Scorer

COUNT = 60
MANIFOLDS = ("precision", "recall", "density", "coverage")
NEAREST_OF_REAL = np.random.default_rng(6).uniform(4.5, 5.5, 25)


def pictures(count: int, seed: int) -> Images:
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


FAKES = pictures(COUNT, 1)
BLANK = np.full((6, 32, 32, 3), 255, dtype=np.uint8)
REAL = np.concatenate([FAKES[:15], pictures(19, 2), BLANK])


class Brightness:
    card: Mapping[str, Any] = {"name": "brightness", "backbone": "brightness/1"}

    def scores(self, images: Images) -> NDArray[np.float64]:
        return np.asarray(images.mean(axis=(1, 2, 3)) / 255.0, dtype=np.float64)


@pytest.fixture(scope="module")
def scored() -> Scored:
    lite0 = load_backbone("lite0")
    yardstick = Yardstick(
        few_shot=lite0.features(pictures(3, 0)).lpips,
        classifier=Brightness(),
        reference=None,
        real=lite0.pooled(REAL),
        real_nearest=lambda: NEAREST_OF_REAL,
        source=lambda: pictures(COUNT, 3),
        ideal=lambda: pictures(COUNT, 4),
    )
    return Scorer(lite0, lite0, yardstick).score(FAKES, metrics=list(OURS.values()))


def stderr(scored: Scored, name: str) -> float:
    (found,) = (score.stderr for score in scored.scores if score.metric == name)
    assert found is not None and found > 0
    return found


def of_mean(each: NDArray[np.floating[Any]]) -> float:
    return float(each.std(ddof=1) / len(each) ** 0.5)


@pytest.mark.parametrize("name", ["realisticness", "correspondence", "structure"])
def test_a_mean_over_images_has_theirs(scored: Scored, name: str) -> None:
    assert stderr(scored, name) == pytest.approx(of_mean(scored.each[name]))


def test_intra_lpips_has_that_of_a_mean_over_clusters(scored: Scored) -> None:
    assert scored.cluster is not None
    each = scored.each["intra_lpips"]
    means = np.array([each[scored.cluster == k].mean() for k in range(3)])
    assert stderr(scored, "intra_lpips") == pytest.approx(of_mean(means))


@pytest.mark.parametrize("name", MANIFOLDS)
def test_a_share_has_that_of_the_images_which_are_judged(scored: Scored, name: str) -> None:
    lite0 = load_backbone("lite0")
    each = getattr(Manifolds(lite0.pooled(REAL), lite0.pooled(FAKES)), name)().numpy()
    assert len(each) == (len(REAL) if name in ("recall", "coverage") else COUNT)
    assert stderr(scored, name) == pytest.approx(of_mean(each))


def test_a_ratio_of_means_has_that_of_drawing_both_anew(scored: Scored) -> None:
    random = np.random.default_rng(0)
    ours, theirs = (
        each[random.integers(len(each), size=(4000, len(each)))].mean(axis=1)
        for each in (scored.each[NEAREST], NEAREST_OF_REAL)
    )
    assert stderr(scored, "nn_lpips") == pytest.approx((ours / theirs).std(), rel=0.1)
