"""Estimates and tests of equivalence, against scipy and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fsgan_bench.analysis.estimates import (
    Estimate,
    Spread,
    compare_pairs,
    difference,
    holm,
)

A, B = np.array([0.81, 0.84, 0.80, 0.83]), np.array([0.82, 0.86, 0.85])


def test_seeds_alone_give_welchs_tests() -> None:
    (test,) = compare_pairs({"a": Estimate(A), "b": Estimate(B)}, 0.05)
    lower = stats.ttest_ind(A + 0.05, B, equal_var=False, alternative="greater").pvalue
    upper = stats.ttest_ind(A - 0.05, B, equal_var=False, alternative="less").pvalue
    assert test.within == pytest.approx(max(lower, upper))
    beyond = stats.ttest_ind(A + 0.05, B, equal_var=False, alternative="less").pvalue
    assert test.beyond == pytest.approx(min(1, 2 * beyond))
    interval = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.9)
    assert test.difference.interval(0.9) == pytest.approx((interval.low, interval.high))


def test_probe_batch_adds_to_the_seeds_and_is_paired() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(0, 0.02, 4000)
    own = generator.normal(0, 0.001, (2, 4000))
    first = Estimate(A, A.mean() + shared + own[0])
    second = Estimate(B, B.mean() + shared + own[1])
    seeds = A.var(ddof=1) / 4
    assert first.spread.stderr == pytest.approx(math.sqrt(seeds + 0.02**2 + 0.001**2), rel=0.02)
    expected = math.sqrt(seeds + B.var(ddof=1) / 3 + 2 * 0.001**2)
    assert difference(first, second).stderr == pytest.approx(expected, rel=0.02)
    assert first.spread.freedom > 3


def test_one_seed_has_the_error_of_its_probe_batch_or_none() -> None:
    alone = Estimate(np.array([0.7]), error=0.01)
    assert alone.spread.interval() == pytest.approx((0.7 - 0.0196, 0.7 + 0.0196), abs=1e-4)
    unknown = Estimate(np.array([0.7])).spread
    assert math.isnan(unknown.stderr) and math.isnan(unknown.interval()[0])
    (test,) = compare_pairs({"a": Estimate(np.array([0.7])), "b": Estimate(np.array([0.2]))}, 0.05)
    assert not test.within <= 1 and not test.beyond <= 1


def test_seeds_without_a_value_are_passed_over() -> None:
    some = Estimate(np.array([1.0, np.nan, 3.0]))
    assert (some.value, some.seeds) == (2.0, 2)
    none = Estimate(np.array([np.nan]))
    assert none.seeds == 0 and math.isnan(none.value)
    rarely = np.full(100, np.nan)
    rarely[:50] = 1.0
    assert math.isnan(Estimate(A, rarely).probe_variance)


def test_certain_values_are_within_or_beyond() -> None:
    assert Spread(0.04, [], 0.0).above(-0.05) == 0.0
    assert Spread(0.04, [], 0.0).below(0.05) == 0.0
    assert Spread(0.06, [], 0.0).below(0.05) == 1.0


def test_tost_keeps_its_level_at_the_margin() -> None:
    """Of methods that differ by exactly the margin, at most one in twenty passes for equal."""
    generator = np.random.default_rng(5)
    passed = [
        compare_pairs(
            {
                "a": Estimate(generator.normal(0.80, 0.02, 4)),
                "b": Estimate(generator.normal(0.85, 0.02, 4)),
            },
            0.05,
        )[0].within
        <= 0.05
        for _ in range(1500)
    ]
    assert np.mean(passed) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)


def test_holms_method() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.01, math.nan, 0.9])
    assert adjusted[0] == pytest.approx(0.03) and math.isnan(adjusted[1])


def test_single_seeds_have_both_errors_of_the_probe_batch() -> None:
    one, other = (Estimate(np.array([v]), error=e) for v, e in ((0.7, 0.01), (0.6, 0.02)))
    assert difference(one, other).stderr == pytest.approx(math.hypot(0.01, 0.02))


def test_a_seed_without_a_value_does_not_count() -> None:
    assert Estimate(np.array([1.0, np.nan, 3.0])).spread.seed_terms == [(1.0, 1)]
