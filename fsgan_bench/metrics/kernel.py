"""Kernel distance between feature sets (Binkowski et al. 2018), with its standard error."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fsgan_bench.metrics.metric import NO_REFERENCE, Measured, Metric, Value, Yardstick

INCEPTION = "inception"
"""The backbone on which the distance is KID."""


def kernel_distance(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Unbiased squared MMD of features [N, d] and [M, d], and its standard error.

    The kernel is ``(x . y / d + 1)^3`` (Binkowski et al. 2018, Sec. 3), as in clean-fid and
    torch-fidelity, but over all images at once in place of random subsets: the same estimand, less
    noise, and no choice. Negative values occur around zero. The standard error comes from the
    first-order projections of the two-sample U-statistic (Hoeffding 1948), and is too small where
    the sets are of one distribution. Raises ValueError for another shape or fewer than two images.
    """
    a, b = (_checked(features) for features in (x, y))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of different widths, {a.shape[1]} and {b.shape[1]}")
    within_a, within_b, across = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    n, m = len(a), len(b)
    own_a = (within_a.sum(1) - within_a.diagonal()) / (n - 1)
    own_b = (within_b.sum(1) - within_b.diagonal()) / (m - 1)
    from_a, from_b = own_a - across.mean(1), own_b - across.mean(0)
    distance = own_a.mean() + own_b.mean() - 2 * across.mean()
    return float(distance), 2 * math.sqrt(float(from_a.var() / n + from_b.var() / m))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    kernel: Tensor = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def _checked(features: Tensor) -> Tensor:
    values = features.detach().to(device="cpu", dtype=torch.float64)
    if values.ndim != 2 or len(values) < 2 or values.shape[1] == 0:
        raise ValueError(f"features must be [N, d] with N >= 2, got {list(values.shape)}")
    return values


class KernelScore(Metric):
    """Kernel distance to real target images (Binkowski et al. 2018), not multiplied by anything.

    The unbiased squared MMD over all images; ``kid`` on ``inception`` only, see `kernel_distance`.
    """

    name = "kid"
    title = "kernel distance"
    short = "KD"
    version = "1"
    higher_is_better = False
    definition = "unbiased squared MMD to real target images, cubic kernel (Binkowski et al. 2018)"
    role = "frechet"
    least = 2
    kind = "distance"

    def missing(self, yardstick: Yardstick) -> str | None:
        return (yardstick.no_reference or NO_REFERENCE) if yardstick.real is None else None

    def stored_as(self, backbone: str) -> str:
        return self.name if backbone == INCEPTION else f"{self.name}_{backbone}"

    def title_on(self, backbone: str) -> str:
        return "KID" if backbone == INCEPTION else self.title

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.real is not None
        value, stderr = kernel_distance(measured.frechet, yardstick.real)
        detail = {"references": len(yardstick.real)}
        return Value(value, len(measured.frechet), stderr, detail)
