from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from fsgan_bench.figures.palette import REFERENCES, method_looks, variant_look
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.results.looks import installed_look, method_order
from fsgan_bench.training.look import Look

DECLARED = {
    name: said
    for name, entry in method_entries().items()
    if not entry.third_party and (said := installed_look(name)) is not None
}

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def lab(colour: str, sight: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of a colour, as seen."""
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ np.clip(sight @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_every_sight(sight: str) -> None:
    seen = [lab(look.colour, SIGHT[sight]) for look in DECLARED.values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15


def test_looks_differ_without_colour() -> None:
    assert len({(look.dashes, look.marker) for look in DECLARED.values()}) == len(DECLARED)
    assert len({look.dashes for look in REFERENCES.values()}) == len(REFERENCES)


def look(method: str, beside: Sequence[str] = ()) -> Look:
    """The look of a method that does not say how it is drawn."""
    return method_looks(dict.fromkeys((method, *beside)))[method]


def test_ours_say_how_they_are_drawn() -> None:
    assert sorted(DECLARED, key=lambda name: DECLARED[name].place or 0) == [
        *("tgan", "bsa", "freezed", "minegan", "ewc", "cdc", "dcl")
    ]


def test_a_further_method_keeps_its_look() -> None:
    assert look("rssa") == look("rssa")
    assert look("rssa").colour not in {each.colour for each in DECLARED.values()}
    assert look("rssa") != look("adam")
    assert look("adam", beside=["tgan_ada", "rssa"]) == look("adam")


def test_further_methods_in_one_figure_have_different_colours() -> None:
    assert look("adam").colour == look("tgan_ada").colour
    declared = {"tgan": DECLARED["tgan"], "tgan_ada": None, "adam": None, "rssa": None}
    looks = method_looks(declared)
    assert looks["tgan"] == DECLARED["tgan"]
    assert len({each.colour for each in looks.values()}) == 4


def test_variants_keep_the_marker_and_change_the_rest() -> None:
    first, second, third = (variant_look(DECLARED["dcl"], number, 3) for number in range(3))
    assert first == DECLARED["dcl"]
    assert first.marker == second.marker == third.marker
    assert len({each.colour for each in (first, second, third)}) == 3
    assert len({each.dashes for each in (first, second, third)}) == 3


def test_many_variants_go_from_dark_to_light() -> None:
    looks = [variant_look(DECLARED["ewc"], number, siblings=7) for number in range(7)]
    lightness = [sum(to_rgb(look.colour)) for look in looks]
    assert lightness == sorted(set(lightness))
    assert all(one.dashes != other.dashes for one, other in pairwise(looks))


def test_order() -> None:
    names = ["zeta", "dcl", "adam", "tgan", "cdc"]
    ordered = sorted(names, key=lambda name: method_order(name, DECLARED.get(name)))
    assert ordered == ["tgan", "cdc", "dcl", "adam", "zeta"]
