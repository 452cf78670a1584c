"""The avatars domains: endless real images, drawn from the DiceBear style definitions.

Image ``i`` of a domain is a function of the domain, ``i`` and the size alone. Every domain has
its own seeds, so no face of ``faces`` (the source) comes back in a target.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fsgan_bench.data.cache import cache_dir, cached_images
from fsgan_bench.data.filters import grey, pencil
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError, suggest

if TYPE_CHECKING:
    from dicebear import Style

__all__ = ["DOMAINS", "SOURCE", "Domain", "draw", "get_domain", "grey", "pencil"]

SOURCE = "faces"
SUPERSAMPLING = 2
BLOCK = 256

SUNGLASSES = ("kurt", "sunglasses", "wayfarers")
"""The avataaars accessories with dark lenses."""

OTHER_ACCESSORIES = ("eyepatch", "prescription01", "prescription02", "round")


@dataclass(frozen=True)
class Domain:
    """A population of drawn images.

    ``style`` names a DiceBear definition, ``options`` its options except the seed, ``filter`` a
    rendering of the drawn images (None: as drawn). ``licence`` and ``credit`` are the artwork's.
    """

    name: str
    style: str
    description: str
    licence: str
    licence_url: str
    credit: str
    credit_url: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    filter: Callable[[Images], Images] | None = None

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        """What turns source images into this domain's, where it is known exactly, else None."""
        source = DOMAINS[SOURCE]
        same_population = (self.style, self.options) == (source.style, source.options)
        return self.filter if same_population else None

    @property
    def definition_hash(self) -> str:
        """SHA-256 (hex) of all that decides the pixels, apart from the packages' versions."""
        rendering = None if self.filter is None else [self.filter.__name__, _filters_hash()]
        parts = [self.name, self.style, self.options, rendering, SUPERSAMPLING]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_FACE_OPTIONS: dict[str, Any] = {"accessoriesVariant": list(OTHER_ACCESSORIES)}

_FREE = "Free for personal and commercial use"
_CC0 = ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
_CC_BY = ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
_AVATAAARS = (
    _FREE,
    "https://avataaars.com/",
    "Avataaars by Pablo Stanley",
    "https://avataaars.com/",
)

DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        Domain("faces", "avataaars", "the source: faces on white", *_AVATAAARS, _FACE_OPTIONS),
        Domain(
            "sketches",
            "avataaars",
            "pencil drawings of other faces",
            *_AVATAAARS,
            _FACE_OPTIONS,
            pencil,
        ),
        Domain(
            "grey-faces",
            "avataaars",
            "other faces without colour",
            *_AVATAAARS,
            _FACE_OPTIONS,
            grey,
        ),
        Domain(
            "sunglasses",
            "avataaars",
            "other faces, all wearing sunglasses",
            *_AVATAAARS,
            {"accessoriesVariant": list(SUNGLASSES), "accessoriesProbability": 100},
        ),
    )
}


def get_domain(name: str) -> Domain:
    """The domain called ``name``; UserError with a suggestion if there is none."""
    try:
        return DOMAINS[name]
    except KeyError:
        known = ", ".join(DOMAINS)
        raise UserError(
            f"There is no avatars domain '{name}'; known are {known}.{suggest(name, DOMAINS)}"
        ) from None


def draw(domain: str | Domain, start: int, count: int, size: int = 64) -> Images:
    """Images ``start`` to ``start + count - 1`` of a domain, [count, size, size, 3] uint8.

    Drawn images are kept in ``cache_dir()``.
    """
    if start < 0 or count < 0 or size < 8:
        raise ValueError(f"need start >= 0, count >= 0, size >= 8; got {start}, {count}, {size}")
    chosen = get_domain(domain) if isinstance(domain, str) else domain
    pieces = [np.zeros((0, size, size, 3), dtype=np.uint8)]
    folder = cache_dir() / "avatars" / f"{chosen.name}-{size}px-{_cache_key(chosen)}"
    position, stop = start, start + count
    while position < stop:
        end = min(stop, (position // BLOCK + 1) * BLOCK)
        pieces.append(
            cached_images(
                folder / f"{position:07d}-{end:07d}.npy",
                (end - position, size, size, 3),
                functools.partial(_draw_block, chosen, position, end, size),
            )
        )
        position = end
    return np.concatenate(pieces)


def _draw_block(domain: Domain, start: int, stop: int, size: int) -> Images:
    """Images ``start`` to ``stop - 1`` of a domain, without the cache."""
    images = np.stack([_render(domain, index, size) for index in range(start, stop)])
    return images if domain.filter is None else domain.filter(images)


def svg_of(domain: Domain, index: int) -> tuple[str, dict[str, Any]]:
    """The SVG of one image before any filter, and the options that its seed resolved to."""
    from dicebear import Avatar

    seed = f"fsgan-bench/{domain.name}/{index}"
    drawn = Avatar(_style(domain.style), {**domain.options, "seed": seed}).to_json()
    return drawn["svg"], drawn["options"]


def _render(domain: Domain, index: int, size: int) -> Images:
    """One image [size, size, 3] before any filter: rasterised larger on white, then averaged."""
    import resvg_py

    side = size * SUPERSAMPLING
    png = resvg_py.svg_to_bytes(
        svg_string=svg_of(domain, index)[0],
        width=side,
        height=side,
        background="#ffffff",
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(bytes(png))) as file:
        pixels = np.asarray(file.convert("RGB"), dtype=np.uint16)
    cells = pixels.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    area = SUPERSAMPLING**2
    means: Images = ((cells.sum(axis=(1, 3)) + area // 2) // area).astype(np.uint8)
    return means


@functools.cache
def _style(name: str) -> Style:
    from dicebear import Style

    text = (resources.files("dicebear_styles") / f"{name}.json").read_text(encoding="utf-8")
    return Style.from_json(text)


@functools.cache
def _filters_hash() -> str:
    text = (resources.files("fsgan_bench.data") / "filters.py").read_bytes()
    return hashlib.sha256(text).hexdigest()


def _cache_key(domain: Domain) -> str:
    packages = ("dicebear-core", "dicebear-styles", "resvg-py", "pillow", "scipy", "numpy")
    parts = [domain.definition_hash, *(metadata.version(package) for package in packages)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
