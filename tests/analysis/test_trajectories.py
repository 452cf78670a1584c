"""What is measured on a trajectory, against cases computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fsgan_bench.analysis.trajectories import (
    at_levels,
    diversity_when,
    iterations_to,
    mean_loss,
    mean_over_levels,
)
from fsgan_bench.results.convergence import first_reaching

ITERATIONS = np.array([0.0, 10, 20, 40, 80])
QUALITY = np.array([0.1, 0.2, 0.6, 0.8, 0.8])
DIVERSITY = np.array([1.0, 0.9, 0.7, 0.6, 0.5])


def test_first_snapshot_near_the_final_value_is_the_tables() -> None:
    index = first_reaching(ITERATIONS, QUALITY)
    assert index == 3
    assert iterations_to(ITERATIONS, QUALITY, 0.9) == ITERATIONS[index] == 40
    assert diversity_when(QUALITY, DIVERSITY, 0.9) == DIVERSITY[index] == 0.6
    assert np.isnan(iterations_to(ITERATIONS, QUALITY[::-1], 0.9))


def test_mean_loss_is_over_the_doublings() -> None:
    halving = 1 - 0.1 * np.log2(1 + ITERATIONS)
    assert mean_loss(ITERATIONS, halving, 80) == pytest.approx(0.05 * np.log2(81))
    bent = np.where(ITERATIONS > 40, 9.0, halving)
    assert mean_loss(ITERATIONS, bent, 40) == pytest.approx(0.05 * np.log2(41))
    at_once = np.array([1.0, 0.5, 0.5, 0.5, 0.5])
    rest = 1 - np.log2(11) / np.log2(81)
    assert mean_loss(ITERATIONS, at_once, 80) == pytest.approx(0.25 * (1 - rest) + 0.5 * rest)
    assert np.isnan(mean_loss(ITERATIONS, DIVERSITY, 0))


def test_what_is_lost_at_once_is_lost_faster() -> None:
    late, early = np.array([1, 1, 1, 0.9, 0.5]), np.array([1, 0.5, 0.5, 0.5, 0.5])
    assert mean_loss(ITERATIONS, early, 80) > mean_loss(ITERATIONS, late, 80) > 0
    without_start = mean_loss(ITERATIONS[1:], early[1:], 80)
    assert without_start == pytest.approx(mean_loss(ITERATIONS, early, 80))


def test_diversity_where_a_level_is_first_reached() -> None:
    levels = np.array([0.05, 0.1, 0.2, 0.4, 0.7, 0.8, 0.9])
    found = at_levels(QUALITY, DIVERSITY, levels)
    np.testing.assert_allclose(found, [1.0, 1.0, 0.9, 0.8, 0.65, 0.6, 0.6])
    dipping = np.array([0.1, 0.5, 0.2, 0.5, 0.5])
    assert at_levels(dipping, DIVERSITY, np.array([0.3]))[0] == pytest.approx(0.95)


def test_area_is_the_mean_over_the_range() -> None:
    levels = np.linspace(0.2, 0.6, 41)
    assert mean_over_levels(QUALITY, DIVERSITY, levels) == pytest.approx(0.8)
    assert mean_over_levels(QUALITY, DIVERSITY, levels, 0.75) == pytest.approx(
        0.75 - 0.25 * 0.05 / 2, abs=1e-3
    )


def test_replicates_are_measured_like_trajectories() -> None:
    generator = np.random.default_rng(0)
    quality = QUALITY + 0.01 * generator.normal(size=(3, 5))
    diversity = DIVERSITY + 0.01 * generator.normal(size=(3, 5))
    levels = np.linspace(0.2, 0.6, 5)
    cases: tuple[tuple[Any, Callable[[Any, Any], Any]], ...] = (
        (iterations_to(ITERATIONS, quality, 0.9), lambda q, d: iterations_to(ITERATIONS, q, 0.9)),
        (diversity_when(quality, diversity, 0.9), lambda q, d: diversity_when(q, d, 0.9)),
        (mean_loss(ITERATIONS, diversity, 80), lambda q, d: mean_loss(ITERATIONS, d, 80)),
        (mean_over_levels(quality, diversity, levels), lambda q, d: mean_over_levels(q, d, levels)),
        (at_levels(quality, diversity, levels), lambda q, d: at_levels(q, d, levels)),
    )
    for together, alone in cases:
        one_by_one = [alone(q, d) for q, d in zip(quality, diversity, strict=True)]
        np.testing.assert_allclose(together, one_by_one)
