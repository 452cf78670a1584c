"""Frechet distance between feature sets (Heusel et al. 2017), exact and without a matrix root.

With centred features scaled by ``1 / sqrt(N - 1)``, A [N1, d] and B [N2, d], the covariances are
``A^T A`` and ``B^T B``, and ``tr sqrt(S1 S2)`` is the nuclear norm of ``A B^T``. It does not change
when A and B are replaced by the triangular factors of their QR decompositions, so nothing larger
than min(N, d) a side is ever decomposed, and no covariance is multiplied or rooted.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.features.names import INCEPTIONS, frechet_name
from fsgan_bench.metrics.metric import NO_REFERENCE, Measured, Metric, Value, Yardstick

FEW_REFERENCES = 1000
"""A Frechet distance to fewer real images than this comes with a warning."""

FeatureArray: TypeAlias = Tensor | NDArray[np.floating]


class FrechetReference:
    """The reference side of a Frechet distance, decomposed once and used for every snapshot.

    ``features`` is [N, d] with N >= 2, ``count`` is N, or None if only
    statistics are known. Raises ValueError for another shape or
    non-finite values. With N near or below d the distance is biased upwards: compare at equal N
    only.
    """

    def __init__(self, features: FeatureArray) -> None:
        self._mean, self._factor = _moments(features, "features")
        self.count: int | None = len(features)

    @classmethod
    def from_statistics(cls, mean: FeatureArray, covariance: FeatureArray) -> FrechetReference:
        """The reference of which only the mean [d] and the covariance [d, d] are known.

        Raises ValueError for other shapes, values that are not finite, or a matrix that is no
        covariance: not symmetric, or with an eigenvalue clearly below zero.
        """
        reference = cls.__new__(cls)
        reference.count = None
        reference._mean, reference._factor = _checked_statistics(mean, covariance)
        return reference

    def distance(self, features: FeatureArray) -> float:
        """Squared Frechet distance of Gaussians fitted to ``features`` [N, d] and the reference.

        Unbiased covariances, float64. Raises ValueError for a bad shape or non-finite values.
        """
        mean, factor = _moments(features, "features")
        if len(mean) != len(self._mean):
            raise ValueError(
                f"features have {len(mean)} dimensions, the reference {len(self._mean)}"
            )
        root_trace = torch.linalg.svdvals(factor @ self._factor.T).sum()
        distance = (
            (mean - self._mean).square().sum()
            + factor.square().sum()
            + self._factor.square().sum()
            - 2 * root_trace
        )
        return max(0.0, float(distance))


def frechet_distance(x: FeatureArray, y: FeatureArray) -> float:
    """Squared Frechet distance between feature sets [N1, d] and [N2, d]; see `FrechetReference`.

    On Inception features this is FID; on any others it must not be called that.
    """
    return FrechetReference(y).distance(x)


def statistics(features: FeatureArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [d] and unbiased covariance [d, d] of features [N, d], float64, as FID files hold them.

    Raises ValueError for a bad shape or values that are not finite.
    """
    mean, factor = _moments(features, "features")
    return mean.numpy(), (factor.T @ factor).numpy()


def _checked_statistics(mean: FeatureArray, covariance: FeatureArray) -> tuple[Tensor, Tensor]:
    """The mean and a factor F with ``F^T F`` the covariance."""
    centre, matrix = (
        torch.as_tensor(values).to(dtype=torch.float64) for values in (mean, covariance)
    )
    if centre.ndim != 1 or matrix.shape != (len(centre), len(centre)) or not len(centre):
        raise ValueError(
            f"a mean [d] and a covariance [d, d] are needed, not {list(centre.shape)} and "
            f"{list(matrix.shape)}"
        )
    if not bool(centre.isfinite().all()) or not bool(matrix.isfinite().all()):
        raise ValueError("the statistics hold values that are not finite")
    scale = matrix.diagonal().abs().max().clamp(min=1e-12)
    if float((matrix - matrix.T).abs().max()) > 1e-5 * float(scale):
        raise ValueError("the covariance is not symmetric")
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    if float(values.min()) < -1e-5 * float(values.max().clamp(min=1e-12)):
        raise ValueError("the covariance has negative eigenvalues")
    return centre, values.clamp(min=0).sqrt()[:, None] * vectors.T


def _moments(features: FeatureArray, name: str) -> tuple[Tensor, Tensor]:
    """Mean [d] and a factor F [min(N, d), d] with ``F^T F`` the unbiased covariance, float64."""
    values = torch.as_tensor(features).detach().to(device="cpu", dtype=torch.float64)
    if values.ndim != 2 or len(values) < 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must be [N, d] with N >= 2 and d >= 1, got {list(values.shape)}")
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name} contain values that are not finite")
    mean = values.mean(0)
    factor = (values - mean) / (len(values) - 1) ** 0.5
    if len(factor) > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


class FrechetScore(Metric):
    """Frechet distance to real target images (Heusel et al. 2017) on a backbone's features.

    It is FID on the two Inceptions only (see `frechet_name`); ``detail`` holds how many real
    images.
    """

    name = "fd"
    title = "Fréchet distance"
    short = "FD"
    version = "1"
    higher_is_better = False
    definition = "Frechet distance to real target images on the backbone's features"
    role = "frechet"
    kind = "distance"
    selects = True
    limits = (0.0, None)
    least = 2

    def missing(self, yardstick: Yardstick) -> str | None:
        return (yardstick.no_reference or NO_REFERENCE) if yardstick.reference is None else None

    def warning(self, yardstick: Yardstick) -> str | None:
        if yardstick.statistics and yardstick.reference:
            return f"compares with the statistics in {yardstick.statistics}"
        count = yardstick.reference.count if yardstick.reference else None
        if count is None or count >= FEW_REFERENCES:
            return yardstick.compared or None
        few = f"compares with only {count} real images, which biases it upwards"
        return f"{few}; it {yardstick.compared}" if yardstick.compared else few

    def stored_as(self, backbone: str) -> str:
        return frechet_name(backbone)

    def title_on(self, backbone: str) -> str:
        return "FID" if backbone in INCEPTIONS else self.title

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        reference, features = yardstick.reference, measured.frechet
        assert reference is not None
        detail = {"references": reference.count}
        return Value(reference.distance(features), len(features), detail=detail)
