"""Diversity at the same realisticness, over a range of it that trajectories pass through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fsgan_bench.analysis import trajectories
from fsgan_bench.analysis.estimates import Estimate
from fsgan_bench.analysis.trajectories import Trajectory
from fsgan_bench.results.resampling import Floats

NARROWEST = 0.1
"""A range of realisticness that methods pass through, and that is narrower, compares nothing: there
they have hardly begun."""

_LEVELS = 50


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods, by their labels, at the same realisticness.

    Attributes:
        over: lowest and highest realisticness that all runs of both pass through.
        one, other: each one's mean diversity over it, relative to the source's; what exceeds real
            images' counts as theirs.
    """

    labels: tuple[str, str]
    over: tuple[float, float]
    one: Estimate
    other: Estimate


def shared(cells: Iterable[Trajectory]) -> tuple[float, float]:
    """Lowest and highest realisticness that all of them pass through."""
    qualities = [cell.quality for cell in cells]
    return max(float(q[0]) for q in qualities), min(float(q.max()) for q in qualities)


def is_wide(levels: tuple[float, float]) -> bool:
    """Whether a range of realisticness is wide enough to compare anything."""
    return levels[1] - levels[0] >= NARROWEST


def pairs(by_label: Mapping[str, list[Trajectory]], limit: float) -> Iterator[Pair]:
    """Those that have enough realisticness in common; diversity is cut off at ``limit``."""
    for labels in combinations(by_label, 2):
        one, other = (by_label[label] for label in labels)
        over = shared([*one, *other])
        if is_wide(over):
            yield Pair(labels, over, *(matched(cells, over, limit) for cells in (one, other)))


def matched(cells: list[Trajectory], over: tuple[float, float] | None, limit: float) -> Estimate:
    """Mean diversity at the realisticness in this range, cut off at ``limit``."""

    def statistic(_: Floats, quality: Floats, diversity: Floats) -> Floats:
        if over is None:
            return np.full(quality.shape[:-1], np.nan)
        levels = np.linspace(*over, _LEVELS)
        return trajectories.mean_over_levels(quality, diversity, levels, limit)

    return trajectories.estimate(cells, statistic)
