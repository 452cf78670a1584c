"""One look for each method and each reference, in every figure.

The methods' colours are Okabe and Ito's colour-blind-safe set (yellow is too light for lines) and a
dark red; marker and dashes tell them apart without colour. A method that is not listed takes a look
that follows from its name, and another colour where one beside it has that already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from matplotlib.colors import to_hex, to_rgb

Dashes: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]

SOLID: Literal["-"] = "-"


@dataclass(frozen=True)
class Look:
    """How a line is drawn; ``dashes`` is ``-`` or matplotlib's (offset, lengths on and off)."""

    colour: str
    dashes: Dashes
    marker: str


METHODS: dict[str, Look] = {
    "tgan": Look("#56b4e9", SOLID, "o"),
    "bsa": Look("#e69f00", (0.0, (5.0, 1.5)), "s"),
    "freezed": Look("#009e73", (0.0, (1.5, 1.0)), "^"),
    "minegan": Look("#cc79a7", (0.0, (4.0, 1.2, 1.0, 1.2)), "v"),
    "ewc": Look("#0072b2", (0.0, (7.0, 1.5, 1.5, 1.5)), "D"),
    "cdc": Look("#d55e00", (0.0, (3.0, 1.0)), "P"),
    "dcl": Look("#882255", SOLID, "X"),
}
"""In the order of every legend, table and grid."""

_FURTHER_COLOURS = ("#999933", "#44aa99", "#661100", "#aa4499", "#004488", "#bb5566", "#6b6ecf")
_FURTHER_MARKERS = ("<", ">", "p", "h", "d", "*")
_FURTHER_DASHES: tuple[Dashes, ...] = (
    SOLID,
    (0.0, (6.0, 2.0)),
    (0.0, (2.0, 1.5)),
    (0.0, (5.0, 1.5, 1.0, 1.5)),
)
_VARIANT_DASHES: tuple[Dashes, ...] = (
    (0.0, (4.0, 1.5)),
    (0.0, (1.2, 1.2)),
    (0.0, (6.0, 1.5, 1.2, 1.5)),
)
_VARIANT_LIGHTNESS = (0.45, -0.35, 0.25, -0.55)
_DARKEST, _LIGHTEST = -0.7, 0.6

REFERENCES: dict[str, Look] = {
    "source": Look("#8c8c8c", (0.0, (1.0, 1.6)), "s"),
    "real": Look("#3c3c3c", (0.0, (6.0, 2.0)), "*"),
    "ideal": Look("#6a6a6a", (0.0, (6.0, 1.5, 1.0, 1.5)), "D"),
}
"""In their order in legends and tables."""

REFERENCE_TITLES = {
    "source": "source generator",
    "real": "real target images (held out)",
    "ideal": "ideal adaptation",
}

ARTEFACT = "#f6efe6"
"""Fill of the region of a plot in which diversity exceeds the real images'."""


def method_look(
    method: str, variant: int = 0, drawn: Iterable[str] = (), variants: int = 1
) -> Look:
    """The look of a method; ``variant`` counts its ``variants`` configurations in a task, from 0.

    Variants share the marker and the hue and differ in lightness and dashes; many of them go from
    dark to light. ``drawn`` are the methods of the figure, whose colours differ.
    """
    look = METHODS.get(method) or _further_looks({method, *drawn})[method]
    if variants > 1 + len(_VARIANT_LIGHTNESS):
        return replace(
            look,
            colour=_shade(
                look.colour, _DARKEST + (_LIGHTEST - _DARKEST) * variant / (variants - 1)
            ),
            dashes=(SOLID, *_VARIANT_DASHES)[variant % (1 + len(_VARIANT_DASHES))],
        )
    if variant == 0:
        return look
    return replace(
        look,
        colour=_shade(look.colour, _VARIANT_LIGHTNESS[variant - 1]),
        dashes=_VARIANT_DASHES[(variant - 1) % len(_VARIANT_DASHES)],
    )


def _further_looks(methods: Iterable[str]) -> dict[str, Look]:
    """Looks that follow from the names; a colour taken by a name before gives way to the next."""
    looks: dict[str, Look] = {}
    for method in sorted(set(methods) - METHODS.keys()):
        digest = hashlib.sha256(method.encode()).digest()
        first = digest[2] % len(_FURTHER_COLOURS)
        preferred = (*_FURTHER_COLOURS[first:], *_FURTHER_COLOURS[:first])
        taken = {look.colour for look in looks.values()}
        looks[method] = Look(
            next((colour for colour in preferred if colour not in taken), preferred[0]),
            _FURTHER_DASHES[digest[1] % len(_FURTHER_DASHES)],
            _FURTHER_MARKERS[digest[0] % len(_FURTHER_MARKERS)],
        )
    return looks


def _shade(colour: str, amount: float) -> str:
    """Mix with white (``amount`` > 0) or black (< 0)."""
    end = 1.0 if amount > 0 else 0.0
    weight = abs(amount)
    red, green, blue = ((1 - weight) * part + weight * end for part in to_rgb(colour))
    return to_hex((red, green, blue))
