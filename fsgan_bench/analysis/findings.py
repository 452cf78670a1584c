"""What tasks say of a claim: tests of pairs of methods, and of their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from fsgan_bench.analysis.comparison import Comparison, MethodSummary
from fsgan_bench.analysis.estimates import (
    Estimate,
    PairTest,
    compare_differences,
    compare_pairs,
    difference,
)
from fsgan_bench.analysis.matching import NARROWEST
from fsgan_bench.analysis.orders import FEWEST_TO_REFUTE, crossed_tau, highest_w, kendalls_w
from fsgan_bench.results.resampling import Floats

Answer: TypeAlias = Literal["supported", "not supported", "undecided"]

Second: TypeAlias = Literal["reached", "matched"]
"""A number of :class:`MethodSummary` that is set against the diversity lost."""

MARGIN = 0.05
"""What counts as no difference, of realisticness and of diversity relative to the source's."""

ALPHA = 0.05
"""Of every test."""

AGREEMENT = 0.5
"""Kendall's W from which rankings agree."""

MINIMUM_SEEDS = 2
"""Fewer say nothing about how much trainings differ."""


@dataclass(frozen=True)
class Finding:
    """What one task, or all of them together, say of a claim; ``pairs`` are the tests behind it."""

    where: str
    answer: Answer
    why: str
    pairs: tuple[PairTest, ...] = ()


def similar(each: Comparison, margin: float) -> Finding:
    """Whether the methods that have converged end at the same realisticness."""
    converged = {m.label: m.final for m in each.methods if m.converged == "yes"}
    seeded = _seeded(converged)
    tests = tuple(compare_pairs(seeded, margin))
    apart = [t for t in tests if t.beyond <= ALPHA]
    underway = [m.label for m in each.methods if m.converged != "yes"]
    answer: Answer = "undecided"
    if apart:
        answer, why = "not supported", f"{_pair(apart[0])}, more than the margin"
    elif underway:
        why = f"not shown to have converged: {', '.join(underway)}"
    elif len(seeded) < len(converged) or len(converged) < 2:
        why = _too_few(converged)
    elif open_ := [t for t in tests if not t.within <= ALPHA]:
        why = f"{len(open_)} of {len(tests)} pairs could differ by more"
    else:
        answer, why = "supported", f"all {len(tests)} pairs are equivalent (TOST)"
    return Finding(each.title, answer, why, tests)


def different(
    each: Comparison, estimates: dict[str, Estimate], margin: float, what: str
) -> Finding:
    """The opposite question: supported if a pair differs by more, refuted if none can."""
    seeded = _seeded({k: v for k, v in estimates.items() if math.isfinite(v.value)})
    complete = len(seeded) == len(estimates) >= 2
    lacking = "" if complete else _too_few(estimates)
    return _different(each.title, compare_pairs(seeded, margin), lacking, margin, what)


def matched(each: Comparison, margin: float) -> Finding:
    """Whether methods differ in diversity where their realisticness is the same.

    Each pair is compared over all the realisticness that both pass through, so that a method that
    hardly rises does not keep the others from being told apart.
    """
    seeded = [p for p in each.pairs if min(p.one.seeds, p.other.seeds) >= MINIMUM_SEEDS]
    differences = {pair.labels: difference(pair.one, pair.other) for pair in seeded}
    tests = [
        replace(test, over=pair.over)
        for test, pair in zip(compare_differences(differences, margin), seeded, strict=True)
    ]
    apart_in_quality = math.comb(len(each.methods), 2) - len(each.pairs)
    lacking = ""
    if len(seeded) < len(each.pairs) or len(each.methods) < 2:
        lacking = _too_few({m.label: m.final for m in each.methods})
    elif apart_in_quality:
        lacking = (
            f"{apart_in_quality} of {math.comb(len(each.methods), 2)} pairs pass through less than "
            f"{NARROWEST:g} of p_t together, which says nothing"
        )
    return _different(each.title, tests, lacking, margin, "diversity")


def _different(
    where: str, tests: Sequence[PairTest], lacking: str, margin: float, what: str
) -> Finding:
    """Supported if a pair differs; ``lacking`` is what else leaves it undecided."""
    apart = [t for t in tests if t.beyond <= ALPHA]
    answer: Answer = "undecided"
    if apart:
        answer, why = "supported", f"{len(apart)} of {len(tests)} pairs, e.g. {_pair(apart[0])}"
    elif lacking:
        why = lacking
    elif all(t.within <= ALPHA for t in tests):
        answer, why = "not supported", f"all {len(tests)} pairs are equivalent (TOST)"
    else:
        why = f"no pair is shown to differ in {what} by more than {margin:.3g}, nor all by less"
    return Finding(where, answer, why, tuple(tests))


def ordered(compared: Sequence[Comparison], second: Second, converged: bool) -> Finding:
    """Whether another number rises as less diversity is lost, over the methods of each task."""
    tau, greater, less = crossed_tau([_seed_values(each.methods, second) for each in compared])
    where, labels = _together(compared), [m.label for each in compared for m in each.methods]
    if not math.isfinite(tau):
        why = f"needs three methods with {MINIMUM_SEEDS} seeds, each with such a value"
        return Finding(where, "undecided", why)
    p = min(1.0, 2 * min(greater, less))
    why = f"Kendall's tau {tau:.2f}, two-sided p {p:.3g}"
    weakest = max(
        (_without(compared, label, second, tau > 0), label) for label in dict.fromkeys(labels)
    )
    if math.isfinite(weakest[0]):
        why += f", and {weakest[0]:.2g} without {weakest[1]}"
    passed_over = [m.label for each in compared for m in each.methods if _lacks(m, second)]
    if passed_over:
        why += f"; without {', '.join(dict.fromkeys(passed_over))}, where a seed has no such value"
    underway = [
        m.label for each in compared for m in each.methods if converged and m.converged != "yes"
    ]
    answer: Answer = "undecided"
    if any(m.seeds < MINIMUM_SEEDS for each in compared for m in each.methods):
        why += f"; needs at least {MINIMUM_SEEDS} seeds of every method"
    elif underway:
        why += f"; not shown to have converged: {', '.join(dict.fromkeys(underway))}"
    elif p <= ALPHA:
        answer = "supported" if tau > 0 else "not supported"
    return Finding(where, answer, why)


def _seed_values(methods: Sequence[MethodSummary], second: Second) -> tuple[Floats, Floats]:
    """What is kept and another number, [methods, seeds]; seeds are matched by their order."""
    seeds = min((m.seeds for m in methods), default=0)
    kept = [1 - m.lost.values[:seeds] for m in methods]
    values = [getattr(m, second).values[:seeds] for m in methods]
    shape = (len(methods), seeds)
    return np.reshape(kept, shape), np.reshape(values, shape)


def _without(compared: Sequence[Comparison], label: str, second: Second, positive: bool) -> float:
    """The two-sided p where one method is left out; 1 where the order turns round, -inf if none."""
    rest = [[m for m in each.methods if m.label != label] for each in compared]
    tau, greater, less = crossed_tau([_seed_values(methods, second) for methods in rest])
    if not math.isfinite(tau):
        return -math.inf
    return min(1.0, 2 * (greater if positive else less))


def _lacks(method: MethodSummary, second: Second) -> bool:
    return not np.isfinite([method.lost.values, getattr(method, second).values]).all()


def agreement(compared: Sequence[Comparison]) -> Finding:
    """Whether targets and seeds put the methods into the same order."""
    where = _together(compared)
    labels, ratings = rankings(compared)
    w, p = kendalls_w(ratings)
    if not math.isfinite(w):
        why = "needs at least two rankings (targets or seeds) of at least three methods"
        return Finding(where, "undecided", why)
    upper = highest_w(ratings)
    why = (
        f"Kendall's W {w:.3f} ({AGREEMENT:g} is agreement) over {len(ratings)} rankings of "
        f"{len(labels)} methods, p {p:.3g}"
    )
    if math.isfinite(upper):
        why += f", at most {upper:.2f} by bootstrap"
    elif w < AGREEMENT:
        why += f"; fewer than {FEWEST_TO_REFUTE} rankings refute nothing"
    if w >= AGREEMENT and p <= ALPHA:
        return Finding(where, "supported", why)
    return Finding(where, "not supported" if upper < AGREEMENT else "undecided", why)


def rankings(compared: Sequence[Comparison]) -> tuple[list[str], Floats]:
    """Diversity at matched quality [m, k], a row a task and seed, of the methods in all tasks.

    Seeds are matched by their order.
    """
    by_task = [{m.label: m for m in each.methods} for each in compared]
    labels = [
        label for label in (by_task[0] if by_task else {}) if all(label in t for t in by_task)
    ]
    rows = []
    for methods in by_task:
        values = [methods[label].matched.values for label in labels]
        rows += [list(row) for row in zip(*values, strict=False) if np.isfinite(row).all()]
    return labels, np.array(rows, dtype=np.float64).reshape(len(rows), len(labels))


def _seeded(estimates: dict[str, Estimate]) -> dict[str, Estimate]:
    return {label: each for label, each in estimates.items() if each.seeds >= MINIMUM_SEEDS}


def _too_few(estimates: dict[str, Estimate]) -> str:
    single = [label for label, each in estimates.items() if each.seeds < MINIMUM_SEEDS]
    if len(estimates) < 2:
        return "fewer than two methods can be compared"
    return f"fewer than {MINIMUM_SEEDS} seeds of {', '.join(single)}"


def _pair(test: PairTest) -> str:
    over = f" over p_t {test.over[0]:.2f} to {test.over[1]:.2f}" if test.over else ""
    return (
        f"{test.first} and {test.second} differ by {abs(test.difference.value):.3f}{over} "
        f"(p {test.beyond:.2g})"
    )


def _together(compared: Sequence[Comparison]) -> str:
    return compared[0].title if len(compared) == 1 else f"{len(compared)} tasks together"
