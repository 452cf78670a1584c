"""Intra-LPIPS (Ojha et al. 2021): diversity inside the clusters around the few-shot images.

Every function takes LPIPS features, ``Features.lpips`` of a backbone, in which LPIPS is a squared
Euclidean distance. The mean over the pairs of a cluster follows from the sum of its vectors and the
sum of their squared lengths, so no matrix of pairs is formed, and features that are too large to
hold can be streamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.metrics.names import IntraProtocol
from fsgan_bench.metrics.probe import CDC2021_CLUSTER_LIMIT, choose

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


@dataclass(frozen=True, eq=False)
class Clustered:
    """N fakes around M few-shot images: their diversity by protocol, and where each of them is.

    ``index`` [N] holds each fake's nearest few-shot image, ``nearest`` [N] its LPIPS to that,
    ``distances`` [N] its mean LPIPS to the other members of its cluster, NaN where there is none;
    None if they were not asked for.
    """

    by_protocol: Mapping[IntraProtocol, IntraLPIPS]
    index: NDArray[np.intp]
    nearest: NDArray[np.float64]
    distances: NDArray[np.float64] | None = None


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
    return _nearest(fakes, few_shot, _squares(few_shot))[0]


def distance_to_nearest(fakes: Tensor, few_shot: Tensor) -> NDArray[np.float32]:
    """LPIPS [N] to the nearest few-shot image, from features [N, D] and [M, D]."""
    _check(fakes, "fakes")
    _check(few_shot, "few_shot")
    _check_widths(fakes, few_shot)
    distances: NDArray[np.float32] = _nearest(fakes, few_shot, _squares(few_shot))[1].cpu().numpy()
    return distances


def intra_lpips(
    fakes: Tensor, few_shot: Tensor, protocol: IntraProtocol = "exact", seed: int = 0
) -> IntraLPIPS:
    """Intra-LPIPS from the features [N, D] of the fakes and [M, D] of the few-shot images.

    Protocol ``exact`` averages over all members of each cluster, ``cdc2021`` (Ojha et al. 2021)
    over at most 50 of them, chosen with ``seed``. Raises ValueError for no fakes, no few-shot
    images, features without LPIPS (D = 0) or of different widths, or an unknown protocol.
    """
    _check(fakes, "fakes")
    return streamed_intra_lpips(held_rows(fakes), few_shot, [protocol], seed).by_protocol[protocol]


def held_rows(features: Tensor) -> Rows:
    """`Rows` of features [N, D] that are in memory."""

    def rows(indices: NDArray[np.intp] | None) -> Iterable[Tensor]:
        return _chunks(features if indices is None else features[torch.from_numpy(indices)])

    return rows


def streamed_intra_lpips(
    rows: Rows,
    few_shot: Tensor,
    protocols: Sequence[IntraProtocol] = PROTOCOLS,
    seed: int = 0,
    distances: bool = False,
) -> Clustered:
    """`intra_lpips` by several protocols, of features that are too large to hold at once.

    ``rows`` starts a pass over features, for instance those of ``backbone.batches(images)``. One
    pass assigns all images and, where their float64 sums fit into ``SUMS_BYTES``, settles
    ``exact``; else a second one does, a cluster at a time. ``cdc2021`` looks again at those that
    it takes from clusters of more than 50, and ``distances`` at all images. All passes must agree.

    Memory does not depend on N: beside one batch and a few copies of one image's features it is
    ``4 M D + min(8 M D, SUMS_BYTES)`` bytes. Ten few-shot images and ``vgg`` (D = 122 H W): 1.0 GB
    at 256 x 256, 1.3 GB at 512 x 512, 5.1 GB at 1024 x 1024, of which few-shot features 4 M D.
    """
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {PROTOCOLS}, got {protocol!r}")
    _check(few_shot, "few_shot")
    everything = "exact" in protocols or distances
    at_once = everything and 8 * few_shot.numel() <= SUMS_BYTES
    sums = _PairMeans(few_shot) if at_once else None
    lengths = _squares(few_shot)
    assigned: list[int] = []
    nearest: list[float] = []
    for batch in rows(None):
        _check_widths(batch, few_shot)
        where, distance = _nearest(batch, few_shot, lengths)
        assigned += where.tolist()
        nearest += distance.tolist()
        if sums is not None:
            sums.add(batch, where)
    if not assigned:
        raise ValueError("there are no fakes")
    index = np.array(assigned)
    means: dict[IntraProtocol, NDArray[np.float64]] = {}
    each = None
    if sums is not None:
        means["exact"] = sums.means()
        each = sums.distances(rows(None), index) if distances else None
        del sums
    elif everything:
        means["exact"], each = _a_cluster_at_a_time(rows, index, few_shot, distances)
    if "cdc2021" in protocols:
        kept = choose(index, len(few_shot), CDC2021_CLUSTER_LIMIT, seed)
        means["cdc2021"] = _cluster_means(rows, index, kept, few_shot, means.get("exact"))
    sizes = np.bincount(index, minlength=len(few_shot)).tolist()
    by_protocol = {protocol: _summary(protocol, sizes, means[protocol]) for protocol in protocols}
    return Clustered(by_protocol, index, np.array(nearest), each)


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


def _nearest(fakes: Tensor, few_shot: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Index [N] of the nearest few-shot image, given the squared ``lengths`` [M] of these.

    Beside it the LPIPS to it, [N].
    """
    least, index = (lengths - 2 * (fakes @ few_shot.T)).min(dim=1)
    return index, (least + _squares(fakes)).clamp(min=0)


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

    def distances(self, batches: Iterable[Tensor], index: NDArray[np.intp]) -> NDArray[np.float64]:
        """Mean squared distance [N] of each of the N added vectors to the others of its cluster.

        ``sum_j ||a - a_j||^2 = n ||a - c||^2 - 2 (a - c) . sum (a_j - c) + sum ||a_j - c||^2``.
        """
        found: list[float] = []
        for part in (part for batch in batches for part in _chunks(batch)):
            where = torch.from_numpy(index[len(found) : len(found) + len(part)]).to(part.device)
            offsets = part.double()
            offsets -= self.centres[where]
            dots = torch.linalg.vecdot(offsets, self.sums[where])
            total = self.counts[where] * _squares(offsets) - 2 * dots + self.squares[where]
            others = self.counts[where] - 1
            found += (total.clamp(min=0) / others.where(others > 0, math.nan)).tolist()
        return np.array(found)

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


def _a_cluster_at_a_time(
    rows: Rows, index: NDArray[np.intp], few_shot: Tensor, distances: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Means over all pairs [M], and the images' own distances [N] if they are asked for."""
    means, each = np.full(len(few_shot), math.nan), np.full(len(index), math.nan)
    for cluster, centre in enumerate(few_shot):
        members = np.flatnonzero(index == cluster)
        if len(members) < 2:
            continue
        pairs = _pairs(rows(members), centre)
        means[cluster] = pairs.means()[0]
        if distances:
            each[members] = pairs.distances(rows(members), np.zeros_like(members))
    return means, each if distances else None


def _mean_over_pairs(batches: Iterable[Tensor], centre: Tensor) -> float:
    """Mean LPIPS over all pairs of one cluster, whose centre [D] is near; NaN without pairs."""
    return float(_pairs(batches, centre).means()[0])


def _pairs(batches: Iterable[Tensor], centre: Tensor) -> _PairMeans:
    """The sums of one cluster, whose centre [D] is near."""
    pairs = _PairMeans(centre[None])
    for batch in batches:
        pairs.add(batch, torch.zeros(len(batch), dtype=torch.long, device=batch.device))
    return pairs


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
