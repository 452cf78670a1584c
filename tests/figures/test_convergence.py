from __future__ import annotations

import numpy as np
import pytest

from fsgan_bench.results.convergence import first_reaching, overall, plateau

ITERATIONS = np.arange(0, 1001, 100)
LITTLE = np.full(len(ITERATIONS), 0.005)


def rising_to(*end: float) -> list[float]:
    """A curve of 11 snapshots of which the last four are given."""
    return [0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.85, *end]


def test_flat_end_has_converged() -> None:
    assert plateau(ITERATIONS, rising_to(0.9, 0.905, 0.898, 0.902), LITTLE) == "yes"


def test_rising_or_falling_end_has_not() -> None:
    assert plateau(ITERATIONS, rising_to(0.80, 0.83, 0.86, 0.89), LITTLE) == "no"
    assert plateau(ITERATIONS, rising_to(0.90, 0.87, 0.84, 0.81), LITTLE) == "no"


def test_threshold_is_on_the_change_over_the_window_and_its_error() -> None:
    exact = np.zeros(len(ITERATIONS))
    assert plateau(ITERATIONS, rising_to(0.90, 0.916, 0.932, 0.948), exact) == "yes"
    assert plateau(ITERATIONS, rising_to(0.90, 0.917, 0.934, 0.951), exact) == "no"
    assert plateau(ITERATIONS, rising_to(0.90, 0.916, 0.932, 0.948), LITTLE) == "no"


def test_swings_without_a_trend_have_not_converged() -> None:
    assert plateau(ITERATIONS, rising_to(0.9, 0.6, 0.6, 0.9), LITTLE) == "no"


def test_a_curve_that_stays_at_the_source_has_not_converged() -> None:
    assert plateau(ITERATIONS, np.full(11, 0.06), LITTLE) == "no"


def test_too_few_snapshots_or_images_are_unknown() -> None:
    assert plateau([0, 300, 1000], [0.0, 0.9, 0.9], np.zeros(3)) == "unknown"
    assert plateau([100], [0.5], [0.01]) == "unknown"
    assert plateau([], [], []) == "unknown"
    noisy = np.full(len(ITERATIONS), 0.1)
    assert plateau(ITERATIONS, rising_to(0.9, 0.9, 0.9, 0.9), noisy) == "unknown"


def test_unknown_standard_errors_count_as_none() -> None:
    missing = np.full(len(ITERATIONS), np.nan)
    assert plateau(ITERATIONS, rising_to(0.9, 0.9, 0.9, 0.9), missing) == "yes"
    assert plateau(ITERATIONS, rising_to(0.9, np.nan, 0.9, 0.9), LITTLE) == "unknown"


LATE = ITERATIONS >= 700


@pytest.mark.parametrize(
    ("end", "errors", "answer"),
    [
        # Two degrees of freedom are lost to the line.
        ((0.9, 0.96, 0.96, 0.9), np.zeros(11), "no"),
        # What the snapshots' own errors hide is a change over the window.
        ((0.9, 0.9, 0.9, 0.9), np.where(LATE, 0.04, 0.0), "unknown"),
        # Errors before the window say nothing about it.
        ((0.9, 0.9, 0.9, 0.9), np.where(LATE, 0.005, 0.3), "yes"),
        # One large error counts by its square.
        ((0.9, 0.9, 0.9, 0.9), np.array([0.0] * 10 + [0.08]), "unknown"),
        # Scatter holds the snapshots' own errors already.
        ((0.9, 0.945, 0.945, 0.9), np.full(11, 0.03), "yes"),
    ],
)
def test_which_errors_count(end: tuple[float, ...], errors: np.ndarray, answer: str) -> None:
    assert plateau(ITERATIONS, rising_to(*end), errors) == answer


def test_the_window_is_of_the_iterations_that_were_seen() -> None:
    late = [0.05, 0.1, 0.3, 0.5, 0.7, 0.80, 0.84, 0.9, 0.9, 0.9, 0.9]
    assert plateau(ITERATIONS + 1000, late, np.zeros(11), source=0.05) == "yes"


def test_a_gap_anywhere_is_unknown() -> None:
    gap = [0.05, np.nan, *rising_to(0.9, 0.9, 0.9, 0.9)[2:]]
    assert plateau(ITERATIONS, gap, LITTLE) == "unknown"


def test_a_curve_that_rests_where_it_began_has_not_converged_whatever_its_peak() -> None:
    peak = [0.4, 0.6, 0.8, 0.8, 0.7, 0.5, 0.42, 0.41, 0.41, 0.41, 0.41]
    assert plateau(ITERATIONS, peak, LITTLE) == "no"


def test_the_worst_seed_decides() -> None:
    assert overall(["yes", "yes"]) == "yes"
    assert overall(["yes", "unknown"]) == "unknown"
    assert overall(["unknown", "no", "yes"]) == "no"
    assert overall([]) == "unknown"


def test_first_snapshot_near_the_final_value() -> None:
    assert first_reaching([0, 10, 20, 30], [0.0, 0.8, 0.9, 1.0]) == 2
    assert first_reaching([0, 10, 20, 30], [0.0, 0.95, 0.2, 1.0]) == 1
    assert first_reaching([0, 10, 20, 30], [0.0, 0.8, 0.9, 1.0], fraction=0.8) == 1
    assert first_reaching([100], [0.4]) == 0
    assert first_reaching([0, 10, 20, 30], [0.0, 0.5, 1.0, 0.5]) == 1


def test_nothing_is_reached_without_a_rise() -> None:
    assert first_reaching([0, 10], [0.4, 0.3]) is None
    assert first_reaching([], []) is None
    assert first_reaching([0, 10], [0.4, np.nan]) is None


def test_iterations_must_increase() -> None:
    with pytest.raises(ValueError, match="increasing"):
        plateau([0, 0], [0.1, 0.2], [0.0, 0.0])


def test_checkpoints_without_iteration_0_have_risen_from_the_source() -> None:
    later, flat = ITERATIONS + 1000, np.full(11, 0.93)
    assert plateau(later, flat, LITTLE, source=0.01) == "yes"
    assert plateau(later, flat, LITTLE, source=0.92) == "no"
    assert plateau(later, flat, LITTLE) == "unknown"
    assert plateau(ITERATIONS, flat, LITTLE, source=0.01) == "no"
    with pytest.raises(ValueError, match="one length"):
        first_reaching([0, 1], [0.1])


def test_at_the_ceiling_the_end_of_the_rise_does_not_count() -> None:
    standard = [0, 27, 81, 155, 245, 350, 469, 600]
    rise = [0.0, 0.0, 0.0, 0.0, 0.1, 0.7]
    exact = np.zeros(len(standard))
    assert plateau(standard, [*rise, 0.99, 0.96], exact) == "yes"
    assert plateau(standard, [*rise, 0.99, 0.95], exact) == "no"
    assert plateau(standard, [*rise, 0.94, 0.99], exact) == "no"
    assert plateau(standard, np.full(8, 0.99), exact) == "no"


def test_the_window_holds_at_least_three_snapshots() -> None:
    sparse = [0, 100, 200, 300, 1000]
    assert plateau(sparse, [0.0, 0.5, 0.9, 0.9, 0.9], np.zeros(5)) == "yes"
    assert plateau(sparse, [0.0, 0.5, 0.7, 0.9, 0.9], np.zeros(5)) == "no"
