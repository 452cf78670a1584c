"""Intra-LPIPS (Ojha et al. 2021): diversity inside the clusters around the few-shot images.

Every function takes LPIPS features, ``Features.lpips`` of a backbone, in which LPIPS is a squared
Euclidean distance. The mean over the pairs of a cluster follows from the sum of its vectors and the
sum of their squared lengths, so no matrix of pairs is formed, and features that are too large to
hold can be streamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.metrics.names import IntraProtocol

CDC2021_CLUSTER_LIMIT = 50

SUMS_BYTES = 2**30
"""Up to this size the sums of all clusters are kept in the first pass; else a cluster at a time."""

_CHUNK_BYTES = 2**24

PROTOCOLS: tuple[IntraProtocol, ...] = get_args(IntraProtocol)

Rows: TypeAlias = Callable[[NDArray[np.intp] | None], Iterable[Tensor]]
"""Features of the images with these indices, in order, in batches [B, D]; None: of all images."""


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
    _check_widths(a, b)
    squares = _squares(a)[:, None] + _squares(b)[None, :]
    return squares.sub_(a @ b.T, alpha=2).clamp_(min=0)


def mean_pairwise_lpips(features: Tensor) -> float:
    """Mean LPIPS over all pairs of N >= 2 images, from features [N, D]."""
    _check(features, "features")
    if len(features) < 2:
        raise ValueError("a mean over pairs needs at least two images")
    return _mean_over_pairs(_chunks(features), features[0])


def assign(fakes: Tensor, few_shot: Tensor) -> Tensor:
    """Index [N] of the nearest few-shot image by LPIPS, from features [N, D] and [M, D]."""
    _check(fakes, "fakes")
    _check(few_shot, "few_shot")
    _check_widths(fakes, few_shot)
    return _nearest(fakes, few_shot, _squares(few_shot))


def intra_lpips(
    fakes: Tensor, few_shot: Tensor, protocol: IntraProtocol = "exact", seed: int = 0
) -> IntraLPIPS:
    """Intra-LPIPS from the features [N, D] of the fakes and [M, D] of the few-shot images.

    Protocol ``exact`` averages over all members of each cluster, ``cdc2021`` (Ojha et al. 2021)
    over at most 50 of them, chosen with ``seed``. Raises ValueError for no fakes, no few-shot
    images, features without LPIPS (D = 0) or of different widths, or an unknown protocol.
    """
    _check(fakes, "fakes")
    return streamed_intra_lpips(held_rows(fakes), few_shot, [protocol], seed)[protocol]


def held_rows(features: Tensor) -> Rows:
    """`Rows` of features [N, D] that are in memory."""

    def rows(indices: NDArray[np.intp] | None) -> Iterable[Tensor]:
        return _chunks(features if indices is None else features[torch.from_numpy(indices)])

    return rows


def streamed_intra_lpips(
    rows: Rows, few_shot: Tensor, protocols: Sequence[IntraProtocol] = PROTOCOLS, seed: int = 0
) -> dict[IntraProtocol, IntraLPIPS]:
    """`intra_lpips` by several protocols, of features that are too large to hold at once.

    ``rows`` starts a pass over features, for instance those of ``backbone.batches(images)``. One
    pass assigns all images and, where their float64 sums fit into ``SUMS_BYTES``, settles
    ``exact``; else a second one does, a cluster at a time. ``cdc2021`` looks again at those that
    it takes from clusters of more than 50. All passes must agree.

    Memory does not depend on N: beside one batch and a few copies of one image's features it is
    ``4 M D + min(8 M D, SUMS_BYTES)`` bytes. Ten few-shot images and ``vgg`` (D = 122 H W): 1.0 GB
    at 256 x 256, 1.3 GB at 512 x 512, 5.1 GB at 1024 x 1024, of which few-shot features 4 M D.
    """
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {PROTOCOLS}, got {protocol!r}")
    _check(few_shot, "few_shot")
    at_once = "exact" in protocols and 8 * few_shot.numel() <= SUMS_BYTES
    sums = _PairMeans(few_shot) if at_once else None
    lengths = _squares(few_shot)
    parts: list[Tensor] = []
    for batch in rows(None):
        _check_widths(batch, few_shot)
        parts.append(_nearest(batch, few_shot, lengths))
        if sums is not None:
            sums.add(batch, parts[-1])
    if not parts:
        raise ValueError("there are no fakes")
    index = torch.cat(parts).cpu().numpy()
    means = {}
    if sums is not None:
        means["exact"] = sums.means()
        del sums
    elif "exact" in protocols:
        means["exact"] = _cluster_means(rows, index, np.ones_like(index, dtype=bool), few_shot)
    if "cdc2021" in protocols:
        kept = _choose(index, len(few_shot), CDC2021_CLUSTER_LIMIT, seed)
        means["cdc2021"] = _cluster_means(rows, index, kept, few_shot, means.get("exact"))
    sizes = np.bincount(index, minlength=len(few_shot)).tolist()
    return {protocol: _summary(protocol, sizes, means[protocol]) for protocol in protocols}


def _check(features: Tensor, name: str) -> None:
    if features.ndim != 2 or len(features) == 0:
        raise ValueError(f"{name} must be features [N, D] with N > 0, got {list(features.shape)}")
    if features.shape[1] == 0:
        raise ValueError(f"{name} has no LPIPS features: its backbone does not define LPIPS")


def _check_widths(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features of different widths, {a.shape[1]} and {b.shape[1]}: the images must be of "
            "one size and the backbone the same"
        )


def _nearest(fakes: Tensor, few_shot: Tensor, lengths: Tensor) -> Tensor:
    """Index [N] of the nearest few-shot image, given the squared ``lengths`` [M] of these."""
    return (lengths - 2 * (fakes @ few_shot.T)).argmin(dim=1)


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
        self.counts += torch.bincount(index, minlength=len(self.counts))
        start = 0
        for part in _chunks(features):
            where = index[start : start + len(part)]
            start += len(part)
            offsets = part.double()
            offsets -= self.centres[where]
            self.sums.index_add_(0, where, offsets)
            self.squares.index_add_(0, where, _squares(offsets))

    def means(self) -> NDArray[np.float64]:
        """[M]; NaN for clusters of fewer than two members."""
        total = self.counts * self.squares - _squares(self.sums)
        number = self.counts * (self.counts - 1) / 2
        means: NDArray[np.float64] = (
            (total.clamp(min=0) / number.where(number > 0, math.nan)).cpu().numpy()
        )
        return means


def _cluster_means(
    rows: Rows,
    index: NDArray[np.intp],
    kept: NDArray[np.bool_],
    few_shot: Tensor,
    of_all: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Mean LPIPS over the pairs of each cluster's kept members [M], a cluster at a time.

    Where all members are kept, ``of_all`` holds it already, if it is given.
    """
    means = np.full(len(few_shot), math.nan)
    for cluster, centre in enumerate(few_shot):
        members = index == cluster
        if of_all is not None and kept[members].all():
            means[cluster] = of_all[cluster]
        elif (members & kept).any():
            means[cluster] = _mean_over_pairs(rows(np.flatnonzero(members & kept)), centre)
    return means


def _mean_over_pairs(batches: Iterable[Tensor], centre: Tensor) -> float:
    """Mean LPIPS over all pairs of one cluster, whose centre [D] is near; NaN without pairs."""
    pairs = _PairMeans(centre[None])
    for batch in batches:
        pairs.add(batch, torch.zeros(len(batch), dtype=torch.long, device=batch.device))
    return float(pairs.means()[0])


def _choose(index: NDArray[np.intp], clusters: int, limit: int, seed: int) -> NDArray[np.bool_]:
    """Mask [N] of at most ``limit`` members of each cluster, drawn without replacement."""
    generator = np.random.default_rng(seed)
    kept = np.zeros(len(index), dtype=bool)
    for cluster in range(clusters):
        members = generator.permutation(np.flatnonzero(index == cluster))
        kept[members[:limit]] = True
    return kept


def _summary(protocol: IntraProtocol, sizes: list[int], means: NDArray[np.float64]) -> IntraLPIPS:
    counted = means[~np.isnan(means)]
    return IntraLPIPS(
        protocol=protocol,
        value=float(counted.mean()) if len(counted) > 0 else math.nan,
        std=float(counted.std(ddof=1)) if len(counted) > 1 else math.nan,
        with_empty_as_zero=float(np.nan_to_num(means, nan=0.0).mean()),
        cluster_sizes=tuple(sizes),
        empty=sizes.count(0),
        singleton=sizes.count(1),
    )
