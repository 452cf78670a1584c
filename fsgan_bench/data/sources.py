"""Image sets from what people have (folder, zip, LMDB), decoded once and cached."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fsgan_bench.data.cache import cache_dir, cached_images
from fsgan_bench.data.containers import Entry, Unusable, open_entries
from fsgan_bench.data.images import Images, content_hashes, to_square
from fsgan_bench.errors import UserError
from fsgan_bench.system.json_files import json_hash

PREPROCESSING = 1
"""Raised whenever the same file would give other pixels."""

MIN_SIDE = 8
"""Shorter side, in px, below which a file is taken for an icon or an accident."""

NAMED = 10
"""How many unusable files an error names."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Decoders that a file may call for, whatever its suffix; none of them runs a program."""

Repeats = Literal["refuse", "drop"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images uint8 [N, size, size, 3] with names and content hashes.

    ``repeats`` is how many images that equal an earlier one were dropped.
    """

    images: Images
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    repeats: int


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
    never served as it was; a cached set is read whole but not decoded.

    Args:
        path: folder of PNG, JPEG and WebP files, an NVIDIA dataset zip, or an LMDB as
            ``prepare_data.py`` writes it; ``containers.open_entries`` says what is taken of each.
        size: width and height in px.
        limit: keeps the first so many by name.
        repeats: what to do with images that equal an earlier one after decoding: ``refuse`` them,
            as a few-shot set must, or ``drop`` them, as large real sets hold some.

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
    source = Path(path)
    with open_entries(source, size) as entries:
        chosen = entries[:limit]
        names = [entry.name for entry in chosen]
        digests = [_digest(entry) for entry in chosen]

        def make() -> Images:
            images, faults = _decode(chosen, digests, size)
            if faults and repeats == "refuse":
                faults |= _repeats(names, content_hashes(images), skip=faults)
            _refuse(source, names, faults)
            return images

        stored = cache_dir() / "images" / f"{size}px-{_key(names, digests)}.npy"
        images = cached_images(stored, (len(names), size, size, 3), make)
    hashes = content_hashes(images)
    repeated = _repeats(names, hashes)
    if repeats == "refuse":
        _refuse(source, names, repeated)
    kept = [index for index in range(len(names)) if index not in repeated]
    return ImageSet(
        images=images[kept] if repeated else images,
        names=tuple(names[index] for index in kept),
        hashes=tuple(hashes[index] for index in kept),
        repeats=len(repeated),
    )


def _digest(entry: Entry) -> str | None:
    """SHA-256 of an entry's bytes; None if it cannot be read, which decoding reports."""
    try:
        return hashlib.sha256(entry.read()).hexdigest()
    except Unusable:
        return None


def _key(names: list[str], digests: list[str | None]) -> str:
    parts = [PREPROCESSING, PIL.__version__, names, digests]
    return json_hash(parts)


def _decode(
    entries: list[Entry], digests: list[str | None], size: int
) -> tuple[Images, dict[int, str]]:
    """The images [N, size, size, 3] and, by index, why some of them are blank."""
    images = np.zeros((len(entries), size, size, 3), dtype=np.uint8)
    faults = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damage that is named below, or does no harm
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for index, entry in enumerate(entries):
            try:
                content = entry.read()
                if hashlib.sha256(content).hexdigest() != digests[index]:
                    raise Unusable("changed while it was read")
                images[index] = _square(content, size)
            except Unusable as error:
                faults[index] = str(error)
    return images, faults


def _square(content: bytes, size: int) -> NDArray[np.uint8]:
    """An encoded image as uint8 [size, size, 3]; Unusable if it is none."""
    if not content:
        raise Unusable("empty")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            if min(file.size) < MIN_SIDE:
                raise Unusable(f"{file.width}x{file.height} px, under {MIN_SIDE}")
            return to_square(file, size)
    except (Unusable, UserError) as error:
        raise Unusable(str(error)) from None
    except UnidentifiedImageError:
        raise Unusable("no image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"over {Image.MAX_IMAGE_PIXELS:,} px") from None
    except Exception:  # damaged bytes make decoders raise almost anything
        raise Unusable("damaged or cut short") from None


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
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    raise UserError(
        f"{source} has {count} that cannot be used: {', '.join(listed[:NAMED])}{more}; "
        "repair them or take them out."
    )
