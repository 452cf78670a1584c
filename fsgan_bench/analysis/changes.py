"""Two results roots side by side: what they were made with, and whether their scores differ.

The question after every upgrade. Cells are matched by task, label and seed, and compared at their
last snapshot, seed by seed; where both roots scored the same probe batch, image by image too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from fsgan_bench.analysis.estimates import Estimate, Spread
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.description import KINDS
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.naming import leaves
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.results.records import CellRecord
from fsgan_bench.results.references import REFERENCE_TITLES
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
        before, after: means over these seeds.
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
        """``regressed`` is worse by more than the error and by more than the margin.

        The error is unknown of a score without one of its own, such as a Frechet distance, of
        which there is a single seed.
        """
        value = self.difference.value
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
        UserError: they have no finished cell in common.
    """
    others = {results.task.short_title: results for results in after}
    scores: list[ScoreChange] = []
    made: dict[tuple[str, str, str], int] = {}
    notes: list[str] = []
    for one in before:
        name = one.task.short_title
        other = others.pop(name, None)
        if other is None:
            notes.append(f"{name}: only in the first.")
            continue
        notes += _yardstick(name, one, other)
        for was, now in _pairs(name, one, other, notes):
            scores += _score_changes(name, (one, was), (other, now), margin)
            for change in _made_changes(_cells(one, was), _cells(other, now)):
                made[change] = made.get(change, 0) + 1
    notes += [f"{name}: only in the second." for name in others]
    if not scores:
        raise UserError(f"The two have no finished and scored run in common. {' '.join(notes)}")
    return Changes(tuple(scores), tuple((*key, count) for key, count in made.items()), tuple(notes))


def _pairs(
    name: str, one: TaskResults, other: TaskResults, notes: list[str]
) -> Iterator[tuple[Variant, Variant]]:
    """Variants of one label in both; ``notes`` gets those of one alone."""
    was, now = ({each.label: each for each in curves.variants(of)} for of in (one, other))
    for which, alone in (("first", was.keys() - now.keys()), ("second", now.keys() - was.keys())):
        if alone:
            notes.append(f"{name}: {', '.join(sorted(alone))} only in the {which}.")
    for label in was:
        if label in now:
            yield was[label], now[label]


def _score_changes(
    task: str,
    before: tuple[TaskResults, Variant],
    after: tuple[TaskResults, Variant],
    margin: float,
) -> Iterator[ScoreChange]:
    paired = before[0].task.probe_hash == after[0].task.probe_hash
    known = {
        (each.metric, each.backbone, each.version) for each in scales_of_kind(after[0], *KINDS)
    }
    for scale in scales_of_kind(before[0], *KINDS):
        if (scale.metric, scale.backbone, scale.version) not in known:
            continue
        was, now = (curves.seed_curves(*side, scale) for side in (before, after))
        seeds = [seed for seed in was if seed in now]
        values = [(_last(was[seed]), _last(now[seed])) for seed in seeds]
        values = [pair for pair in values if np.isfinite(pair).all()]
        if not values or len(values) != len(seeds):
            continue
        yield ScoreChange(
            task=task,
            method=before[1].label,
            scale=scale,
            before=float(np.mean([one for one, _ in values])),
            after=float(np.mean([other for _, other in values])),
            seeds=len(seeds),
            difference=_difference([was[s] for s in seeds], [now[s] for s in seeds], paired),
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


def _yardstick(name: str, one: TaskResults, other: TaskResults) -> Iterator[str]:
    """What scores were measured with, if that is not the same in both."""
    for what, was, now in (
        *((what, was, other.task.made_with[what]) for what, was in one.task.made_with.items()),
        ("probe batch", one.task.probe_hash, other.task.probe_hash),
    ):
        if was and now and was != now:
            yield f"{name}: another {what} ({was[:8]} before, {now[:8]} after)."
    versions = [_versions(of) for of in (one, other)]
    for key in versions[0].keys() & versions[1].keys():
        before, after = (of[key] for of in versions)
        if not before & after:
            differ = "; ".join(", ".join(sorted(each)) for each in (before, after))
            yield f"{name}: {key[0]} is not compared, its versions differ ({differ})."
    for reference, title in REFERENCE_TITLES.items():
        for scale in scales_of_kind(one, *KINDS):
            found = [curves.reference(of, reference, scale) for of in (one, other)]
            if found[0] and found[1] and found[0][0] != found[1][0]:
                yield (
                    f"{name}: the {scale.name()} of the {title} is {found[1][0]:.4g}, "
                    f"was {found[0][0]:.4g}."
                )


def _versions(results: TaskResults) -> dict[tuple[str, str], set[str]]:
    """The versions that each metric was scored with, by its name and backbone."""
    found: dict[tuple[str, str], set[str]] = {}
    for scale in scales_of_kind(results, *KINDS):
        found.setdefault((scale.metric, scale.backbone), set()).add(scale.version)
    return found


def _cells(results: TaskResults, variant: Variant) -> dict[int, Path]:
    cells = results.cells[
        (results.cells["variant"] == variant.key) & (results.cells["status"] == DONE)
    ]
    return {
        int(seed): Path(str(folder))
        for seed, folder in zip(cells["seed"], cells["folder"], strict=True)
    }


def _made_changes(
    was: Mapping[int, Path], now: Mapping[int, Path]
) -> Iterator[tuple[str, str, str]]:
    """Settings and provenance that differ between the cells of one method, per seed."""
    for seed in was.keys() & now.keys():
        one, other = (_made(read_cell(CellFiles(side[seed]))) for side in (was, now))
        for name in dict.fromkeys([*one, *other]):
            if one.get(name) != other.get(name):
                yield name, one.get(name, "-"), other.get(name, "-")


def _made(record: CellRecord) -> dict[str, str]:
    """All that a cell is and was made by, by dotted name; the content hash is short."""
    provenance = record.provenance.model_dump(exclude={"form"})
    return {"hash": record.hash[:8]} | leaves(record.cell.stored) | leaves(provenance)
