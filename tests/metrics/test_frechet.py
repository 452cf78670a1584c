"""Frechet distance against clean-fid, closed forms and itself."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from cleanfid.fid import fid_from_feats
from numpy.typing import NDArray

from fsgan_bench.metrics.frechet import FrechetReference, frechet_distance


def features(count: int, dimensions: int, seed: int) -> NDArray[np.float64]:
    """Correlated, non-negative features with a spectrum that falls off as pooled features' does."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dimensions, dimensions))
    mixing *= np.logspace(0, -2, dimensions)[:, None]
    noise = generator.normal(0.1 * seed, 1 + 0.2 * seed, (count, dimensions))
    return np.maximum(noise @ mixing, 0)


@pytest.mark.parametrize(
    ("n1", "n2", "d"), [(40, 50, 64), (40, 200, 64), (200, 40, 64), (300, 200, 64), (64, 65, 64)]
)
def test_equals_clean_fid(n1: int, n2: int, d: int) -> None:
    x, y = features(n1, d, 1), features(n2, d, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = fid_from_feats(x, y)
    assert expected > 1
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_one_dimension_is_the_distance_of_two_normals() -> None:
    x, y = np.array([[1.0], [2.0], [6.0]]), np.array([[0.0], [10.0]])
    expected = (3 - 5) ** 2 + (np.std(x, ddof=1) - np.std(y, ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances_have_a_closed_form() -> None:
    scale = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    x = torch.eye(3, dtype=torch.float64).repeat(2, 1) * scale
    x[3:] *= -1
    shift = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    expected = 5 + float((x.std(0) * 2).square().sum())
    assert frechet_distance(x, 3 * x + shift) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [30, 100])
def test_of_a_set_with_itself_is_zero(count: int) -> None:
    x = features(count, 64, 1)
    assert frechet_distance(x, x[::-1].copy()) == pytest.approx(
        0, abs=1e-9 * float(np.square(x).sum())
    )


def test_grows_with_a_shift_of_the_mean_by_its_square() -> None:
    x = features(80, 32, 1)
    assert frechet_distance(x, x + 0.5) == pytest.approx(32 * 0.25, rel=1e-9)


def test_a_reference_serves_many_snapshots_and_takes_float32_tensors() -> None:
    y = features(100, 64, 2)
    reference = FrechetReference(y)
    for seed in (1, 3):
        x = features(50, 64, seed)
        expected = frechet_distance(x, y)
        assert reference.distance(x) == expected
        assert reference.distance(torch.from_numpy(x).float()) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(y, features(50, 64, 1)) == pytest.approx(
        reference.distance(features(50, 64, 1)), rel=1e-10
    )


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 4)), np.zeros((3, 0)), np.zeros(4), np.array([[0.0, np.nan], [1.0, 2.0]])]
)
def test_refuses_what_is_no_feature_set(bad: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="features"):
        FrechetReference(bad)


def test_refuses_features_of_another_width() -> None:
    with pytest.raises(ValueError, match="5 dimensions, the reference 4"):
        FrechetReference(np.zeros((3, 4))).distance(np.zeros((3, 5)))
