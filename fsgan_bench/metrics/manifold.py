"""Precision, recall, density and coverage: manifolds as balls around images, in feature space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor

from fsgan_bench.metrics.description import Limits
from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick

NEIGHBOURS = 5
"""Of the radius, as in the code of Naeem et al. 2020."""

FEW_NEIGHBOURS = f"the target has no more than {NEIGHBOURS} real images to compare with"


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


class ManifoldScore(Metric):
    """One of precision, recall, density and coverage, with balls to the fifth neighbour.

    ``stderr`` is that of the mean over the images that are judged, given the others.
    """

    version = "1"
    higher_is_better = True
    role = "frechet"
    least = NEIGHBOURS + 1
    limits: ClassVar[Limits] = (0.0, 1.0)
    part: ClassVar[Literal["precision", "recall", "density", "coverage"]]

    def missing(self, yardstick: Yardstick) -> str | None:
        few = yardstick.real is None or len(yardstick.real) <= NEIGHBOURS
        return FEW_NEIGHBOURS if few else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.real is not None
        each = getattr(Manifolds(yardstick.real, measured.frechet), self.part)()
        detail = {"references": len(yardstick.real), "neighbours": NEIGHBOURS}
        stderr = float(each.std() / len(each) ** 0.5)
        return Value(float(each.mean()), len(measured.frechet), stderr, detail)


class PrecisionScore(ManifoldScore):
    """Share of fakes among the real images, in [0, 1] (Kynkaanniemi et al. 2019)."""

    name = part = "precision"
    title = "precision"
    definition = "share of fakes in the real images' manifold (Kynkaanniemi et al. 2019)"


class RecallScore(ManifoldScore):
    """Share of real images among the fakes, in [0, 1] (Kynkaanniemi et al. 2019)."""

    name = part = "recall"
    title = "recall"
    definition = "share of real images in the fakes' manifold (Kynkaanniemi et al. 2019)"


class DensityScore(ManifoldScore):
    """Real images' balls around a fake, by the neighbours, from 0; about 1 for real images."""

    name = part = "density"
    title = "density"
    limits = (0.0, None)
    definition = "how densely real images lie around the fakes (Naeem et al. 2020)"


class CoverageScore(ManifoldScore):
    """Share of real images with a fake in their ball, in [0, 1] (Naeem et al. 2020)."""

    name = part = "coverage"
    title = "coverage"
    definition = "share of real images with a fake near (Naeem et al. 2020)"
