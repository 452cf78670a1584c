"""Renderings of an image: deterministic filters over images [N, H, W, 3] uint8.

A target that is a filter on source faces has a known ideal: the same filter on what the source
generator draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from fsgan_bench.data.images import Images, check_images

LUMA = np.array([0.299, 0.587, 0.114])


def _luma(images: Images) -> NDArray[np.float64]:
    """Rec. 601 luma of images, [N, H, W] in [0, 1]."""
    check_images(images)
    return np.asarray(images.astype(np.float64) @ LUMA / 255.0)


def _to_grey_images(values: NDArray[np.float64]) -> Images:
    levels = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def grey(images: Images) -> Images:
    """Images [N, H, W, 3] without colour (Rec. 601 luma on all three channels)."""
    return _to_grey_images(_luma(images))


def pencil(images: Images) -> Images:
    """Images [N, H, W, 3] as grey pencil drawings of the same size.

    The grey image is colour-dodged with its blurred negative, which leaves the contours, and
    blended with a quarter of the grey itself, which leaves a light shading. The blur's standard
    deviation is 1/32 of the height, so that the stroke's weight does not depend on the size.
    """
    luma = _luma(images)
    sigma = luma.shape[1] / 32.0
    negative = ndimage.gaussian_filter(1.0 - luma, sigma=(0.0, sigma, sigma), mode="nearest")
    dodged = np.minimum(luma / np.maximum(1.0 - negative, 1e-6), 1.0)
    return _to_grey_images(0.75 * dodged + 0.25 * luma)
