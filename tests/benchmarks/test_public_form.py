"""The obvious forms compute what ours computes, and ours is faster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import public_form
import pytest
from comparisons import Size, frechet, intra, pictures, plain_step, session
from measuring import Row

from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import frechet_distance
from fsgan_bench.metrics.intra_lpips import intra_lpips
from fsgan_bench.stylegan2.architecture import Architecture

SMALL = Architecture(32, 16, 2, {4: 8, 8: 8, 16: 8, 32: 4})
SIZE = Size(images=40, dimensions=384, pairs=3, wide=SMALL, embedded=SMALL, rounds=1)


def test_intra_lpips_is_that_of_all_pairs() -> None:
    backbone = load_backbone("lite0")
    fakes, few_shot = pictures(6, 1), pictures(2, 2)
    features, anchors = (backbone.features(each).lpips for each in (fakes, few_shot))
    pairs = public_form.intra_lpips(backbone, fakes, few_shot)
    assert intra_lpips(features, anchors).value == pytest.approx(pairs, rel=1e-6)


def test_the_frechet_distance_is_that_of_the_matrix_root() -> None:
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(90, 24)), 1.5 * draws.normal(size=(80, 24)) + 0.3
    assert frechet_distance(x, y) == pytest.approx(public_form.frechet_distance(x, y), rel=1e-6)


def test_cdc_in_public_form_has_the_same_losses() -> None:
    ours, theirs = (session("cdc", SMALL) for _ in range(2))
    expected = [plain_step(ours) for _ in range(2)]
    with public_form.training():
        found = [plain_step(theirs) for _ in range(2)]
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("comparison", [intra, frechet])
def test_ours_is_faster(comparison: Callable[[Size], Row]) -> None:
    assert comparison(SIZE).ratio > 3.0
