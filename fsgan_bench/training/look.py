"""How a method says that its lines and points are drawn. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Dashes: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]

SOLID: Literal["-"] = "-"


@dataclass(frozen=True)
class Look:
    """How a line is drawn.

    Attributes:
        colour: ``#rrggbb``.
        dashes: ``-`` or matplotlib's (offset, lengths on and off).
        marker: matplotlib's letter.
        place: methods are shown in the order of their places, those without a place behind them by
            name.
    """

    colour: str
    dashes: Dashes = SOLID
    marker: str = "o"
    place: int | None = None
