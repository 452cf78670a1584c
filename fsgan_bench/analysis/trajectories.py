"""One cell's trajectory, with those of the resampled probe batches, and what is measured on it.

Every measure takes iterations [S] and realisticness or diversity [..., S], so that one call serves
a trajectory and all of its replicates. Diversity is intra-LPIPS relative to the source
generator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from fsgan_bench.analysis.estimates import Estimate
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.resampling import Floats
from fsgan_bench.results.scales import Scale

Statistic = Callable[[Floats, Floats, Floats], Floats]
"""Of iterations [S], realisticness [..., S] and diversity [..., S]; gives [...]."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A cell's snapshots: iterations, realisticness and relative diversity, all [S].

    ``quality_draws`` and ``diversity_draws`` are those of resampled probe batches, [B, S], or None.
    """

    iterations: Floats
    quality: Floats
    diversity: Floats
    quality_stderr: Floats
    quality_draws: Floats | None
    diversity_draws: Floats | None


def trajectories(
    results: TaskResults, variant: Variant, quality: Scale, diversity: Scale, source: float
) -> list[Trajectory]:
    """Of each finished seed that was scored on both scales; ``source`` is its intra-LPIPS."""
    others = curves.seed_curves(results, variant, diversity)
    found = []
    for seed, q in curves.seed_curves(results, variant, quality).items():
        d = others.get(seed)
        if d is None:
            continue
        shared, at_q, at_d = np.intersect1d(
            q.iterations, d.iterations, assume_unique=True, return_indices=True
        )
        found.append(
            Trajectory(
                iterations=shared,
                quality=q.values[at_q],
                diversity=d.values[at_d] / source,
                quality_stderr=q.stderr[at_q],
                quality_draws=None if q.draws is None else q.draws[:, at_q],
                diversity_draws=None if d.draws is None else d.draws[:, at_d] / source,
            )
        )
    return [one for one in found if len(one.iterations) > 0]


def reaching(quality: Floats, fraction: float) -> tuple[NDArray[np.intp], Floats]:
    """Index [...] of the first snapshot with ``fraction`` of the final realisticness.

    Beside it a mask [...], NaN where the final value is not above the first, else 1.
    """
    final = quality[..., -1:]
    risen = np.where(final[..., 0] > quality[..., 0], 1.0, np.nan)
    return np.argmax(quality >= fraction * final, axis=-1), risen


def iterations_to(iterations: Floats, quality: Floats, fraction: float) -> Floats:
    """Iterations [...] until ``fraction`` of the final realisticness is reached."""
    index, risen = reaching(quality, fraction)
    return risen * iterations[index]


def diversity_when(quality: Floats, diversity: Floats, fraction: float) -> Floats:
    """Diversity [...] at the first snapshot with ``fraction`` of the final realisticness."""
    index, risen = reaching(quality, fraction)
    return risen * np.take_along_axis(diversity, index[..., None], axis=-1)[..., 0]


def mean_loss(iterations: Floats, diversity: Floats, until: float) -> Floats:
    """Diversity lost [...], on average over the doublings of 1 + iterations up to ``until``.

    The area above the curve on an axis of ``log2(1 + iterations)``, from the source's diversity at
    0, over its width: diversity falls fast at first and then ever more slowly, which on that axis
    weighs alike. Whoever loses it sooner, or more of it, has lost more. NaN without a snapshot
    after 0.
    """
    within = (iterations > 0) & (iterations <= until)
    if not within.any():
        return np.full(diversity.shape[:-1], np.nan)
    x = np.concatenate([[0.0], np.log2(1 + iterations[within])])
    lost = 1 - diversity[..., within]
    lost = np.concatenate([np.zeros((*lost.shape[:-1], 1)), lost], axis=-1)
    area: Floats = trapezoid(lost, x, axis=-1) / x[-1]
    return area


def at_levels(quality: Floats, diversity: Floats, levels: Floats) -> Floats:
    """Diversity [..., L] where realisticness first reaches each of ``levels`` [L].

    Between the snapshot before and that one, both are taken to change along a straight line. A
    level at or below the first snapshot's is reached there. One that is never reached counts as
    reached where realisticness is highest, as a resampled batch may end just below it.
    """
    levels = np.minimum(levels, quality.max(axis=-1, keepdims=True))
    above = quality[..., None, :] >= levels[..., None]
    after = np.argmax(above, axis=-1)
    before = np.maximum(after - 1, 0)
    q0, q1 = (np.take_along_axis(quality, index, axis=-1) for index in (before, after))
    d0, d1 = (np.take_along_axis(diversity, index, axis=-1) for index in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(after > 0, (levels - q0) / (q1 - q0), 0.0)
    found: Floats = d0 + part * (d1 - d0)
    return found


def mean_over_levels(
    quality: Floats, diversity: Floats, levels: Floats, limit: float = np.inf
) -> Floats:
    """Area under diversity against realisticness over the range of ``levels``, by its width [...].

    ``levels`` [L] are equally spaced; with the path as in :func:`at_levels`, cut off at ``limit``.
    """
    heights = np.minimum(at_levels(quality, diversity, levels), limit)
    area: Floats = trapezoid(heights, levels, axis=-1) / (levels[-1] - levels[0])
    return area


def estimate(cells: list[Trajectory], statistic: Statistic, error: float = math.nan) -> Estimate:
    """A statistic of one method's seeds, and of their resampled probe batches."""
    values = [statistic(cell.iterations, cell.quality, cell.diversity) for cell in cells]
    replicates = [
        statistic(cell.iterations, cell.quality_draws, cell.diversity_draws)
        for cell in cells
        if cell.quality_draws is not None and cell.diversity_draws is not None
    ]
    draws = np.mean(replicates, axis=0) if len(replicates) == len(cells) else None
    return Estimate(np.array(values, dtype=np.float64), draws, error)
