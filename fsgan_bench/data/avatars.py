"""The avatars domains: endless real images, drawn from the DiceBear style definitions.

Image ``i`` of a domain is a function of the domain, ``i`` and the size alone. Every domain has
its own seeds, so no face of ``faces`` (the source) comes back in a target.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor

from fsgan_bench.data.cache import cache_dir, cached_images
from fsgan_bench.data.filters import grey, pencil, watercolour
from fsgan_bench.data.images import Images
from fsgan_bench.data.rendering import SUPERSAMPLING, Window, render
from fsgan_bench.errors import look_up
from fsgan_bench.system import machine
from fsgan_bench.system.json_files import json_hash

__all__ = ["DOMAINS", "SOURCE", "Domain", "draw", "get_domain", "grey", "pencil", "watercolour"]

Rendering: TypeAlias = Callable[[Images], Images]

SOURCE = "faces"

BLOCK = 64
"""Images that are drawn and kept together: few enough for all processes to end together."""

SUNGLASSES = ("kurt", "sunglasses", "wayfarers")
"""The avataaars accessories with dark lenses."""

GLASSES = ("prescription01", "prescription02", "round")
"""The avataaars accessories through which one sees the eyes."""


@dataclass(frozen=True)
class Domain:
    """A population of drawn images.

    ``style`` names a DiceBear definition, ``options`` its options except the seed, ``window`` the
    part that is shown (None: all), ``filter`` a rendering of the drawn images (None: as drawn).
    """

    name: str
    style: str
    description: str
    licence: str
    licence_url: str
    credit: str
    credit_url: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    window: Window | None = None
    filter: Rendering | None = None

    @property
    def ideal(self) -> Rendering | None:
        """What turns source images into this domain's, where it is known exactly, else None."""
        source = DOMAINS[SOURCE]
        same_population = (self.style, self.options) == (source.style, source.options)
        return self.filter if same_population else None

    @property
    def attribution(self) -> str:
        """One sentence that credits the artwork as its licence asks."""
        return f"Based on {self.credit} ({self.credit_url}), {self.licence} ({self.licence_url})."

    @property
    def definition_hash(self) -> str:
        """SHA-256 (hex) of all that decides the pixels, apart from the packages' versions."""
        rendering = None if self.filter is None else [self.filter.__name__, _filters_hash()]
        parts = [self.name, self.style, self.options, self.window, rendering, SUPERSAMPLING]
        return json_hash(parts)


@dataclass(frozen=True)
class _Artwork:
    """Whose work a style is, as its definition states it."""

    title: str
    creator: str
    url: str
    licence: str
    licence_url: str


_CC0 = ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
_CC_BY = ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
_FREE = "Free for personal and commercial use"

_ARTWORKS: dict[str, _Artwork] = {
    "avataaars": _Artwork(
        "Avataaars", "Pablo Stanley", "https://avataaars.com/", _FREE, "https://avataaars.com/"
    ),
    "notionists": _Artwork(
        "Notionists", "Zoish", "https://heyzoish.gumroad.com/l/notionists", *_CC0
    ),
    "lorelei": _Artwork(
        "Lorelei",
        "Lisa Wischofsky",
        "https://www.figma.com/community/file/1198749693280469639",
        *_CC0,
    ),
    "micah": _Artwork(
        "Avatar Illustration System",
        "Micah Lanier",
        "https://www.figma.com/community/file/829741575478342595",
        *_CC_BY,
    ),
    "pixel-art": _Artwork(
        "Pixel Art", "DiceBear", "https://www.figma.com/community/file/1198754108850888330", *_CC0
    ),
    "bottts": _Artwork(
        "Bottts", "Pablo Stanley", "https://bottts.com/", _FREE, "https://bottts.com/"
    ),
}


def _domain(
    name: str,
    style: str,
    description: str,
    options: dict[str, Any] | None = None,
    filter: Rendering | None = None,
) -> Domain:
    work = _ARTWORKS[style]
    return Domain(
        name=name,
        style=style,
        description=description,
        licence=work.licence,
        licence_url=work.licence_url,
        credit=f"{work.title} by {work.creator}",
        credit_url=work.url,
        options=_PORTRAITS.get(style, {}) | (options or {}),
        window=_WINDOWS.get(style),
        filter=filter,
    )


_WINDOWS: dict[str, Window] = {
    "avataaars": (0.17, 0.06, 0.66),
    "notionists": (0.25, 0.2, 0.5),
    "lorelei": (0.13, 0.13, 0.74),
    "micah": (0.19, 0.085, 0.66),
    "pixel-art": (0.0, -1 / 16, 1.0),
}
"""Close-ups of the head: eyes at half of the height, mouths at three quarters, in every style."""

_PORTRAITS: dict[str, dict[str, Any]] = {
    "avataaars": {
        "eyesVariant": [
            *("closed", "cry", "default", "eyeRoll", "happy"),
            *("side", "squint", "surprised", "wink", "winkWacky"),
        ],
        "mouthVariant": [
            *("concerned", "default", "disbelief", "eating", "grimace", "sad"),
            *("screamOpen", "serious", "smile", "tongue", "twinkle"),
        ],
        "accessoriesProbability": 20,
        "facialHairProbability": 20,
    },
}
"""What a portrait may show: neither hearts nor crosses for eyes, and glasses and beards often
enough that a model learns them."""

_FACES: dict[str, Any] = {"accessoriesVariant": list(GLASSES)}
_IN_SUNGLASSES = {"accessoriesVariant": list(SUNGLASSES), "accessoriesProbability": 100}

DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        _domain("faces", "avataaars", "faces on white: the source", _FACES),
        _domain("sketches", "avataaars", "pencil drawings of other faces", _FACES, pencil),
        _domain("watercolours", "avataaars", "watercolours of other faces", _FACES, watercolour),
        _domain("sunglasses", "avataaars", "other faces, all in sunglasses", _IN_SUNGLASSES),
        _domain("ink", "notionists", "ink portraits by another artist"),
        _domain("lorelei", "lorelei", "black and white line portraits"),
        _domain("micah", "micah", "three-quarter portraits with bold outlines"),
        _domain("pixel-art", "pixel-art", "faces of a few large pixels"),
        _domain("bottts", "bottts", "robots: far from the source"),
        _domain(
            "grey-faces", "avataaars", "other faces without colour, a non-target", _FACES, grey
        ),
    )
}


def get_domain(name: str) -> Domain:
    """The domain called ``name``; UserError with a suggestion if there is none."""
    return look_up("avatars domain", name, DOMAINS)


def draw(domain: str | Domain, start: int, count: int, size: int = 64) -> Images:
    """Images ``start`` to ``start + count - 1`` of a domain, [count, size, size, 3] uint8.

    Drawn images are kept in ``cache_dir()``, by blocks; several that are missing are drawn by as
    many processes as there are cores, which stay a while for the next call.
    """
    if start < 0 or count < 0 or size < 8:
        raise ValueError(f"need start >= 0, count >= 0, size >= 8; got {start}, {count}, {size}")
    chosen = get_domain(domain) if isinstance(domain, str) else domain
    if count == 0:
        return np.zeros((0, size, size, 3), dtype=np.uint8)
    ends = [*range((start // BLOCK + 1) * BLOCK, start + count, BLOCK), start + count]
    starts = [start, *ends[:-1]]
    folder = cache_folder(chosen, f"{size}px")
    blocks = [_Block(folder, chosen, *limits, size) for limits in zip(starts, ends, strict=True)]
    missing = sum(not block.path.exists() for block in blocks)
    processes = min(missing, machine.cores())
    if processes > 1:
        pool = _pool(processes, os.getpid())
        try:
            pieces = list(pool.map(_Block.images, blocks))
        except BaseException:
            _pool.cache_clear()
            pool.shutdown(kill_workers=True)
            raise
    else:
        pieces = [block.images() for block in blocks]
    images: Images = np.concatenate(pieces)
    return images


@functools.lru_cache(maxsize=1)
def _pool(processes: int, process_id: int) -> ProcessPoolExecutor:
    """Processes of this one, not of one that it was forked from; they end when they idle."""
    return ProcessPoolExecutor(processes, timeout=10)


@dataclass(frozen=True)
class _Block:
    """Images ``start`` to ``stop - 1`` of a domain, kept together in ``folder``."""

    folder: Path
    domain: Domain
    start: int
    stop: int
    size: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.start:07d}-{self.stop:07d}.npy"

    def images(self) -> Images:
        shape = (self.stop - self.start, self.size, self.size, 3)
        return cached_images(self.path, shape, self._draw)

    def _draw(self) -> Images:
        drawn = range(self.start, self.stop)
        images = np.stack([render(self.domain, index, self.size) for index in drawn])
        return images if self.domain.filter is None else self.domain.filter(images)


def cache_folder(domain: Domain, what: str) -> Path:
    """Where something that follows from a domain is kept."""
    return cache_dir() / "avatars" / f"{domain.name}-{what}-{_cache_key(domain)}"


@functools.cache
def _filters_hash() -> str:
    text = (resources.files("fsgan_bench.data") / "filters.py").read_bytes()
    return hashlib.sha256(text).hexdigest()


def _cache_key(domain: Domain) -> str:
    packages = ("dicebear-core", "dicebear-styles", "resvg-py", "pillow", "scipy", "numpy")
    parts = [domain.definition_hash, *(metadata.version(package) for package in packages)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
