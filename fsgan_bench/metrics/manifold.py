"""Precision, recall, density and coverage: manifolds as balls around images, in feature space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

NEIGHBOURS = 5
"""Of the radius, as in the code of Naeem et al. 2020."""


@dataclass(frozen=True, eq=False)
class Manifolds:
    """Real features [M, d] and fake ones [N, d], both with more than ``k`` images.

    A ball reaches to an image's ``k``-th nearest neighbour in its own set. Results are per image;
    their means are the metrics.
    """

    real: Tensor
    fake: Tensor
    k: int = NEIGHBOURS

    @cached_property
    def across(self) -> Tensor:
        """Distances [M, N]."""
        return _distances(self.real, self.fake)

    @cached_property
    def real_radii(self) -> Tensor:
        return _radii(self.real, self.k)

    def precision(self) -> Tensor:
        """[N]: whether a fake lies in any real image's ball (Kynkaanniemi et al. 2019)."""
        return (self.across < self.real_radii[:, None]).any(0).double()

    def recall(self) -> Tensor:
        """[M]: whether a real image lies in any fake's ball (Kynkaanniemi et al. 2019)."""
        return (self.across < _radii(self.fake, self.k)[None]).any(1).double()

    def density(self) -> Tensor:
        """[N]: in how many real images' balls a fake lies, by ``k`` (Naeem et al. 2020, Eq. 3)."""
        return (self.across < self.real_radii[:, None]).sum(0).double() / self.k

    def coverage(self) -> Tensor:
        """[M]: whether a real image's ball holds any fake (Naeem et al. 2020, Eq. 4)."""
        return (self.across.amin(1) < self.real_radii).double()


def _distances(x: Tensor, y: Tensor) -> Tensor:
    a, b = (features.detach().to(device="cpu", dtype=torch.float64) for features in (x, y))
    return torch.cdist(a, b)


def _radii(features: Tensor, k: int) -> Tensor:
    if len(features) <= k:
        raise ValueError(f"balls to the {k}-th neighbour need more than {k} images")
    distances = _distances(features, features).fill_diagonal_(torch.inf)
    return distances.kthvalue(k, dim=1).values
