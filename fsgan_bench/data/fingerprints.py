"""What tells images apart: the hashes of their pixels, and thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.cache import release
from fsgan_bench.data.images import Images, content_hashes
from fsgan_bench.data.near import WIDTH, Thumbnails, thumbnails

FINGERPRINT = 1
"""Raised whenever the same pixels would have another fingerprint."""

HASH_BYTES = 32
ROW_BYTES = HASH_BYTES + WIDTH


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What tells images apart: the hash of each one's pixels (hex), and its thumbnail."""

    hashes: tuple[str, ...]
    thumbnails: Thumbnails

    @classmethod
    def none(cls) -> Fingerprints:
        return cls((), np.empty((0, WIDTH), dtype=np.uint8))

    @classmethod
    def from_rows(cls, rows: NDArray[np.uint8]) -> Fingerprints:
        """Those that :func:`fingerprint_rows` has made rows of."""
        hashes = tuple(row.tobytes().hex() for row in rows[:, :HASH_BYTES])
        return cls(hashes, np.array(rows[:, HASH_BYTES:]))

    def __getitem__(self, chosen: Sequence[int] | NDArray[np.intp]) -> Fingerprints:
        indices = [int(index) for index in chosen]
        return Fingerprints(tuple(self.hashes[i] for i in indices), self.thumbnails[indices])


def fingerprints_of(images: Images) -> Fingerprints:
    """The fingerprints of images [N, H, W, 3]."""
    fingerprints = Fingerprints(tuple(content_hashes(images)), thumbnails(images))
    release(images)
    return fingerprints


def fingerprint_rows(images: Images) -> NDArray[np.uint8]:
    """The fingerprints of images [N, H, W, 3] as rows [N, ROW_BYTES]: the hash, the thumbnail."""
    digests = [bytearray.fromhex(digest) for digest in content_hashes(images)]
    hashes = np.array(digests, dtype=np.uint8).reshape(len(images), HASH_BYTES)
    return np.concatenate([hashes, thumbnails(images)], axis=1)
