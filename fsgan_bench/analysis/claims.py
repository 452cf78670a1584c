"""The paper's two observations as claims that runs support, contradict, or leave undecided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from fsgan_bench.analysis.comparison import Comparison
from fsgan_bench.analysis.estimates import Estimate, PairTest, compare_pairs, kendalls_w, pooled_tau
from fsgan_bench.results.resampling import Floats

Answer: TypeAlias = Literal["supported", "not supported", "undecided"]

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


@dataclass(frozen=True)
class Claim:
    """A part of an observation, with what each task says of it."""

    statement: str
    findings: tuple[Finding, ...]

    @property
    def answer(self) -> Answer:
        return combined(finding.answer for finding in self.findings)


@dataclass(frozen=True)
class Observation:
    """An observation of the paper: all its claims must hold."""

    name: str
    statement: str
    claims: tuple[Claim, ...]

    @property
    def answer(self) -> Answer:
        return combined(claim.answer for claim in self.claims)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Both observations, the comparisons they rest on, and what was left out."""

    observations: tuple[Observation, ...]
    comparisons: tuple[Comparison, ...]
    margin: float
    notes: tuple[str, ...]


def combined(answers: Iterable[Answer]) -> Answer:
    """Of several that must all hold: one counterexample refutes, and all must be supported."""
    given = set(answers)
    if "not supported" in given:
        return "not supported"
    return "supported" if given == {"supported"} else "undecided"


def observations(
    compared: Sequence[Comparison], margin: float = MARGIN
) -> tuple[Observation, Observation]:
    """Both observations, from the comparisons of all tasks."""
    similar = Claim(
        f"Converged methods reach the same realisticness, within {margin:g}.",
        tuple(_similar(each, margin) for each in compared),
    )
    slower = Claim(
        "Methods that lose diversity more slowly take longer to reach their realisticness.",
        (_ordered(compared, "decay", "reached", sign=-1, converged=True),),
    )
    differ = Claim(
        f"Methods lose diversity at different rates, by more than {margin:g} of the source's over "
        "the run.",
        tuple(
            _different(
                each, {m.label: m.decay for m in each.methods}, margin / each.doublings, "decay"
            )
            for each in compared
        ),
    )
    matched = Claim(
        f"At the same realisticness methods differ in diversity, by more than {margin:g} of the "
        "source's; more than real images have is artefact and counts as theirs.",
        tuple(_matched(each, margin) for each in compared),
    )
    better = Claim(
        "Methods that lose diversity more slowly have more of it at the same realisticness.",
        (_ordered(compared, "decay", "matched", sign=-1, converged=False),),
    )
    stable = Claim(
        "The order of the methods by diversity at the same realisticness agrees over targets and "
        "seeds.",
        (_agreement(compared),),
    )
    return (
        Observation(
            "Observation 1",
            "Keeping diversity slows the rise of realisticness, yet after convergence all methods "
            "reach a similar one.",
            (similar, slower),
        ),
        Observation(
            "Observation 2",
            "Methods differ in how fast diversity decays; at similar quality the better one decays "
            "more slowly.",
            (differ, matched, better, stable),
        ),
    )


def _similar(each: Comparison, margin: float) -> Finding:
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


def _different(
    each: Comparison, estimates: dict[str, Estimate], margin: float, what: str
) -> Finding:
    """The opposite question: supported if a pair differs by more, refuted if none can."""
    seeded = _seeded({k: v for k, v in estimates.items() if math.isfinite(v.value)})
    tests = tuple(compare_pairs(seeded, margin))
    apart = [t for t in tests if t.beyond <= ALPHA]
    answer: Answer = "undecided"
    if apart:
        answer, why = "supported", f"{len(apart)} of {len(tests)} pairs, e.g. {_pair(apart[0])}"
    elif len(seeded) < len(estimates) or len(estimates) < 2:
        why = _too_few(estimates)
    elif all(t.within <= ALPHA for t in tests):
        answer, why = "not supported", f"all {len(tests)} pairs are equivalent (TOST)"
    else:
        why = f"no pair is shown to differ in {what} by more than {margin:.3g}, nor all by less"
    return Finding(each.title, answer, why, tests)


def _matched(each: Comparison, margin: float) -> Finding:
    if each.common is None:
        why = "there is no realisticness that all methods pass through"
        return Finding(each.title, "undecided", why)
    return _different(each, {m.label: m.matched for m in each.methods}, margin, "diversity")


def _ordered(
    compared: Sequence[Comparison], first: str, second: str, sign: int, converged: bool
) -> Finding:
    """Whether one number rises with another over the methods, within each task."""
    underway = [
        m.label for each in compared for m in each.methods if converged and m.converged != "yes"
    ]
    pairs = [
        (
            np.array([sign * getattr(m, first).value for m in each.methods]),
            np.array([getattr(m, second).value for m in each.methods]),
        )
        for each in compared
    ]
    tau, greater, less = pooled_tau(pairs)
    why = f"Kendall's tau {tau:.2f}, p {min(greater, less):.3g}"
    answer: Answer = "undecided"
    if not math.isfinite(tau):
        why = "needs at least three methods"
    elif underway:
        why += f"; not shown to have converged: {', '.join(dict.fromkeys(underway))}"
    elif any(m.seeds < MINIMUM_SEEDS for each in compared for m in each.methods):
        why += f"; needs at least {MINIMUM_SEEDS} seeds of every method"
    elif greater <= ALPHA:
        answer = "supported"
    elif less <= ALPHA:
        answer = "not supported"
    return Finding(_together(compared), answer, why)


def _agreement(compared: Sequence[Comparison]) -> Finding:
    where = _together(compared)
    labels, ratings = rankings(compared)
    w, p = kendalls_w(ratings)
    if not math.isfinite(w):
        why = "needs at least two rankings (targets or seeds) of at least three methods"
        return Finding(where, "undecided", why)
    generator = np.random.default_rng(0)
    resampled = generator.integers(0, len(ratings), (500, len(ratings)))
    upper = float(np.nanquantile([kendalls_w(ratings[rows], 1)[0] for rows in resampled], 0.95))
    why = (
        f"Kendall's W {w:.3f} ({AGREEMENT:g} is agreement) over {len(ratings)} rankings of "
        f"{len(labels)} methods, p {p:.3g}, at most {upper:.2f} by bootstrap"
    )
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
    return (
        f"{test.first} and {test.second} differ by {abs(test.difference.value):.3f} "
        f"(p {test.beyond:.2g})"
    )


def _together(compared: Sequence[Comparison]) -> str:
    return compared[0].title if len(compared) == 1 else f"{len(compared)} tasks together"
