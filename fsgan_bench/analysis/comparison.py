"""The methods of one task, measured on one scale of realisticness and one of diversity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fsgan_bench.analysis import matching, trajectories
from fsgan_bench.analysis.estimates import Estimate, difference
from fsgan_bench.analysis.matching import Pair
from fsgan_bench.analysis.trajectories import Trajectory, estimate
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales

FRACTION = 0.9
"""Of the final realisticness: what counts as having reached it."""

LEVEL = 0.95
"""Of all confidence intervals."""

_STEP = 0.1


@dataclass(frozen=True, eq=False)
class MethodSummary:
    """One method's numbers on one task; diversities are relative to the source generator's.

    Attributes:
        label: its name in figures and tables.
        converged: by the plateau test, for all of its seeds.
        seeds: how many were scored.
        resampled: whether per-image values are there for all snapshots.
        final: realisticness of the last snapshot.
        reached: iterations to ``FRACTION`` of it.
        when_reached: diversity at that snapshot.
        lost: diversity lost on average over the run, see ``trajectories.mean_loss``.
        matched: mean diversity over the levels of realisticness that all methods reach; what
            exceeds real images' counts as theirs.
        at: diversity at each of these levels that is a multiple of 0.1.
    """

    label: str
    converged: Convergence
    seeds: int
    resampled: bool
    final: Estimate
    reached: Estimate
    when_reached: Estimate
    lost: Estimate
    matched: Estimate
    at: dict[float, Estimate]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What one task says.

    Attributes:
        results, quality, diversity: the task and the two scales.
        source: intra-LPIPS of the source generator.
        real: diversity of real target images and its standard error, relative to the source's, if
            known. More than that is artefact, not diversity.
        ideal: diversity of the ideal adaptation, relative to the source's, if known.
        until: iterations up to which losses are measured, the same for all.
        shared: lowest and highest realisticness that all runs pass through; the second is not above
            the first where there is none.
        methods: one by one.
        pairs: those that share a range of realisticness that is wide enough to compare them.
    """

    results: TaskResults
    quality: Scale
    diversity: Scale
    source: float
    real: tuple[float, float] | None
    ideal: float | None
    until: float
    shared: tuple[float, float]
    methods: tuple[MethodSummary, ...]
    pairs: tuple[Pair, ...]

    @property
    def title(self) -> str:
        return self.results.task.short_title

    @property
    def common(self) -> tuple[float, float] | None:
        """``shared``, if it is wide enough to compare anything."""
        return self.shared if matching.is_wide(self.shared) else None

    def above_real(self, estimate: Estimate) -> bool:
        """Whether a diversity exceeds the real images' by more than the standard errors."""
        if self.real is None:
            return False
        error = math.hypot(*np.nan_to_num([estimate.spread.stderr, self.real[1]]))
        return estimate.value > self.real[0] + error

    def best(self, estimates: dict[str, Estimate]) -> set[str]:
        """The most diverse method and those that are not shown to be less diverse.

        Those above the real images are no candidates.
        """
        candidates = {
            label: each
            for label, each in estimates.items()
            if math.isfinite(each.value) and not self.above_real(each)
        }
        if not candidates:
            return set()
        top = max(candidates, key=lambda label: candidates[label].value)
        found = {top}
        for label, each in candidates.items():
            low, _ = difference(candidates[top], each).interval(LEVEL)
            if not low > 0:
                found.add(label)
        return found


def comparisons(tasks: Iterable[TaskResults]) -> tuple[list[Comparison], list[str]]:
    """A comparison for each task and pair of scales, and why others are left out."""
    compared, notes = [], []
    for results in tasks:
        quality = metric_scales(results, QUALITY)
        diversity = metric_scales(results, results.task.diversity)
        pairs = curves.pairs(results, quality, diversity)
        title = results.task.title
        if not pairs:
            notes.append(f"{title}: left out, as no run has both realisticness and intra-LPIPS.")
        for one, other in pairs:
            source = curves.reference(results, "source", other)
            if source is None or not source[0] > 0:
                notes.append(f"{title}: left out, as the source's intra-LPIPS is not known.")
                continue
            measured = _trajectories(results, one, other, source[0])
            still = [variant.label for variant, cells in measured.items() if _is_still(cells)]
            if still:
                notes.append(
                    f"{title}: left out: {', '.join(still)}, as one snapshot is no trajectory."
                )
            moving = {v: cells for v, cells in measured.items() if not _is_still(cells)}
            if moving:
                compared.append(_compare(results, one, other, source[0], moving))
        notes += [f"{title}: left out: {sentence}." for sentence in footnotes.omissions(results)]
    return compared, notes


def _trajectories(
    results: TaskResults, quality: Scale, diversity: Scale, source: float
) -> dict[Variant, list[Trajectory]]:
    return {
        variant: cells
        for variant in curves.variants(results)
        if (cells := trajectories.trajectories(results, variant, quality, diversity, source))
    }


def _is_still(cells: Iterable[Trajectory]) -> bool:
    return any(len(cell.iterations) < 2 for cell in cells)


def _compare(
    results: TaskResults,
    quality: Scale,
    diversity: Scale,
    source: float,
    by_variant: Mapping[Variant, list[Trajectory]],
) -> Comparison:
    flat = [cell for cells in by_variant.values() for cell in cells]
    until = min(float(cell.iterations[-1]) for cell in flat)
    known = {name: curves.reference(results, name, diversity) for name in ("real", "ideal")}
    real, ideal = (
        None if each is None else (each[0] / source, each[1] / source) for each in known.values()
    )
    found = Comparison(
        results=results,
        quality=quality,
        diversity=diversity,
        source=source,
        real=real,
        ideal=ideal[0] if ideal else None,
        until=until,
        shared=matching.shared(flat),
        methods=(),
        pairs=(),
    )
    limit = real[0] if real else math.inf
    methods = tuple(
        _measure(
            variant.label,
            cells,
            curves.has_converged(results, variant, [quality]),
            until,
            found.common,
            limit,
        )
        for variant, cells in by_variant.items()
    )
    by_label = {variant.label: cells for variant, cells in by_variant.items()}
    return replace(found, methods=methods, pairs=tuple(matching.pairs(by_label, limit)))


def _measure(
    label: str,
    cells: list[Trajectory],
    converged: Convergence,
    until: float,
    common: tuple[float, float] | None,
    limit: float,
) -> MethodSummary:
    listed = np.arange(1, round(1 / _STEP)) * _STEP
    inside = [float(level) for level in listed if common and common[0] < level <= common[1]]

    def level(at: float) -> Estimate:
        wanted = np.array([at])
        return estimate(cells, lambda _, q, d: trajectories.at_levels(q, d, wanted)[..., 0])

    return MethodSummary(
        label=label,
        converged=converged,
        seeds=len(cells),
        resampled=all(
            cell.quality_draws is not None and cell.diversity_draws is not None for cell in cells
        ),
        final=estimate(cells, lambda _, q, d: q[..., -1], float(cells[0].quality_stderr[-1])),
        reached=estimate(cells, lambda i, q, _: trajectories.iterations_to(i, q, FRACTION)),
        when_reached=estimate(cells, lambda _, q, d: trajectories.diversity_when(q, d, FRACTION)),
        lost=estimate(cells, lambda i, _, d: trajectories.mean_loss(i, d, until)),
        matched=matching.matched(cells, common, limit),
        at={round(at, 1): level(at) for at in inside},
    )
