"""Whether methods come in one order: by two numbers, or in several rankings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from fsgan_bench.results.resampling import Floats

PERMUTATIONS = 10_000

FEWEST_TO_REFUTE = 4
"""Rankings from which chance may deny an agreement: of three, resampled, the same one comes three
times in every ninth draw."""


def crossed_tau(tasks: Sequence[tuple[Floats, Floats]]) -> tuple[float, float, float]:
    """Kendall's tau-a of two numbers over the methods, and p of its being positive and negative.

    Both numbers of a run come from one training, whose luck moves them together, so that the
    methods' means agree in order even where the methods are the same. One seed's first number is
    therefore set against the mean of the *other* seeds' second; tau is the mean over the seeds and
    tasks. One-sided p-values are by permutation of the methods within the tasks.

    Args:
        tasks: of each task both numbers, [methods, seeds]; a method that lacks one is passed over.

    Returns:
        tau and both p-values; NaN if no task has three methods with two seeds.
    """
    generator = np.random.default_rng(0)
    observed: list[Floats] = []
    null: list[Floats] = []
    for first, second in tasks:
        known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        x, y = first[known], second[known]
        k, seeds = x.shape
        if k < 3 or seeds < 2:
            continue
        shuffled = generator.permuted(np.broadcast_to(np.arange(k), (PERMUTATIONS, k)), axis=1)
        for seed in range(seeds):
            order = np.sign(np.subtract.outer(x[:, seed], x[:, seed]))
            others = np.delete(y, seed, axis=1).mean(axis=1)
            concordance = np.sign(np.subtract.outer(others, others)) / (k * (k - 1))
            observed.append((order * concordance).sum())
            mixed = concordance[shuffled[:, :, None], shuffled[:, None, :]]
            null.append(np.einsum("ij,bij->b", order, mixed))
    if not observed:
        return math.nan, math.nan, math.nan
    tau, chance = float(np.mean(observed)), np.mean(null, axis=0)
    greater, less = (chance >= tau - 1e-9).sum(), (chance <= tau + 1e-9).sum()
    return tau, float(1 + greater) / (1 + PERMUTATIONS), float(1 + less) / (1 + PERMUTATIONS)


def kendalls_w(ratings: Floats) -> tuple[float, float]:
    """Agreement of m rankings of k things, from ratings [m, k], and its p by permutation.

    Kendall's W (Kendall and Babington Smith 1939) is Friedman's statistic over m (k - 1): 1 for the
    same order everywhere, about 1/m for none. NaN for fewer than two rankings or three things, and
    where no ranking tells any of them apart.
    """
    m, k = ratings.shape
    if m < 2 or k < 3 or (ratings == ratings[:, :1]).all():
        return math.nan, math.nan
    w = float(stats.friedmanchisquare(*ratings.T).statistic) / (m * (k - 1))
    ranks = stats.rankdata(ratings, axis=1)
    generator = np.random.default_rng(0)
    shuffled = generator.permuted(np.broadcast_to(ranks, (PERMUTATIONS, m, k)), axis=2)
    spread = shuffled.sum(axis=1).var(axis=1)
    observed = ranks.sum(axis=0).var()
    at_least = int((spread >= observed - 1e-9).sum())
    return w, (1 + at_least) / (1 + PERMUTATIONS)


def highest_w(ratings: Floats, level: float = 0.95, replicates: int = 2_000) -> float:
    """Upper confidence bound of Kendall's W by bootstrap over the rankings, from ratings [m, k].

    W is ``(1 + (m - 1) r) / m``, with r the mean of Spearman's correlations of two rankings.
    Resampled, a ranking agrees with its own copy, which says nothing: r is taken over pairs of
    different ones. NaN for fewer than ``FEWEST_TO_REFUTE`` rankings.
    """
    m = len(ratings)
    if m < FEWEST_TO_REFUTE:
        return math.nan
    ranks = stats.rankdata(ratings, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    correlation = unit @ unit.T
    drawn = np.random.default_rng(0).multinomial(m, np.full(m, 1 / m), replicates)
    pairs = drawn[:, :, None] * drawn[:, None, :] * (1 - np.eye(m))
    weight = pairs.sum(axis=(1, 2))
    r = (pairs * correlation).sum(axis=(1, 2))[weight > 0] / weight[weight > 0]
    return float(np.quantile((1 + (m - 1) * r) / m, level))
