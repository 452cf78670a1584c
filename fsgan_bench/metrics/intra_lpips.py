"""Intra-LPIPS (Ojha et al. 2021): diversity inside the clusters around the few-shot images.

Every function takes LPIPS features, ``Features.lpips`` of a backbone, in which LPIPS is a squared
Euclidean distance; no image is looked at twice and no matrix of pairs is formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from fsgan_bench.metrics.names import IntraProtocol

CDC2021_CLUSTER_LIMIT = 50

_CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class IntraLPIPS:
    """Diversity of N fakes around M few-shot images.

    A cluster counts if it has at least two members; its diversity is the mean LPIPS over all its
    pairs. ``value`` is the plain mean over the clusters that count, NaN if none does; ``std`` is
    their sample standard deviation, NaN if fewer than two do. ``with_empty_as_zero`` is the mean
    over all M clusters, with zero for those that do not count: a generator that collapses onto
    one few-shot image cannot look diverse by it. ``cluster_sizes`` holds the M numbers of
    assigned fakes (before any limit), ``empty`` and ``singleton`` how many of them are 0 and 1.
    """

    protocol: IntraProtocol
    value: float
    std: float
    with_empty_as_zero: float
    cluster_sizes: tuple[int, ...]
    empty: int
    singleton: int


def pairwise_lpips(a: Tensor, b: Tensor) -> Tensor:
    """LPIPS of every pair, [N_a, N_b], from features [N_a, D] and [N_b, D]; good to about 1e-6."""
    _check(a, "a")
    _check(b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features of different widths, {a.shape[1]} and {b.shape[1]}: the images must be of "
            "one size and the backbone the same"
        )
    squares = _squares(a)[:, None] + _squares(b)[None, :]
    return squares.sub_(a @ b.T, alpha=2).clamp_(min=0)


def mean_pairwise_lpips(features: Tensor) -> float:
    """Mean LPIPS over all pairs of N >= 2 images, from features [N, D]."""
    _check(features, "features")
    if len(features) < 2:
        raise ValueError("a mean over pairs needs at least two images")
    pairs = _PairMeans(features[:1])
    for chunk in _chunks(features):
        pairs.add(chunk, torch.zeros(len(chunk), dtype=torch.long, device=chunk.device))
    return float(pairs.means()[0])


def assign(fakes: Tensor, few_shot: Tensor) -> Tensor:
    """Index [N] of the nearest few-shot image by LPIPS, from features [N, D] and [M, D]."""
    return pairwise_lpips(fakes, few_shot).argmin(dim=1)


def intra_lpips(
    fakes: Tensor, few_shot: Tensor, protocol: IntraProtocol = "exact", seed: int = 0
) -> IntraLPIPS:
    """Intra-LPIPS from the features [N, D] of the fakes and [M, D] of the few-shot images.

    Protocol ``exact`` averages over all members of each cluster, ``cdc2021`` (Ojha et al. 2021)
    over at most 50 of them, chosen with ``seed``. Raises ValueError for no fakes, no few-shot
    images, features without LPIPS (D = 0) or of different widths, or an unknown protocol.
    """
    _check(fakes, "fakes")
    return streamed_intra_lpips(lambda: _chunks(fakes), few_shot, protocol, seed)


def streamed_intra_lpips(
    fakes: Callable[[], Iterable[Tensor]],
    few_shot: Tensor,
    protocol: IntraProtocol = "exact",
    seed: int = 0,
) -> IntraLPIPS:
    """`intra_lpips` of features that are too large to hold at once.

    ``fakes()`` starts a pass over the features in batches [B, D], for instance
    ``lambda: (part.lpips for part in backbone.batches(images))``. ``exact`` makes one pass and
    ``cdc2021`` two, which must agree. Holds 12 M D bytes beside one batch.
    """
    if protocol not in get_args(IntraProtocol):
        raise ValueError(f"protocol must be one of {get_args(IntraProtocol)}, got {protocol!r}")
    _check(few_shot, "few_shot")
    pairs = _PairMeans(few_shot)
    parts: list[Tensor] = []
    for batch in fakes():
        parts.append(assign(batch, few_shot))
        if protocol == "exact":
            pairs.add(batch, parts[-1])
    if not parts:
        raise ValueError("there are no fakes")
    index = torch.cat(parts)
    if protocol == "cdc2021":
        kept = _choose(index, len(few_shot), CDC2021_CLUSTER_LIMIT, seed)
        start = 0
        for batch in fakes():
            chosen = kept[start : start + len(batch)]
            pairs.add(batch[chosen], index[start : start + len(batch)][chosen])
            start += len(batch)
    return _summary(protocol, index, pairs.means())


def _check(features: Tensor, name: str) -> None:
    if features.ndim != 2 or len(features) == 0:
        raise ValueError(f"{name} must be features [N, D] with N > 0, got {list(features.shape)}")
    if features.shape[1] == 0:
        raise ValueError(f"{name} has no LPIPS features: its backbone does not define LPIPS")


def _chunks(features: Tensor) -> tuple[Tensor, ...]:
    """Rows of ``features`` in pieces whose float64 copies stay small."""
    return torch.split(features, max(1, _CHUNK_BYTES // (8 * features.shape[1])))


def _squares(vectors: Tensor) -> Tensor:
    """Squared lengths [N] of vectors [N, D], without a copy of them."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths.square()


class _PairMeans:
    """Mean squared distance over all pairs of each cluster, from running sums.

    ``sum_{i<j} ||a_i - a_j||^2 = n sum ||a_i - c||^2 - ||sum (a_i - c)||^2`` for any ``c``. A
    centre near the cluster and float64 keep the difference exact to rounding.
    """

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self.counts = torch.zeros(len(centres), dtype=torch.float64, device=centres.device)
        self.squares = torch.zeros_like(self.counts)
        self.sums = torch.zeros_like(centres, dtype=torch.float64)

    def add(self, features: Tensor, index: Tensor) -> None:
        offsets = features.double() - self.centres[index]
        self.sums.index_add_(0, index, offsets)
        self.squares.index_add_(0, index, _squares(offsets))
        self.counts += torch.bincount(index, minlength=len(self.counts))

    def means(self) -> Tensor:
        """[M] float64; NaN for clusters of fewer than two members."""
        total = self.counts * self.squares - _squares(self.sums)
        number = self.counts * (self.counts - 1) / 2
        return total.clamp(min=0) / number.where(number > 0, math.nan)


def _choose(index: Tensor, clusters: int, limit: int, seed: int) -> Tensor:
    """Mask [N] of at most ``limit`` members of each cluster, drawn without replacement."""
    generator = np.random.default_rng(seed)
    assigned = index.cpu().numpy()
    kept = np.zeros(len(assigned), dtype=bool)
    for cluster in range(clusters):
        members = generator.permutation(np.flatnonzero(assigned == cluster))
        kept[members[:limit]] = True
    return torch.from_numpy(kept).to(index.device)


def _summary(protocol: IntraProtocol, index: Tensor, means: Tensor) -> IntraLPIPS:
    sizes = torch.bincount(index, minlength=len(means)).tolist()
    counted = means[~means.isnan()]
    return IntraLPIPS(
        protocol=protocol,
        value=float(counted.mean()) if len(counted) > 0 else math.nan,
        std=float(counted.std()) if len(counted) > 1 else math.nan,
        with_empty_as_zero=float(means.nan_to_num(nan=0.0).mean()),
        cluster_sizes=tuple(sizes),
        empty=sizes.count(0),
        singleton=sizes.count(1),
    )
