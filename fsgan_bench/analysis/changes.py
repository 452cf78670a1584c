"""Two results roots side by side: what they were made with, and whether their scores differ.

The question after every upgrade. Cells are matched by task, settings and seed, those of other
settings by their label, and compared at their last snapshot, seed by seed; where both roots scored
the same probe batch, image by image too. What one root lacks is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from fsgan_bench.analysis.estimates import Estimate, Spread
from fsgan_bench.analysis.roots import (
    by_title,
    finished_cells,
    made_changes,
    variants_of_both,
    yardstick_changes,
)
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.description import KINDS
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import Scale, scales_of_kind

MARGIN = 0.05
"""Of realisticness as it is, of other scores as a part of the source generator's."""

LEVEL = 0.95
"""Of the confidence interval outside of which no difference must lie to count."""

ChangeOutcome: TypeAlias = Literal[
    "same", "error unknown", "within the error", "better", "worse", "differs", "regressed"
]


@dataclass(frozen=True)
class ScoreChange:
    """A method's final score in both roots, over the seeds that both have.

    Attributes:
        task, method: of what.
        scale: which score.
        before, after: means over these seeds; the second is NaN of those that have lost it.
        difference: ``after - before`` with its paired uncertainty.
        margin: how much worse is a regression, in the units of the score.
    """

    task: str
    method: str
    scale: Scale
    before: float
    after: float
    seeds: int
    difference: Spread
    margin: float

    @property
    def outcome(self) -> ChangeOutcome:
        """``regressed`` is worse by more than the error and by more than the margin, or undefined.

        The error is unknown of a score without one of its own, such as a Frechet distance, of
        which there is a single seed.
        """
        value = self.difference.value
        if math.isnan(self.after):
            return "regressed"
        if value == 0:
            return "same"
        if not math.isfinite(self.difference.stderr):
            return "error unknown"
        low, high = self.difference.interval(LEVEL)
        if not (low > 0 or high < 0):
            return "within the error"
        if self.scale.about.higher_is_better is None:
            return "differs"
        if (value > 0) == self.scale.about.higher_is_better:
            return "better"
        return "regressed" if abs(value) > self.margin else "worse"


@dataclass(frozen=True)
class Changes:
    """What two roots have in common and what not.

    ``made`` holds what was made with something else: the name of the setting, package or hash, what
    it was and is, and of how many cells.
    """

    scores: tuple[ScoreChange, ...]
    made: tuple[tuple[str, str, str, int], ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> list[ScoreChange]:
        return self.that("regressed")

    def that(self, outcome: ChangeOutcome) -> list[ScoreChange]:
        """The scores of which ``outcome`` is to be said."""
        return [change for change in self.scores if change.outcome == outcome]


def changes(
    before: Sequence[TaskResults], after: Sequence[TaskResults], margin: float = MARGIN
) -> Changes:
    """Compare what two roots have of the same tasks.

    Raises:
        UserError: they have no finished cell in common, or one of them has a task twice.
    """
    by_title(before)
    others = by_title(after)
    scores: list[ScoreChange] = []
    made: dict[tuple[str, str, str], int] = {}
    notes: list[str] = []
    for one in before:
        name = one.task.short_title
        other = others.pop(name, None)
        if other is None:
            notes.append(f"{name}: only in the first.")
            continue
        notes += yardstick_changes(name, one, other)
        for was, now in variants_of_both(name, one, other, notes):
            scores += _score_changes(name, (one, was), (other, now), margin, notes)
            for change in made_changes(finished_cells(one, was), finished_cells(other, now)):
                made[change] = made.get(change, 0) + 1
    notes += [f"{name}: only in the second." for name in others]
    if not scores:
        raise UserError(f"The two have no finished and scored run in common. {' '.join(notes)}")
    return Changes(tuple(scores), tuple((*key, count) for key, count in made.items()), tuple(notes))


def _score_changes(
    task: str,
    before: tuple[TaskResults, Variant],
    after: tuple[TaskResults, Variant],
    margin: float,
    notes: list[str],
) -> Iterator[ScoreChange]:
    label = before[1].label
    paired = before[0].task.probe_hash == after[0].task.probe_hash
    stored = {
        (each.metric, each.backbone, each.version) for each in scales_of_kind(after[0], *KINDS)
    }
    for scale in scales_of_kind(before[0], *KINDS):
        if (scale.metric, scale.backbone, scale.version) not in stored:
            continue
        was, now = (curves.seed_curves(*side, scale) for side in (before, after))
        for which, alone in (
            ("first", was.keys() & set(after[1].seeds) - now.keys()),
            ("second", now.keys() & set(before[1].seeds) - was.keys()),
        ):
            if alone:
                numbers = ", ".join(map(str, sorted(alone)))
                notes.append(
                    f"{task}: {scale.name()} of {label}, seed {numbers}, only in the {which}."
                )
        both = [seed for seed in was if seed in now and math.isfinite(_last(was[seed]))]
        known = [seed for seed in both if math.isfinite(_last(now[seed]))]
        for seeds in (known, [seed for seed in both if seed not in known]):
            if seeds:
                sides = [was[seed] for seed in seeds], [now[seed] for seed in seeds]
                first, second = (float(np.mean([_last(c) for c in side])) for side in sides)
                yield ScoreChange(
                    task=task,
                    method=label,
                    scale=scale,
                    before=first,
                    after=second,
                    seeds=len(seeds),
                    difference=_difference(*sides, paired),
                    margin=margin * _unit(before[0], scale),
                )


def _difference(was: Sequence[Curve], now: Sequence[Curve], paired: bool) -> Spread:
    """``now - was`` at the last snapshots: paired by seed, and by latent if these are the same."""
    values = np.array([_last(b) - _last(a) for a, b in zip(was, now, strict=True)])
    draws = [_draws(side) for side in (was, now)]
    if draws[0] is None or draws[1] is None:
        errors = [float(curve.stderr[-1]) for curve in (*was, *now)]
        return Estimate(values, error=math.hypot(*errors) / len(was)).spread
    if paired:
        return Estimate(values, draws[1] - draws[0]).spread
    parts = [Estimate(values, each).probe_variance for each in draws]
    return Spread(float(values.mean()), Estimate(values).seed_terms, sum(parts))


def _draws(of: Sequence[Curve]) -> curves.Floats | None:
    """The mean over the seeds of the last scores in resampled probe batches, if all are known."""
    known = [curve.draws[:, -1] for curve in of if curve.draws is not None]
    return np.mean(known, axis=0) if len(known) == len(of) else None


def _last(curve: Curve) -> float:
    return float(curve.values[-1])


def _unit(results: TaskResults, scale: Scale) -> float:
    """What a margin is a part of: 1 for what is limited on both sides, else the source's score."""
    if None not in scale.about.limits:
        return 1.0
    source = curves.reference(results, "source", scale)
    return abs(source[0]) if source else 1.0
