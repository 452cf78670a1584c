"""Intra-LPIPS (Ojha et al. 2021): diversity inside the clusters around the few-shot images.

Every function takes LPIPS features, ``Features.lpips`` of a backbone, in which LPIPS is a squared
Euclidean distance. The mean over the pairs of a cluster follows from sums (``pair_means``), so that
features that are too large to hold can be streamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.features.names import IntraProtocol
from fsgan_bench.metrics.clusters import Clustered, IntraLPIPS
from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick
from fsgan_bench.metrics.pair_means import PairMeans, chunk_length, squares
from fsgan_bench.metrics.per_image import CDC2021_CLUSTER_LIMIT, choose

PROTOCOLS: tuple[IntraProtocol, ...] = get_args(IntraProtocol)

Rows: TypeAlias = Callable[[NDArray[np.intp] | None], Iterable[Tensor]]
"""Features of the images with these indices, in order, in batches [B, D]; None: of all images."""


def pairwise_lpips(a: Tensor, b: Tensor) -> Tensor:
    """LPIPS of every pair, [N_a, N_b], from features [N_a, D] and [N_b, D]; good to about 1e-6."""
    _check(a, "a")
    _check(b, "b")
    _check_widths(a, b)
    lengths = squares(a)[:, None] + squares(b)[None, :]
    return lengths.sub_(a @ b.T, alpha=2).clamp_(min=0)


def mean_pairwise_lpips(features: Tensor) -> float:
    """Mean LPIPS over all pairs of N >= 2 images, from features [N, D]."""
    _check(features, "features")
    if len(features) < 2:
        raise ValueError("a mean over pairs needs at least two images")
    sums = PairMeans(features[:1])
    sums.add(features, torch.zeros(len(features), dtype=torch.long, device=features.device))
    return float(sums.means()[0])


def assign(fakes: Tensor, few_shot: Tensor) -> Tensor:
    """Index [N] of the nearest few-shot image by LPIPS, from features [N, D] and [M, D]."""
    _check(fakes, "fakes")
    _check(few_shot, "few_shot")
    _check_widths(fakes, few_shot)
    return _nearest(fakes, few_shot, squares(few_shot))[0]


def distance_to_nearest(fakes: Tensor, few_shot: Tensor) -> NDArray[np.float32]:
    """LPIPS [N] to the nearest few-shot image, from features [N, D] and [M, D]."""
    _check(fakes, "fakes")
    _check(few_shot, "few_shot")
    _check_widths(fakes, few_shot)
    distances: NDArray[np.float32] = _nearest(fakes, few_shot, squares(few_shot))[1].cpu().numpy()
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
        step = chunk_length(features.shape[1])
        if indices is None:
            return torch.split(features, step)
        return (features[chosen] for chosen in torch.split(torch.from_numpy(indices), step))

    return rows


def streamed_intra_lpips(
    rows: Rows,
    few_shot: Tensor,
    protocols: Sequence[IntraProtocol] = PROTOCOLS,
    seed: int = 0,
    distances: bool = False,
) -> Clustered:
    """`intra_lpips` by several protocols, of features that are too large to hold at once.

    ``rows`` starts a pass over features, for instance those of ``backbone.batches(images)``. The
    first pass assigns all images and settles ``exact``. The second, a cluster at a time, is over
    what ``cdc2021`` takes from clusters of more than 50, or with ``distances`` over all images: no
    image is asked for more than twice. Both passes must agree.

    Memory does not depend on N: beside one batch and a few copies of one image's features it is
    ``4 M D`` bytes of few-shot features and ``pair_means.sums_bytes(M, D)``. Ten few-shot images
    and ``vgg`` (D = 122 H W): 1.0 GB at 256 x 256, 2.6 GB at 512 x 512, 10.2 GB at 1024 x 1024.
    """
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {PROTOCOLS}, got {protocol!r}")
    _check(few_shot, "few_shot")
    sums = PairMeans(few_shot)
    lengths = squares(few_shot)
    assigned: list[int] = []
    nearest: list[float] = []
    for batch in rows(None):
        _check_widths(batch, few_shot)
        where, distance = _nearest(batch, few_shot, lengths)
        assigned += where.tolist()
        nearest += distance.tolist()
        sums.add(batch, where)
    if not assigned:
        raise ValueError("there are no fakes")
    index = np.array(assigned)
    limit = CDC2021_CLUSTER_LIMIT if "cdc2021" in protocols else len(index)
    kept = choose(index, len(few_shot), limit, seed)
    limited, each = _second_pass(rows, index, sums, kept, distances)
    means = {"exact": sums.means(), "cdc2021": limited}
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
    return index, (least + squares(fakes)).clamp(min=0)


def _second_pass(
    rows: Rows, index: NDArray[np.intp], sums: PairMeans, kept: NDArray[np.bool_], distances: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Means over the pairs of each cluster's kept members [M], and the distances if asked for.

    ``sums`` holds all members; where all are kept, their mean is that of ``sums``.
    """
    means, each = sums.means(), np.full(len(index), math.nan)
    for cluster in range(len(means)):
        members = np.flatnonzero(index == cluster)
        sample = None if kept[members].all() else PairMeans(sums.centres[cluster : cluster + 1])
        if len(members) < 2 or (sample is None and not distances):
            continue
        wanted = members if distances else members[kept[members]]
        start = 0
        for batch in rows(wanted):
            seen = wanted[start : start + len(batch)]
            start += len(batch)
            if distances:
                where = torch.full((len(batch),), cluster, device=batch.device)
                each[seen] = sums.distances(batch, where)
            if sample is not None:
                chosen = batch[torch.from_numpy(kept[seen]).to(batch.device)]
                sample.add(chosen, torch.zeros(len(chosen), dtype=torch.long, device=batch.device))
        if sample is not None:
            means[cluster] = sample.means()[0]
    return means, each if distances else None


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


class IntraLPIPSScore(Metric):
    """Diversity within the clusters around the few-shot images (Ojha et al. 2021)."""

    name = "intra_lpips"
    title = "intra-LPIPS"
    version = "1"
    higher_is_better = True
    definition = "mean LPIPS of all pairs nearest to the same few-shot image, over the clusters"
    role = "lpips"
    kind = "diversity"
    limits = (0.0, None)
    capped = True
    protocol: ClassVar[IntraProtocol] = "exact"

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert measured.clusters is not None
        result = measured.clusters.by_protocol[self.protocol]
        clusters = sum(size > 1 for size in result.cluster_sizes)
        detail = {
            "cluster_sizes": list(result.cluster_sizes),
            "empty": result.empty,
            "singleton": result.singleton,
            "with_empty_as_zero": result.with_empty_as_zero,
            "std": result.std,
        }
        stderr = result.std / clusters**0.5 if clusters > 1 else None
        each = measured.clusters.distances if self.protocol == "exact" else None
        return Value(result.value, len(measured.images), stderr, detail, each)


class IntraLPIPSCDC2021(IntraLPIPSScore):
    """The same with at most 50 images a cluster, as Ojha et al. 2021 evaluate."""

    name = "intra_lpips_cdc2021"
    definition = "as intra_lpips, with at most 50 images a cluster (Ojha et al. 2021)"
    protocol = "cdc2021"

    def details_on(self, backbone: str) -> str:
        return f"{super().details_on(backbone)}, {self.protocol}"
