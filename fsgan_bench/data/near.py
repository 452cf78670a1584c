"""Near-duplicates: the same picture encoded again, resized, or mirrored.

A picture's thumbnail holds the mean luminance of 16 x 16 cells and the mean chroma of 4 x 4. Two
pictures are near-duplicates where no cell differs by more than ``TOLERANCE`` levels. Encoders and
resizing keep such means, while another picture of the same domain differs in some cell by far more:
among 600 drawings of each of six domains at 64x64, with faces that differ in an accessory alone,
the least largest difference was 10.4, and JPEG of quality 75 reached 7.6, 10.8 where a picture
consists of hard-edged blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from fsgan_bench.data.images import Images

LUMA, CHROMA = 16, 4
"""Cells a side."""

WIDTH = LUMA**2 + 2 * CHROMA**2
"""Bytes of a thumbnail."""

TOLERANCE = 10.0
"""Levels of 255 that a cell of two near-duplicates may differ by."""

CONTRAST = 3.0
"""Pictures of low contrast may differ by this share of their luminance's standard deviation."""

CHROMA_SCALE = 0.5
"""Chroma is kept at half the resolution by most encoders, so its differences count half."""

BLOCK = 256
"""Pictures that are compared with all others at a time."""

Thumbnails: TypeAlias = NDArray[np.uint8]


def thumbnails(images: Images) -> Thumbnails:
    """Thumbnails uint8 [N, WIDTH] of images [N, H, W, 3]."""
    found = np.empty((len(images), WIDTH), dtype=np.uint8)
    for row, image in zip(found, images, strict=True):
        luma, *chroma = Image.fromarray(image).convert("YCbCr").split()
        cells = [luma.resize((LUMA, LUMA), Image.Resampling.BOX)]
        cells += [plane.resize((CHROMA, CHROMA), Image.Resampling.BOX) for plane in chroma]
        row[:] = np.concatenate([np.asarray(cell).ravel() for cell in cells])
    return found


def copies(ours: Thumbnails, theirs: Thumbnails) -> NDArray[np.bool_]:
    """Which of ``ours`` [N] are near-duplicates of one of ``theirs``."""
    found = np.zeros(len(ours), dtype=bool)
    for other in (theirs, _mirrored(theirs)):
        for one, _ in _pairs(ours, other):
            found[one] = True
    return found


def first_of_each(pictures: Thumbnails) -> list[int]:
    """Indices of the pictures that are no near-duplicates of an earlier one that is kept."""
    earlier: dict[int, list[int]] = {}
    for other in (pictures, _mirrored(pictures)):
        for one, two in _pairs(pictures, other):
            if two < one:
                earlier.setdefault(one, []).append(two)
    kept: dict[int, None] = {}
    for index in range(len(pictures)):
        if not any(two in kept for two in earlier.get(index, ())):
            kept[index] = None
    return list(kept)


def _pairs(ours: Thumbnails, theirs: Thumbnails) -> Iterator[tuple[int, int]]:
    """Indices of the near-duplicates among two sets as they are; a tree of coarser cells helps."""
    if not len(ours) or not len(theirs):
        return
    one, other = _vectors(ours), _vectors(theirs)
    limits, their_limits = _limits(ours), _limits(theirs)
    tree = cKDTree(_coarse(other))
    for start in range(0, len(one), BLOCK):
        block = cKDTree(_coarse(one[start : start + BLOCK]))
        near = block.sparse_distance_matrix(tree, TOLERANCE, p=np.inf, output_type="ndarray")
        for chunk in np.array_split(near, len(near) // 10_000 + 1):
            i, j = chunk["i"] + start, chunk["j"]
            allowed = np.minimum(limits[i], their_limits[j])
            alike = np.abs(one[i] - other[j]).max(axis=1, initial=0) <= allowed
            yield from zip(i[alike].tolist(), j[alike].tolist(), strict=True)


def _coarse(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luminance in 4 x 4 cells, [N, 16]."""
    few = LUMA // 4
    cells = vectors[:, : LUMA**2].reshape(-1, 4, few, 4, few)
    means: NDArray[np.float32] = cells.mean(axis=(2, 4)).reshape(-1, 16)
    return means


def _vectors(pictures: Thumbnails) -> NDArray[np.float32]:
    vectors = pictures.astype(np.float32)
    vectors[:, LUMA**2 :] *= CHROMA_SCALE
    return vectors


def _limits(pictures: Thumbnails) -> NDArray[np.float64]:
    """The difference that a picture's contrast allows for."""
    spread: NDArray[np.float64] = pictures[:, : LUMA**2].std(axis=1) / CONTRAST
    return np.minimum(TOLERANCE, spread)


def _mirrored(pictures: Thumbnails) -> Thumbnails:
    parts = []
    start = 0
    for side in (LUMA, CHROMA, CHROMA):
        plane = pictures[:, start : start + side**2].reshape(-1, side, side)
        parts.append(plane[:, :, ::-1].reshape(len(pictures), side**2))
        start += side**2
    return np.concatenate(parts, axis=1)
