"""Mean squared distances inside clusters of vectors, from sums: no matrix of pairs is formed.

With ``lpips`` features of a backbone these are means of LPIPS.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SUMS_BYTES = 2**30
"""Sums of this size at most are of float64, larger ones of float32."""

_CHUNK_BYTES = 2**24


def squares(vectors: Tensor) -> Tensor:
    """Squared lengths [N] of vectors [N, D], without a copy of them."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths.square()


def chunk_length(width: int) -> int:
    """How many vectors of this width have float64 copies that are small."""
    return max(1, _CHUNK_BYTES // (8 * width))


def sums_bytes(clusters: int, width: int) -> int:
    """Bytes of the sums of so many clusters of vectors [width]."""
    exact = 8 * clusters * width
    return exact if exact <= SUMS_BYTES else exact // 2


class PairMeans:
    """Mean squared distance over all pairs of each cluster, from running sums.

    ``sum_{i<j} ||a_i - a_j||^2 = n sum ||a_i - c||^2 - ||sum (a_i - c)||^2`` for any ``c``. A
    centre near the cluster and float64 keep the difference exact to rounding. The sums of vectors
    are of float32 where float64 would take more than ``SUMS_BYTES``; as rounding is unbiased and
    there are many dimensions then, it costs no digit of a mean in float32.

    Args:
        centres: a vector near each cluster, [M, D].
    """

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self.counts = torch.zeros(len(centres), dtype=torch.float64, device=centres.device)
        self.squares = torch.zeros_like(self.counts)
        exact = 8 * centres.numel() <= SUMS_BYTES
        self.sums = torch.zeros_like(centres, dtype=torch.float64 if exact else torch.float32)

    def add(self, vectors: Tensor, cluster: Tensor) -> None:
        """Add vectors [B, D] to the clusters with these indices [B]."""
        self.counts += torch.bincount(cluster, minlength=len(self.counts))
        step = chunk_length(vectors.shape[1])
        for part, where in zip(vectors.split(step), cluster.split(step), strict=True):
            offsets = self._offsets(part, where)
            self.squares.index_add_(0, where, squares(offsets))
            self.sums.index_add_(0, where, offsets.to(self.sums.dtype))

    def distances(self, vectors: Tensor, cluster: Tensor) -> NDArray[np.float64]:
        """Mean squared distance [B] of vectors that were added to the others of their cluster.

        ``sum_j ||a - a_j||^2 = n ||a - c||^2 - 2 (a - c) . sum (a_j - c) + sum ||a_j - c||^2``.
        NaN where there are no others.
        """
        means: list[float] = []
        step = chunk_length(vectors.shape[1])
        for part, where in zip(vectors.split(step), cluster.split(step), strict=True):
            offsets = self._offsets(part, where)
            dots = torch.linalg.vecdot(offsets, self.sums[where].double())
            total = self.counts[where] * squares(offsets) - 2 * dots + self.squares[where]
            others = self.counts[where] - 1
            means += (total.clamp(min=0) / others.where(others > 0, math.nan)).tolist()
        return np.array(means)

    def means(self) -> NDArray[np.float64]:
        """[M]; NaN for clusters of fewer than two members."""
        lengths = torch.cat([squares(row.double()) for row in self.sums.split(1)])
        total = self.counts * self.squares - lengths
        number = self.counts * (self.counts - 1) / 2
        means: NDArray[np.float64] = (
            (total.clamp(min=0) / number.where(number > 0, math.nan)).cpu().numpy()
        )
        return means

    def _offsets(self, vectors: Tensor, cluster: Tensor) -> Tensor:
        """Vectors [B, D] from their cluster's centre, in float64."""
        offsets = vectors.double()
        offsets -= self.centres[cluster]
        return offsets
