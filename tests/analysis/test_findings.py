"""Answers to a claim, on methods whose numbers are written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fsgan_bench.analysis.comparison import MethodSummary
from fsgan_bench.analysis.estimates import Estimate
from fsgan_bench.analysis.findings import agreement, ordered
from fsgan_bench.results.convergence import Convergence

UNKNOWN = Estimate(np.full(3, np.nan))


def method(
    label: str,
    lost: float,
    reached: float = 100.0,
    matched: tuple[float, ...] = (0.5, 0.5, 0.5),
    seeds: int = 3,
    converged: Convergence = "yes",
) -> MethodSummary:
    return MethodSummary(
        label=label,
        converged=converged,
        seeds=seeds,
        resampled=False,
        final=UNKNOWN,
        reached=Estimate(np.full(3, reached)),
        when_reached=UNKNOWN,
        lost=Estimate(np.full(3, lost)),
        matched=Estimate(np.array(matched)),
        at={},
    )


def task(*methods: MethodSummary) -> Any:
    return SimpleNamespace(title="a task", methods=methods)


def in_order(count: int, upwards: bool = True, **last: Any) -> Any:
    """Methods that lose less and less, and take longer and longer (or shorter)."""
    numbers = [
        (str(k), 0.6 - 0.1 * k, 100.0 + 50 * k * (1 if upwards else -1)) for k in range(count)
    ]
    return task(
        *(method(*each) for each in numbers[:-1]),
        method(*numbers[-1], **last),
    )


@pytest.mark.parametrize(
    ("given", "answer", "why"),
    [
        ([in_order(5)], "supported", "tau 1.00, two-sided p 0.0178"),
        ([in_order(5, upwards=False)], "not supported", "tau -1.00"),
        ([in_order(4)], "undecided", "two-sided p 0.0836"),
        ([in_order(5, seeds=1)], "undecided", "needs three methods with 2 seeds"),
        ([in_order(5), in_order(5, seeds=1)], "undecided", "at least 2 seeds of every method"),
        ([in_order(5, converged="no")], "undecided", "not shown to have converged: 4"),
    ],
)
def test_an_order_is_believed_on_evidence(given: Any, answer: str, why: str) -> None:
    finding = ordered(given, "reached", converged=True)
    assert finding.answer == answer and why in finding.why


def ranked(*rankings: tuple[float, ...]) -> Any:
    """A task of which each seed ranks the methods so."""
    by_method = zip(*rankings, strict=True)
    return task(*(method(str(k), 0.1, matched=values) for k, values in enumerate(by_method)))


CHANCE = np.random.default_rng(1).permuted(np.tile(np.arange(7.0), (12, 1)), axis=1)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (ranked(*[(0.0, 1.0, 2.0, 3.0)] * 3), "supported"),
        (ranked(*[(0.0, 1.0, 2.0)] * 2), "undecided"),
        (ranked((2, 0, 1, 3), (0, 2, 1, 3), (0, 2, 3, 1), (1, 0, 3, 2), (2, 0, 1, 3)), "undecided"),
        (ranked(*map(tuple, CHANCE)), "not supported"),
    ],
)
def test_rankings_agree_on_evidence(given: Any, answer: str) -> None:
    assert agreement([given]).answer == answer


def test_a_seed_without_a_value_ranks_nothing() -> None:
    rankings = [(0.0, 1.0, 2.0, 3.0)] * 3
    whole = agreement([ranked(*rankings)])
    gap = agreement([ranked(*rankings, (3.0, np.nan, 1.0, 0.0))])
    assert gap.why == whole.why and "over 3 rankings" in gap.why
