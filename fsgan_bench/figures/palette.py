"""One look for each method and each reference, in every figure.

A method may say how it is drawn (``Method.look``). One that does not takes a look that follows from
its name, and another colour where one beside it has that already. Ours say so: their colours are
Okabe and Ito's colour-blind-safe set (yellow is too light for lines) and a dark red; marker and
dashes tell them apart without colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from matplotlib.colors import to_hex, to_rgb

from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.training.look import SOLID, Dashes, Look

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

ARTEFACT = "#f6efe6"
"""Fill of the region of a plot in which diversity exceeds the real images'."""

DARK = "#15171b"
"""Background of pages in the dark."""

_CONTRAST = 4.0


def variant_looks(results: TaskResults, variants: Iterable[Variant]) -> dict[str, Look]:
    """The look of each of a task's variants, by its key."""
    looks = method_looks(results.looks)
    return {
        each.key: variant_look(looks[each.method], each.number, each.siblings) for each in variants
    }


def method_looks(declared: Mapping[str, Look | None]) -> dict[str, Look]:
    """The looks of methods in one figure, of those without one (None) such as follow from names.

    A colour taken by a name before gives way to the next.
    """
    looks: dict[str, Look] = {}
    for method in sorted(name for name, look in declared.items() if look is None):
        digest = hashlib.sha256(method.encode()).digest()
        first = digest[2] % len(_FURTHER_COLOURS)
        preferred = (*_FURTHER_COLOURS[first:], *_FURTHER_COLOURS[:first])
        taken = {look.colour for look in looks.values()}
        looks[method] = Look(
            next((colour for colour in preferred if colour not in taken), preferred[0]),
            _FURTHER_DASHES[digest[1] % len(_FURTHER_DASHES)],
            _FURTHER_MARKERS[digest[0] % len(_FURTHER_MARKERS)],
        )
    return {name: look or looks[name] for name, look in declared.items()}


def variant_look(look: Look, number: int, siblings: int = 1) -> Look:
    """The look of one of a method's ``siblings`` configurations in a task, counted from 0.

    Variants share the marker and the hue and differ in lightness and dashes; many of them go from
    dark to light.
    """
    if siblings > 1 + len(_VARIANT_LIGHTNESS):
        amount = _DARKEST + (_LIGHTEST - _DARKEST) * number / (siblings - 1)
        dashes = (SOLID, *_VARIANT_DASHES)[number % (1 + len(_VARIANT_DASHES))]
        return replace(look, colour=_shade(look.colour, amount), dashes=dashes)
    if number == 0:
        return look
    return replace(
        look,
        colour=_shade(look.colour, _VARIANT_LIGHTNESS[number - 1]),
        dashes=_VARIANT_DASHES[(number - 1) % len(_VARIANT_DASHES)],
    )


def on_dark(colour: str) -> str:
    """The colour on a dark page: mixed with white until it stands out as graphics must.

    That is a contrast of ``_CONTRAST`` to ``DARK`` (WCAG 2.1, 1.4.11).
    """
    background = _luminance(DARK)
    for percent in range(0, 100, 5):
        found = _shade(colour, percent / 100)
        if (_luminance(found) + 0.05) / (background + 0.05) >= _CONTRAST:
            return found
    return "#ffffff"


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it, in [0, 1]."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _shade(colour: str, amount: float) -> str:
    """Mix with white (``amount`` > 0) or black (< 0)."""
    end = 1.0 if amount > 0 else 0.0
    weight = abs(amount)
    red, green, blue = ((1 - weight) * part + weight * end for part in to_rgb(colour))
    return to_hex((red, green, blue))
