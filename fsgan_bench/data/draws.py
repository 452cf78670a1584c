"""Seeded draws from a set on disk, without the images that are excluded or come twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.entries import images
from fsgan_bench.data.fingerprints import Fingerprints
from fsgan_bench.data.near import copies, first_of_each
from fsgan_bench.data.sources import ImageFiles
from fsgan_bench.data.splits import seeded_order


@dataclass(frozen=True)
class Left:
    """Images that are left out because they equal others: the same pixels, and near-duplicates."""

    same: int = 0
    near: int = 0

    def __add__(self, other: Left) -> Left:
        return Left(self.same + other.same, self.near + other.near)

    def note(self, of: str, why: str) -> tuple[str, ...]:
        """A sentence about them, if there are any."""
        if not self.same + self.near:
            return ()
        alike = f", {self.near:,} of them encoded anew or mirrored" if self.near else ""
        return (f"Left out of the {of} as {why}: {images(self.same + self.near)}{alike}.",)


@dataclass(frozen=True)
class Drawn:
    """What a draw came to.

    Attributes:
        chosen: indices of the images, in the order drawn.
        excluded: left out because they are among those that must not be drawn.
        repeats: left out because they repeat another one of the set.
        available: images that may be drawn; of a set of which only a part was decoded, those that
            are not known to be left out.
    """

    chosen: tuple[int, ...]
    excluded: Left
    repeats: Left
    available: int


def draw_distinct(
    files: ImageFiles,
    seed: str,
    wanted: int,
    excluded: Sequence[Fingerprints] = (),
    *,
    whole: bool,
) -> Drawn:
    """Draw up to ``wanted`` images, none of which equals an excluded one or another, or nearly.

    The ``whole`` set is looked at, or no more of it than it takes. Only contents decide about the
    order: the pixels of a whole set, else the bytes of the files.
    """
    keys = files.order_keys(whole=whole)
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    order = [first[key] for key in first]
    order = [order[i] for i in seeded_order(list(first), seed)]
    out, repeats = Left(), Left(same=len(files) - len(order))
    chosen: list[int] = []
    kept: list[Fingerprints] = []
    everything = files.fingerprints(range(len(files))) if whole else None
    while order and (whole or len(chosen) < wanted):
        step = len(order) if whole else wanted - len(chosen)
        block, order = order[:step], order[step:]
        found = files.fingerprints(block) if everything is None else everything[block]
        same, near = _equal(found, excluded)
        out += Left(int(same.sum()), int(near.sum()))
        fresh = np.flatnonzero(~(same | near))
        block, found = [block[i] for i in fresh], found[fresh]
        same, near = _equal(found, kept)
        again = np.ones(len(block), dtype=bool)
        again[first_of_each(found.thumbnails)] = False
        near |= again & ~same
        repeats += Left(int(same.sum()), int(near.sum()))
        fresh = np.flatnonzero(~(same | near))
        chosen += [block[i] for i in fresh]
        kept.append(found[fresh])
    gone = out.same + out.near + repeats.same + repeats.near
    return Drawn(tuple(chosen[:wanted]), out, repeats, len(files) - gone)


def others(files: ImageFiles, excluded: Fingerprints) -> list[int]:
    """Indices, by name, of the different images of a set that equal no excluded one, or nearly."""
    found = files.fingerprints(range(len(files)))
    first = dict(zip(reversed(found.hashes), reversed(range(len(files))), strict=True))
    same, near = _equal(found, [excluded])
    return [index for index in sorted(first.values()) if not (same[index] or near[index])]


def _equal(
    found: Fingerprints, others: Sequence[Fingerprints]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which have the pixels of one of ``others``, and which are near-duplicates but no more."""
    known = {digest for each in others for digest in each.hashes}
    same = np.array([digest in known for digest in found.hashes], dtype=bool)
    near = np.zeros(len(same), dtype=bool)
    for each in others:
        near |= copies(found.thumbnails, each.thumbnails)
    return same, near & ~same
