"""Numbers with two sources of uncertainty, seeds and probe batch, and tests of their differences.

An estimate is a mean over seeds, all scored on one probe batch. Its variance is that of the mean
over seeds plus that of the bootstrap over the latents, which is paired: in a difference of two
methods the latents' part is that of the difference. Intervals are Student's, with the degrees of
freedom of the seeds' part (Satterthwaite 1946); with one seed they cover the latents alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy import stats

from fsgan_bench.results.resampling import Floats


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over seeds.

    Attributes:
        values: one a seed; NaN where a seed has none.
        draws: the mean over the seeds in each resampled probe batch, [B], if they are known.
        error: a standard error that stands in for ``draws`` with a single seed.
    """

    values: Floats
    draws: Floats | None = None
    error: float = math.nan

    @property
    def known(self) -> Floats:
        return self.values[np.isfinite(self.values)]

    @property
    def seeds(self) -> int:
        return len(self.known)

    @property
    def value(self) -> float:
        return float(self.known.mean()) if self.seeds else math.nan

    @property
    def seed_terms(self) -> list[tuple[float, int]]:
        """The seeds' part of the variance and its degrees of freedom; none with one seed."""
        if self.seeds < 2:
            return []
        return [(float(self.known.var(ddof=1)) / self.seeds, self.seeds - 1)]

    @property
    def probe_variance(self) -> float:
        if self.draws is not None:
            return variance(self.draws)
        return 0.0 if self.seeds > 1 else self.error**2

    @property
    def spread(self) -> Spread:
        return Spread(self.value, self.seed_terms, self.probe_variance)


def variance(draws: Floats) -> float:
    """Of the replicates that are defined; NaN if fewer than nine in ten are."""
    defined = draws[np.isfinite(draws)]
    return float(defined.var(ddof=1)) if len(defined) >= 0.9 * len(draws) else math.nan


@dataclass(frozen=True)
class Spread:
    """A value, the seeds' variances with their degrees of freedom, and the probe batch's."""

    value: float
    seed_terms: list[tuple[float, int]] = field(default_factory=list)
    probe_variance: float = math.nan

    @property
    def stderr(self) -> float:
        """NaN if unknown."""
        return math.sqrt(sum(term for term, _ in self.seed_terms) + self.probe_variance)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom; infinite if the seeds contribute nothing."""
        lower = sum(term**2 / freedom for term, freedom in self.seed_terms)
        return self.stderr**4 / lower if lower > 0 else math.inf

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval; NaN if the standard error is unknown."""
        if not math.isfinite(self.stderr):
            return math.nan, math.nan
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.stderr
        return self.value - half, self.value + half

    def above(self, bound: float) -> float:
        """One-sided p of the hypothesis that the true value is at most ``bound``."""
        distance = self.value - bound
        if self.stderr == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stats.t.sf(distance / self.stderr, self.freedom))

    def below(self, bound: float) -> float:
        """One-sided p of the hypothesis that the true value is at least ``bound``."""
        return Spread(-self.value, self.seed_terms, self.probe_variance).above(-bound)


def difference(first: Estimate, second: Estimate) -> Spread:
    """``first - second``: seeds independent, the probe batch paired where draws are known."""
    if first.draws is not None and second.draws is not None:
        probe = variance(first.draws - second.draws)
    else:
        probe = first.probe_variance + second.probe_variance
    return Spread(first.value - second.value, first.seed_terms + second.seed_terms, probe)


@dataclass(frozen=True)
class PairTest:
    """Two methods compared.

    ``within`` is the p of two one-sided tests (TOST, Schuirmann 1987): small means that they differ
    by less than the margin. ``beyond`` is the p, adjusted for all pairs by Holm's method, of the
    opposite: small means that they differ by more. NaN where the standard error is unknown.
    ``over`` is the range of realisticness in which they are compared, if they are in one.
    """

    first: str
    second: str
    difference: Spread
    within: float
    beyond: float
    over: tuple[float, float] | None = None


def compare_pairs(estimates: dict[str, Estimate], margin: float) -> list[PairTest]:
    """All pairs, in order."""
    pairs = combinations(estimates, 2)
    return compare_differences(
        {(one, other): difference(estimates[one], estimates[other]) for one, other in pairs}, margin
    )


def compare_differences(
    differences: Mapping[tuple[str, str], Spread], margin: float
) -> list[PairTest]:
    """Tests of differences that are known, one family."""
    beyond = holm([2 * min(d.above(margin), d.below(-margin)) for d in differences.values()])
    return [
        PairTest(one, other, d, max(d.above(-margin), d.below(margin)), p)
        for ((one, other), d), p in zip(differences.items(), beyond, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests (Holm 1979); unknown ones count in the family."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    scaled = p[order] * (len(p) - np.arange(len(p)))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]
