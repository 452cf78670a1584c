"""Renderings of an image: deterministic filters over images [N, H, W, 3] uint8.

A target that is a filter on source faces has a known ideal: the same filter on what the source
generator draws.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fsgan_bench.data.images import Images, check_images

PAPER_COLOUR = (0.985, 0.965, 0.915)


def _luma(images: Images) -> NDArray[np.float64]:
    """Rec. 601 luma of images, [N, H, W] in [0, 1]."""
    check_images(images)
    red, green, blue = (images[..., channel].astype(np.float64) for channel in range(3))
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255.0


def _quantise(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)


def _to_grey_images(values: NDArray[np.float64]) -> Images:
    return np.repeat(_quantise(values)[..., None], 3, axis=-1)


def _blur(images: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur of [N, H, W, ...] over H and W."""
    sigmas = (0.0, sigma, sigma) + (0.0,) * (images.ndim - 3)
    return np.asarray(ndimage.gaussian_filter(images, sigma=sigmas, mode="nearest"))


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
    negative = _blur(1.0 - luma, luma.shape[1] / 32.0)
    dodged = np.minimum(luma / np.maximum(1.0 - negative, 1e-6), 1.0)
    return _to_grey_images(0.75 * dodged + 0.25 * luma)


@functools.cache
def _texture(
    height: int, width: int, seed: int, octaves: tuple[tuple[float, float], ...]
) -> NDArray[np.float64]:
    """Smooth noise [H, W], mean 0 and variance 1, the same in every process.

    ``octaves`` are pairs of scale (standard deviation of the blur, in 1/64 of the height) and
    weight.
    """
    stream = np.random.Generator(np.random.PCG64(seed))
    total = np.zeros((height, width))
    for scale, weight in octaves:
        white = stream.random((height, width))
        layer = ndimage.gaussian_filter(white, scale * height / 64.0, mode="wrap")
        total += weight * (layer - layer.mean()) / layer.std()
    return np.asarray((total - total.mean()) / total.std())


def _sample(
    images: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear samples of [N, H, W, 3] at the positions [H, W], which are clamped to the image."""
    height, width = images.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top = np.minimum(rows.astype(np.intp), height - 2)
    left = np.minimum(columns.astype(np.intp), width - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = images[:, top, left] * (1 - right) + images[:, top, left + 1] * right
    lower = images[:, top + 1, left] * (1 - right) + images[:, top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def watercolour(images: Images) -> Images:
    """Images [N, H, W, 3] as watercolours of the same size, on cream paper.

    An unsteady hand displaces the contours by up to a pixel or so in 64, the paint runs a little,
    pigment pools along the edges, and the washes are uneven: paint is a transmittance, and more
    of it a higher power of it. Paper, hand and washes are the same in every picture.
    """
    check_images(images)
    height, width = images.shape[1:3]
    unit = height / 64.0
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    hand = ((3.0, 1.0), (6.0, 1.0))
    drawn = _sample(
        images / 255.0,
        rows + 0.6 * unit * _texture(height, width, 1, hand),
        columns + 0.6 * unit * _texture(height, width, 2, hand),
    )
    paint = np.maximum(_blur(drawn, 0.5 * unit), 0.02)
    pooled = 1.2 * (_blur(paint, 2.0 * unit) - paint)
    grain = _texture(height, width, 4, ((0.5, 1.0),))[..., None]
    washes = _texture(height, width, 3, ((5.0, 1.0), (2.0, 0.6)))[..., None]
    amount = 0.65 * np.maximum(1.0 + 0.35 * washes + 0.06 * grain, 0.3)
    paper = np.array(PAPER_COLOUR) * (1.0 + 0.012 * grain)
    return _quantise(paper * paint**amount * (1.0 - pooled))
