"""The paper's two observations as claims that runs support, contradict, or leave undecided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fsgan_bench.analysis.comparison import Comparison
from fsgan_bench.analysis.findings import (
    MARGIN,
    Answer,
    Finding,
    agreement,
    different,
    matched,
    ordered,
    similar,
)


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
    comparable = [each for each in compared if each.common]
    same_realisticness = Claim(
        f"Converged methods reach the same realisticness, within {margin:g}.",
        tuple(similar(each, margin) for each in compared),
    )
    later = Claim(
        "Methods that lose diversity more slowly take longer to reach their realisticness.",
        (ordered(compared, "reached", converged=True),),
    )
    rates = Claim(
        f"Methods lose diversity at different rates: on average over the run by more than "
        f"{margin:g} of the source's.",
        tuple(
            different(each, {m.label: m.lost for m in each.methods}, margin, "what they lose")
            for each in compared
        ),
    )
    at_the_same = Claim(
        f"At the same realisticness methods differ in diversity, by more than {margin:g} of the "
        "source's; more than real images have is artefact and counts as theirs.",
        tuple(matched(each, margin) for each in compared),
    )
    better = Claim(
        "Methods that lose diversity more slowly have more of it at the same realisticness.",
        (ordered(comparable, "matched", converged=False),),
    )
    stable = Claim(
        "The order of the methods by diversity at the same realisticness agrees over "
        f"{'targets and seeds' if len(comparable) > 1 else 'seeds'}.",
        (agreement(comparable),),
    )
    return (
        Observation(
            "Observation 1",
            "Keeping diversity slows the rise of realisticness, yet after convergence all methods "
            "reach a similar one.",
            (same_realisticness, later),
        ),
        Observation(
            "Observation 2",
            "Methods differ in how fast diversity decays; at similar quality the better one decays "
            "more slowly.",
            (rates, at_the_same, better, stable),
        ),
    )
