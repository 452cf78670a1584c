"""Image strips: what of a set of images is kept to be looked at and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsgan_bench.data.images import Images, grid, save_png

STRIP_COLUMNS = 8
STRIP_TILES = 16


def save_strip(images: Images, path: Path) -> None:
    """Save the first 16 images as 2 rows of 8, without borders; missing tiles are white."""
    tiles = np.full((STRIP_TILES, *images.shape[1:]), 255, dtype=np.uint8)
    count = min(len(images), STRIP_TILES)
    tiles[:count] = images[:count]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(grid(tiles, STRIP_COLUMNS, padding=0), path)
