"""Image strips as WebP sheets: a sheet a cell, with a row a snapshot and a column a latent."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fsgan_bench.figures.grids import evenly, read_strip

IMAGE_BYTES = 10_400_000
"""Of all sheets of a page together; in base64 they take a third more."""


class Fidelity(NamedTuple):
    """How much of the images is kept: pixels a tile at most, WebP's quality, rows a sheet."""

    tile: int
    quality: int
    rows: int


LEVELS = (
    Fidelity(96, 82, 128),
    Fidelity(96, 68, 128),
    Fidelity(64, 68, 64),
    Fidelity(64, 50, 32),
    Fidelity(48, 40, 16),
    Fidelity(32, 30, 8),
)
"""From the best; the first that fits into ``IMAGE_BYTES`` is taken."""


@dataclass(frozen=True)
class Sheet:
    """Strips that go into one picture: ``rows`` are those of the snapshots, by iteration."""

    name: str
    rows: tuple[tuple[int, Path], ...]
    resolution: int


@dataclass(frozen=True)
class Sprite:
    """An encoded sheet: ``iterations`` of its rows, ``tile`` its pixels a side of a tile."""

    name: str
    iterations: tuple[int, ...]
    tile: int
    webp: bytes


@dataclass
class Encoder:
    """Encodes sheets so that they fit; what has not changed since is not encoded again."""

    limit: int = IMAGE_BYTES
    level: int = 0
    cache: dict[object, Sprite] = field(default_factory=dict)

    def encode(self, sheets: Sequence[Sheet]) -> tuple[list[Sprite], list[str]]:
        """The sheets at the best level at which all fit, and a sentence on what is lost by that.

        If they do not even fit at the last level, those that come first are kept. Raises UserError
        for a damaged strip.
        """
        while True:
            level = LEVELS[self.level]
            made = self._while_they_fit(sheets, level)
            if len(made) == len(sheets) or self.level == len(LEVELS) - 1:
                break
            self.level += 1
        current = {self._key(sheet, level) for sheet in sheets}
        self.cache = {key: sprite for key, sprite in self.cache.items() if key in current}
        return made, self._losses(sheets, made)

    def _while_they_fit(self, sheets: Sequence[Sheet], level: Fidelity) -> list[Sprite]:
        made: list[Sprite] = []
        total = 0
        for sheet in sheets:
            key = self._key(sheet, level)
            if key not in self.cache:
                self.cache[key] = _encoded(sheet, level)
            total += len(self.cache[key].webp)
            if total > self.limit:
                break
            made.append(self.cache[key])
        return made

    def _key(self, sheet: Sheet, level: Fidelity) -> object:
        states = [(path, path.stat().st_mtime_ns, path.stat().st_size) for _, path in sheet.rows]
        return (sheet.name, level, tuple(states))

    def _losses(self, sheets: Sequence[Sheet], made: Sequence[Sprite]) -> list[str]:
        level = LEVELS[self.level]
        found = []
        side = max((sheet.resolution for sheet in sheets), default=0)
        if side > level.tile:
            found.append(f"Images are shown with {level.tile} of their {side} pixels a side.")
        if any(len(sheet.rows) > level.rows for sheet in sheets):
            found.append(f"At most {level.rows} snapshots a cell are shown with their images.")
        if len(made) < len(sheets):
            found.append(f"The images of {len(sheets) - len(made)} cells take too much room here.")
        return found


def _encoded(sheet: Sheet, level: Fidelity) -> Sprite:
    rows = [sheet.rows[i] for i in evenly(len(sheet.rows), level.rows)]
    tile = min(sheet.resolution, level.tile)
    picture = Image.new("RGB", (16 * tile, len(rows) * tile), "white")
    for number, (_, path) in enumerate(rows):
        images = read_strip(path, sheet.resolution)
        line = Image.fromarray(np.concatenate(list(images), axis=1))
        if tile < sheet.resolution:
            line = line.resize((len(images) * tile, tile), Image.Resampling.LANCZOS)
        picture.paste(line, (0, number * tile))
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=level.quality, method=4)
    return Sprite(sheet.name, tuple(iteration for iteration, _ in rows), tile, stream.getvalue())
