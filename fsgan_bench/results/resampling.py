"""Bootstrap over the probe batch: scores of resampled batches, without images or snapshots."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.metrics.per_image import CDC2021_CLUSTER_LIMIT, ProbeValues, choose

Floats = NDArray[np.float64]

INTRA_LPIPS, CAPPED = "intra_lpips", "intra_lpips_cdc2021"
REPLICATES = 2000
_SEED = 0


@lru_cache(maxsize=2)
def resamples(count: int, replicates: int = REPLICATES) -> NDArray[np.float32]:
    """How often each of ``count`` latents is drawn, [replicates, count]; always the same draws.

    As every method has seen the same latents, differences between methods within a replicate are
    those of one batch: the bootstrap is paired (Efron and Tibshirani 1993, ch. 8).
    """
    generator = np.random.default_rng([_SEED, count])
    draws = generator.multinomial(count, np.full(count, 1 / count), size=replicates)
    counts = draws.astype(np.float32)
    counts.setflags(write=False)
    return counts


def mean_draws(values: NDArray[Any], counts: NDArray[np.float32]) -> Floats:
    """Means [B] of values [N] over the resampled batches ``counts`` [B, N]."""
    means: Floats = np.asarray(counts @ np.float32(values), np.float64) / counts.sum(axis=1)
    return means


def intra_lpips_draws(
    cluster: NDArray[Any], distances: NDArray[Any], counts: NDArray[np.float32]
) -> Floats:
    """Intra-LPIPS [B] of the resampled batches ``counts`` [B, N]; NaN where no cluster counts.

    A cluster's mean over pairs is a U-statistic of degree two, and ``distances`` [N], an image's
    mean to the other members of its ``cluster`` [N], is its projection. With weights w on the
    members, its first-order term (Hoeffding 1948, Sec. 5) gives ``2 mean_w(h) - mean(h)``, whose
    bootstrap has the U-statistic's limit (Arcones and Gine 1992), without the pairs of copies
    that resampled pairs would contain. Clusters drawn fewer than twice do not count.
    """
    sizes = np.bincount(cluster)
    member = (
        (np.arange(len(sizes)) == cluster[:, None]) & (sizes > 1) & np.isfinite(distances)[:, None]
    )
    known = np.where(np.isfinite(distances), distances, 0.0)
    drawn = np.asarray(counts @ np.float32(member), np.float64)
    sums = np.asarray(counts @ np.float32(member * known[:, None]), np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (member * known[:, None]).sum(axis=0) / member.sum(axis=0)
        means = np.where(drawn >= 2, 2 * sums / drawn - centre, np.nan)
        counted = np.isfinite(means)
        total: Floats = np.where(counted, means, 0.0).sum(axis=1) / counted.sum(axis=1)
    return total


def intra_lpips_values(probe: ProbeValues, metric: str) -> Floats:
    """What each image [N] has to do with intra-LPIPS by the protocol of ``metric``.

    NaN of those that it leaves out: ``CAPPED`` takes so many of a cluster at most.
    """
    each = probe.values[INTRA_LPIPS].astype(np.float64)
    if metric == CAPPED:
        kept = choose(probe.cluster, int(probe.cluster.max()) + 1, CDC2021_CLUSTER_LIMIT)
        each[~kept] = np.nan
    return each


def probe_values(path: Path) -> ProbeValues:
    """What is stored at ``path``, read once; raises UserError if it is damaged."""
    return _probe_values(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _probe_values(path: Path, _changed: int) -> ProbeValues:
    return ProbeValues.load(path)


@lru_cache(maxsize=4096)
def draws(path: Path, metric: str, version: str, value: float) -> Floats | None:
    """A stored score's values [B] in the resampled probe batches; None if they are not known.

    ``path`` is the snapshot's file of per-image values. Those of another version are not this
    score's. The draws are centred on ``value``, so that half precision does not shift them.
    Raises UserError for a damaged file.
    """
    name = INTRA_LPIPS if metric == CAPPED else metric
    if not math.isfinite(value) or not path.exists():
        return None
    probe = probe_values(path)
    if name not in probe.values or probe.versions.get(name) != version.replace(metric, name):
        return None
    counts = resamples(len(probe.cluster))
    if name != INTRA_LPIPS:
        each = probe.values[name].astype(np.float64)
        return mean_draws(each, counts) + (value - float(each.mean()))
    each = intra_lpips_values(probe, metric)
    once = np.ones((1, len(each)), np.float32)
    centre = float(intra_lpips_draws(probe.cluster, each, once)[0])
    return intra_lpips_draws(probe.cluster, each, counts) + (value - centre)
