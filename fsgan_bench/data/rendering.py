"""One picture of an avatars domain: its SVG, and the pixels that are made of it."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from fsgan_bench.data.images import Images

if TYPE_CHECKING:
    from dicebear import Style

SUPERSAMPLING = 2

Window: TypeAlias = tuple[float, float, float]
"""Left, top and side of a square part of a drawing, in units of the drawing's side."""


class Drawn(Protocol):
    """What of a domain decides its drawings, before any filter."""

    @property
    def name(self) -> str: ...

    @property
    def style(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def window(self) -> Window | None: ...


def svg_of(domain: Drawn, index: int) -> tuple[str, dict[str, Any]]:
    """The SVG of one image before any filter, and the options that its seed resolved to."""
    from dicebear import Avatar

    seed = f"fsgan-bench/{domain.name}/{index}"
    drawn = Avatar(_style(domain.style), {**domain.options, "seed": seed}).to_json()
    return drawn["svg"], drawn["options"]


def render(domain: Drawn, index: int, size: int) -> Images:
    """One image [size, size, 3] before any filter: rasterised larger on white, then averaged."""
    import resvg_py

    side = size * SUPERSAMPLING
    svg = svg_of(domain, index)[0]
    png = resvg_py.svg_to_bytes(
        svg_string=svg if domain.window is None else _cut(svg, domain.window),
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


def _cut(svg: str, window: Window) -> str:
    """The drawing whose view box is the window."""
    left, top, part = window

    def inside(match: re.Match[str]) -> str:
        x, y, width, height = map(float, match[1].split())
        box = (x + left * width, y + top * height, part * width, part * height)
        return f'viewBox="{" ".join(f"{number:.6g}" for number in box)}"'

    return re.sub(r'viewBox="([^"]+)"', inside, svg, count=1)


@functools.cache
def _style(name: str) -> Style:
    from dicebear import Style

    text = (resources.files("dicebear_styles") / f"{name}.json").read_text(encoding="utf-8")
    return Style.from_json(text)
