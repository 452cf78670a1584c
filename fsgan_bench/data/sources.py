"""Image sets from what people have (folder, zip, LMDB): listed first, decoded as far as drawn."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from fsgan_bench.data.cache import cache_dir, cached_array
from fsgan_bench.data.containers import open_entries
from fsgan_bench.data.decoding import pictures, square
from fsgan_bench.data.entries import Entry, Unusable, some
from fsgan_bench.data.fingerprints import FINGERPRINT, ROW_BYTES, Fingerprints, fingerprint_rows
from fsgan_bench.data.images import Images, content_hashes
from fsgan_bench.data.signatures import formats_of
from fsgan_bench.errors import UserError
from fsgan_bench.system.json_files import json_hash

PREPROCESSING = 1
"""Raised whenever the same file would give other pixels."""

LISTED = 10
"""How many unusable images an error lists."""

BLOCK = 64
"""Images that are decoded at a time."""

MANY = 10_000
"""Sets of more images than these are ordered by their files' bytes, so that only what is drawn of
them has to be decoded; smaller ones by pixels, whatever they are encoded as."""

Repeats = Literal["refuse", "drop", "keep"]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The images of a set on disk, named and hashed but not decoded.

    Attributes:
        path: folder, zip archive or LMDB.
        size: width and height in px that they are read in.
        names: a file's below ``path``, an entry's, a key; sorted.
        digests: SHA-256 of each one's bytes (hex); None if it cannot be read, which decoding says.
        notes: a sentence for each thing that was passed over.
    """

    path: Path
    size: int
    names: tuple[str, ...]
    digests: tuple[str | None, ...]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.names)

    @property
    def many(self) -> bool:
        return len(self) > MANY

    def images(self, chosen: Sequence[int], repeats: Repeats = "drop") -> Images:
        """The images at the indices ``chosen``, uint8 [N, size, size, 3], from the cache if there.

        ``repeats`` as in :func:`load_images`; ``drop`` keeps them here.

        Raises:
            UserError: some of them cannot be used.
        """
        shape = (len(chosen), self.size, self.size, 3)
        return cached_array(self._stored(chosen, ""), shape, lambda: self._decoded(chosen, repeats))

    def blocks(self) -> Iterator[Images]:
        """All images, a block at a time, which are not kept; repeats as often as they are there."""
        return self._decoded(range(len(self)), "drop")

    def fingerprints(self, chosen: Sequence[int], repeats: Repeats = "drop") -> Fingerprints:
        """Their fingerprints. The images are decoded, a block at a time, and not kept.

        Raises:
            UserError: some of them cannot be used.
        """
        rows = cached_array(
            self._stored(chosen, f".fingerprints{FINGERPRINT}"),
            (len(chosen), ROW_BYTES),
            lambda: map(fingerprint_rows, self._decoded(chosen, repeats)),
        )
        fingerprints = Fingerprints.from_rows(rows)
        if repeats == "refuse":
            names = [self.names[index] for index in chosen]
            _refuse(self.path, names, _repeats(names, fingerprints.hashes))
        return fingerprints

    def order_keys(self, *, whole: bool) -> list[str]:
        """What a seeded draw sorts the images by.

        Their pixels' hashes where the ``whole`` set is decoded, else their bytes'.
        """
        if whole:
            return list(self.fingerprints(range(len(self))).hashes)
        return [digest or name for digest, name in zip(self.digests, self.names, strict=True)]

    def _stored(self, chosen: Sequence[int], suffix: str) -> Path:
        key = _key([self.names[i] for i in chosen], [self.digests[i] for i in chosen])
        return cache_dir() / "images" / f"{self.size}px-{key}{suffix}.npy"

    def _decoded(self, chosen: Sequence[int], repeats: Repeats) -> Iterator[Images]:
        """Blocks of images. At the end, a UserError if there are faults."""
        faults: dict[int, str] = {}
        hashes: list[str] = []
        names = [self.names[index] for index in chosen]
        with open_entries(self.path, self.size) as contents, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage that is named below, or does no harm
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            entries = {(i, entry.name): entry for i, entry in enumerate(contents.entries)}
            for start in range(0, len(chosen), BLOCK):
                block = chosen[start : start + BLOCK]
                pixels = np.zeros((len(block), self.size, self.size, 3), dtype=np.uint8)
                for row, index in enumerate(block):
                    try:
                        pixels[row] = self._decode(entries.get((index, self.names[index])), index)
                    except Unusable as error:
                        faults[start + row] = str(error)
                if repeats == "refuse":
                    hashes += content_hashes(pixels)
                yield pixels
        if faults and repeats == "refuse":
            faults |= _repeats(names, hashes, skip=frozenset(faults))
        _refuse(self.path, names, faults)

    def _decode(self, entry: Entry | None, index: int) -> NDArray[np.uint8]:
        if entry is None:
            raise Unusable("gone, or its place in the set is another")
        content = entry.read()
        if hashlib.sha256(content).hexdigest() != self.digests[index]:
            raise Unusable("changed while it was read")
        return square(content, self.size, formats_of(entry.name))


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images uint8 [N, size, size, 3] with names and content hashes.

    ``repeats`` is how many images that equal an earlier one were dropped; ``notes`` says what was
    passed over.
    """

    images: Images
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    repeats: int
    notes: tuple[str, ...] = ()


def find_images(path: str | os.PathLike[str], size: int) -> ImageFiles:
    """The images at ``path`` without their pixels; :func:`load_images` says what is read.

    Raises:
        UserError: there is nothing at ``path`` or no image in it.
    """
    source = Path(path)
    with open_entries(source, size) as contents:
        names = tuple(entry.name for entry in contents.entries)
        digests: list[str | None] = []
        several: list[str] = []
        for entry in contents.entries:
            try:
                content = entry.read()
            except Unusable:  # which decoding reports
                digests.append(None)
                continue
            digests.append(hashlib.sha256(content).hexdigest())
            if pictures(content) > 1:
                several.append(entry.name)
        notes = contents.notes
        if several:
            notes = (*notes, f"Read of files with several pictures: the first ({some(several)}).")
        return ImageFiles(source, size, names, tuple(digests), notes)


def load_images(
    path: str | os.PathLike[str],
    size: int,
    limit: int | None = None,
    *,
    repeats: Repeats = "refuse",
) -> Images:
    """The images of a folder, of a zip archive or of an LMDB, as uint8 [N, size, size, 3].

    Each is turned upright after its EXIF tag, brought to 8 bit, flattened on white, cropped to its
    largest centred square and resized with a Lanczos filter. The result is kept in
    ``cache_dir()`` under a hash of the names and bytes that were read, so a file that changed is
    never served as it was; a cached set is mapped into memory, where it cannot be written to.

    Args:
        path: folder, NVIDIA dataset zip, or LMDB; ``containers.open_entries`` says what is taken
            of each. What an image is, its content decides: PNG, JPEG, WebP, GIF (its first
            picture), BMP, TIFF, PPM and its relatives, and TGA.
        size: width and height in px.
        limit: keeps the first so many by name.
        repeats: what to do with images that equal an earlier one after decoding: ``refuse`` them,
            as a few-shot set must, ``drop`` them, as large real sets hold some, or ``keep`` them,
            as those of a collapsed generator are what is to be scored.

    Raises:
        UserError: there is nothing at ``path`` or no image in it; or some files are empty,
            damaged, cut short, no images, under 8 px, too large to unpack, or repeats. One
            error names them all, or the first ten and how many there are.
        ValueError: ``size`` or ``limit`` is below 1.
    """
    return read_images(path, size, limit, repeats=repeats).images


def read_images(
    path: str | os.PathLike[str],
    size: int,
    limit: int | None = None,
    *,
    repeats: Repeats = "refuse",
) -> ImageSet:
    """``load_images`` with the names of the images: a file's below ``path``, an entry's, a key."""
    if size < 1 or (limit is not None and limit < 1):
        raise ValueError(f"size and limit must be at least 1, got {size} and {limit}")
    files = find_images(path, size)
    chosen = range(len(files))[:limit]
    names = files.names[:limit]
    images = files.images(chosen, repeats)
    hashes = content_hashes(images)
    repeated = _repeats(names, hashes) if repeats != "keep" else {}
    if repeats == "refuse":
        _refuse(files.path, names, repeated)
    kept = [index for index in chosen if index not in repeated]
    return ImageSet(
        images=images[kept] if repeated else images,
        names=tuple(names[index] for index in kept),
        hashes=tuple(hashes[index] for index in kept),
        repeats=len(repeated),
        notes=files.notes,
    )


def _key(names: Sequence[str], digests: Sequence[str | None]) -> str:
    return json_hash([PREPROCESSING, PIL.__version__, list(names), list(digests)])


def _repeats(
    names: Sequence[str], hashes: Sequence[str], skip: Container[int] = ()
) -> dict[int, str]:
    """Which images equal an earlier one, by index, in words; those in ``skip`` are left out."""
    first: dict[str, int] = {}
    repeated = {}
    for index, digest in enumerate(hashes):
        if index not in skip and (original := first.setdefault(digest, index)) != index:
            repeated[index] = f"repeats {names[original]!r}"
    return repeated


def _refuse(source: Path, names: Sequence[str], faults: Mapping[int, str]) -> None:
    """Raise one UserError that names the faulty images, if there are any."""
    if not faults:
        return
    listed = [f"{names[index]!r} ({faults[index]})" for index in sorted(faults)]
    count = "1 image" if len(listed) == 1 else f"{len(listed)} images"
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    raise UserError(
        f"{source} has {count} that cannot be used: {', '.join(listed[:LISTED])}{more}; "
        "repair them or take them out."
    )
