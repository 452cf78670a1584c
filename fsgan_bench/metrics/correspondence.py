"""Metrics that hold each image against what the same latent gave before the adaptation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick

EDGE_SIGMA = 1.0
"""Pixels: deviation of the Gaussian whose derivatives are the edges."""

EDGES = f"Gaussian gradient magnitude of luma sigma {EDGE_SIGMA:g}"

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_CHUNK = 256

NO_IDEAL = "the ideal adaptation of the target is not known"
NO_SOURCE = "there are no source images of the same latents"


def paired_lpips(first: Iterable[Tensor], second: Iterable[Tensor]) -> NDArray[np.float64]:
    """LPIPS [N] of each image to its counterpart, from equal batches of features [B, D]."""
    parts = [(a - b).square().sum(dim=1) for a, b in zip(first, second, strict=True)]
    return np.concatenate([part.double().cpu().numpy() for part in parts])


def edge_maps(images: Images) -> NDArray[np.float32]:
    """Strength of the edges in images [N, H, W, 3]: float32 [N, H, W], from 0."""
    luma = images.astype(np.float32) @ _LUMA
    down, across = (
        gaussian_filter(luma, (0.0, EDGE_SIGMA, EDGE_SIGMA), order=order)
        for order in ((0, 1, 0), (0, 0, 1))
    )
    edges: NDArray[np.float32] = np.hypot(down, across)
    return edges


def structural_consistency(first: Images, second: Images) -> NDArray[np.float64]:
    """Agreement [N] of the edges of image pairs [N, H, W, 3], in [0, 1]: 1 for the same edges.

    ``2 <a, b> / (|a|^2 + |b|^2)`` of the edge maps a and b of each pair (Xiao et al. 2022), 1 where
    neither has any. Raises ValueError for sets of different shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"pairs of images need one shape, not {first.shape} and {second.shape}")
    parts = []
    for start in range(0, len(first), _CHUNK):
        a, b = (edge_maps(each[start : start + _CHUNK]) for each in (first, second))
        both = 2 * np.einsum("nhw,nhw->n", a, b, dtype=np.float64)
        squares = sum(np.einsum("nhw,nhw->n", x, x, dtype=np.float64) for x in (a, b))
        parts.append(np.divide(both, squares, out=np.ones_like(both), where=squares > 0))
    return np.concatenate(parts)


class CorrespondenceScore(Metric):
    """Mean LPIPS of ``G_t(z)`` to the ideal adaptation of ``G_s(z)``, from 0.

    Only where the ideal is known. It falls when the adaptation learns the target's rendering, and
    rises when it forgets which face a latent was.
    """

    name = "correspondence"
    title = "LPIPS to the ideal"
    short = "to ideal"
    version = "1"
    higher_is_better = False
    definition = "mean LPIPS to the ideal adaptation of the same latent's source image"
    role = "lpips"
    reading = "ideal"
    paired = True
    kind = "correspondence"
    limits = (0.0, None)

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_IDEAL if yardstick.ideal is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert measured.to_ideal is not None
        return _mean(measured.to_ideal)


class StructureScore(Metric):
    """Structural consistency of ``G_t(z)`` with ``G_s(z)`` (Xiao et al. 2022), in [0, 1].

    The score of RSSA, see `structural_consistency`; its edges come from a learnt detector there and
    are Gaussian gradient magnitudes here. High for an unadapted generator as well: a merit only at
    the same realisticness.
    """

    name = "structure"
    title = "structural consistency"
    version = "1"
    higher_is_better = True
    definition = "agreement of edges with the same latent's source image (Xiao et al. 2022)"
    role = "edges"
    limits = (0.0, 1.0)
    paired = True
    kind = "correspondence"
    tabulated = False

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_SOURCE if yardstick.source is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.source is not None
        return _mean(structural_consistency(measured.images, yardstick.source()))


def _mean(each: NDArray[np.float64]) -> Value:
    stderr = float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else None
    return Value(float(each.mean()), len(each), stderr, each=each)
