"""Kernel distance between feature sets (Binkowski et al. 2018), with its standard error."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
