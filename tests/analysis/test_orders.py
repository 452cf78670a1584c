"""Rank agreement, against scipy, worked examples and made-up runs whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fsgan_bench.analysis.orders import crossed_tau, highest_w, kendalls_w

X = np.array([1.0, 2, 3, 4, 5, 6])
Y = np.array([1.0, 3, 2, 4, 6, 5])


def seeds(values: np.ndarray, count: int = 3) -> np.ndarray:
    return np.repeat(values[:, None], count, axis=1)


def test_kendalls_w_by_its_formula() -> None:
    ranks = np.array([[1, 2, 3, 4, 5], [2, 1, 3, 5, 4], [1, 3, 2, 4, 5]], dtype=float)
    totals = ranks.sum(axis=0)
    m, k = ranks.shape
    expected = 12 * ((totals - totals.mean()) ** 2).sum() / (m**2 * (k**3 - k))
    w, p = kendalls_w(ranks * 0.1)
    assert w == pytest.approx(expected)
    assert 0.005 < p < 0.05
    assert kendalls_w(np.repeat(ranks[:1], 4, axis=0))[0] == pytest.approx(1.0)
    against = kendalls_w(np.array([[1.0, 2, 3], [3, 2, 1]]))
    assert against[0] == pytest.approx(0.0) and against[1] == 1.0
    assert math.isnan(kendalls_w(ranks[:1])[0]) and math.isnan(kendalls_w(ranks[:, :2])[0])


def test_a_bound_of_w_needs_rankings_and_is_not_raised_by_their_copies() -> None:
    generator = np.random.default_rng(1)
    chance = generator.permuted(np.tile(np.arange(7.0), (12, 1)), axis=1)
    assert kendalls_w(chance)[0] < highest_w(chance) < 0.5
    assert math.isnan(highest_w(chance[:3]))
    alike = np.tile(np.arange(7.0), (5, 1))
    assert highest_w(alike) == pytest.approx(1.0)
    below = [
        highest_w(generator.permuted(np.tile(np.arange(7.0), (6, 1)), axis=1)) < 0.5
        for _ in range(40)
    ]
    assert np.mean(below) > 0.5


def test_crossed_tau_of_equal_seeds_is_kendalls() -> None:
    expected = stats.kendalltau(X, Y, alternative="greater", method="exact")
    tau, greater, less = crossed_tau([(seeds(X), seeds(Y))])
    assert tau == pytest.approx(expected.statistic)
    assert greater == pytest.approx(expected.pvalue, abs=0.006)
    assert less > 0.95
    gap = seeds(np.append(Y, 7.0))
    gap[-1, 1] = np.nan
    assert crossed_tau([(seeds(np.append(X, 7.0)), gap)])[0] == pytest.approx(tau)


def test_several_tasks_add_up_but_are_not_mixed() -> None:
    x, y = seeds(X[:4]), seeds(np.array([1.0, 2, 4, 3]))
    one, two = crossed_tau([(x, y)]), crossed_tau([(x, y), (x + 100, y - 50)])
    assert two[0] == pytest.approx(one[0])
    assert two[1] < one[1]
    assert all(map(math.isnan, crossed_tau([(x[:2], y[:2])])))
    assert all(map(math.isnan, crossed_tau([(x[:, :1], y[:, :1])])))


def test_what_a_trainings_luck_moves_together_is_no_order() -> None:
    """Seven methods that do not differ; of each training both numbers are lucky or not."""
    generator = np.random.default_rng(2)
    found = []
    for _ in range(60):
        luck = generator.normal(size=(7, 3))
        tau, greater, _ = crossed_tau([(luck, luck + 0.3 * generator.normal(size=(7, 3)))])
        found.append((tau, 2 * greater <= 0.05))
    taus, supported = map(np.array, zip(*found, strict=True))
    assert abs(taus.mean()) < 0.15 and supported.mean() <= 0.1
