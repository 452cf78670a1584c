"""The bootstrap over the probe batch, against one that looks at every pair again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fsgan_bench.metrics.per_image import ProbeValues, choose
from fsgan_bench.results import resampling
from fsgan_bench.results.resampling import Floats, intra_lpips_draws, mean_draws, resamples

Indices = NDArray[np.integer[Any]]


def clusters(sizes: list[int], seed: int = 0) -> tuple[Indices, Floats, Floats]:
    """Cluster [N], distances to the rest of the cluster [N], and all squared distances [N, N]."""
    generator = np.random.default_rng(seed)
    index = np.repeat(np.arange(len(sizes)), sizes)
    points = generator.normal(size=(len(index), 6)) * (1 + 0.2 * index[:, None])
    pairs = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    same = (index[:, None] == index[None]) & ~np.eye(len(index), dtype=bool)
    with np.errstate(invalid="ignore"):
        return index, (pairs * same).sum(axis=1) / same.sum(axis=1), pairs


def by_pairs(index: Indices, pairs: Floats, counts: Floats) -> float:
    """Intra-LPIPS of a resampled batch from all of its pairs but those of copies."""
    means = []
    for cluster in np.unique(index):
        drawn = np.where(index == cluster, counts, 0.0)
        weights = np.outer(drawn, drawn)
        np.fill_diagonal(weights, 0.0)
        if drawn.sum() >= 2:
            means.append((weights * pairs).sum() / weights.sum())
    return float(np.mean(means))


def test_agrees_with_a_bootstrap_that_looks_at_every_pair() -> None:
    index, distances, pairs = clusters([80, 50, 30])
    counts = resamples(160, 1000)
    ours = intra_lpips_draws(index, distances, counts)
    exact = np.array([by_pairs(index, pairs, one) for one in counts.astype(np.float64)])
    assert ours.std() == pytest.approx(exact.std(), rel=0.03)
    assert np.corrcoef(ours, exact)[0, 1] > 0.98
    assert ours.mean() == pytest.approx(exact.mean(), abs=0.1 * exact.std())


def test_every_image_once_gives_the_score_itself() -> None:
    index, distances, pairs = clusters([20, 9, 1, 4])
    means = [
        pairs[index == k][:, index == k][np.triu_indices(n, 1)].mean()
        for k, n in ((0, 20), (1, 9), (3, 4))
    ]
    once = intra_lpips_draws(index, distances, np.ones((1, 34), np.float32))
    assert once[0] == pytest.approx(np.mean(means), rel=1e-6)


def test_standard_error_is_that_of_fresh_batches() -> None:
    """The spread over new probe batches, which the bootstrap estimates from a single one."""
    generator = np.random.default_rng(3)
    centres = np.array([[0.0, 0.0], [4.0, 0.0]])

    def batch() -> tuple[Indices, Floats]:
        index = generator.integers(0, 2, 200)
        points = centres[index] + generator.normal(size=(200, 2))
        pairs = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        same = index[:, None] == index[None]
        return index, (pairs * same).sum(axis=1) / (same.sum(axis=1) - 1)

    once = np.ones((1, 200), np.float32)
    fresh = [intra_lpips_draws(*batch(), once)[0] for _ in range(400)]
    estimated = [intra_lpips_draws(*batch(), resamples(200, 400)).std() for _ in range(20)]
    assert np.mean(estimated) == pytest.approx(np.std(fresh), rel=0.12)


def test_clusters_that_are_hardly_drawn_do_not_count() -> None:
    index, distances = np.array([0, 0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 9.0, 9.0])
    counts = np.array([[2, 2, 1, 0, 0], [2, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 1, 0]])
    drawn = intra_lpips_draws(index, distances, counts.astype(np.float32))
    assert drawn[:3].tolist() == [1.0, 1.0, 5.0]
    assert np.isnan(drawn[3])


def test_means_have_the_standard_error_of_the_mean_and_are_paired() -> None:
    generator = np.random.default_rng(0)
    first = generator.random(500)
    second = first + 0.01 * generator.normal(size=500)
    counts = resamples(500)
    ours, theirs = mean_draws(first, counts), mean_draws(second, counts)
    assert ours.std() == pytest.approx(first.std() / 500**0.5, rel=0.05)
    paired = (first - second).std() / 500**0.5
    assert (ours - theirs).std() == pytest.approx(paired, rel=0.05)
    assert np.array_equal(counts, resamples(500))


def test_draws_of_a_stored_score(tmp_path: Path) -> None:
    index, distances, _ = clusters([120, 40, 40])
    chances = np.random.default_rng(1).random(200)
    path = tmp_path / "probe" / "000700.npz"
    values = {"realisticness": np.float16(chances), "intra_lpips": np.float16(distances)}
    versions = {"realisticness": "protocol 1, realisticness 1, x", "intra_lpips": "intra_lpips 1"}
    ProbeValues(np.int16(index), values, versions).save(path)
    draws = resampling.draws(path, "realisticness", versions["realisticness"], 0.7)
    assert draws is not None
    assert draws.mean() == pytest.approx(0.7, abs=0.002)
    assert draws.std() == pytest.approx(chances.std() / 200**0.5, rel=0.05)
    exact = resampling.draws(path, "intra_lpips", "intra_lpips 1", 3.0)
    capped = resampling.draws(path, "intra_lpips_cdc2021", "intra_lpips_cdc2021 1", 3.0)
    assert exact is not None and capped is not None
    assert exact.mean() == pytest.approx(3, abs=0.05) == capped.mean()
    assert exact.std() == pytest.approx(
        intra_lpips_draws(index, distances, resamples(200)).std(), rel=0.01
    )
    kept = np.where(choose(index, 3, 50), distances, np.nan)
    expected = intra_lpips_draws(index, kept, resamples(200)).std()
    assert capped.std() == pytest.approx(expected, rel=0.01)
    assert expected > exact.std()


def test_values_of_another_classifier_or_none_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "000700.npz"
    assert resampling.draws(path, "realisticness", "1", 0.5) is None
    values = {"realisticness": np.zeros(5, np.float16)}
    ProbeValues(np.zeros(5, np.int16), values, {"realisticness": "1"}).save(path)
    assert resampling.draws(path, "realisticness", "2", 0.5) is None
    assert resampling.draws(path, "intra_lpips", "1", 0.5) is None
