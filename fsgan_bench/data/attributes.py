"""What is known of every drawn image: the values of its attributes.

A drawing follows from options that its seed resolved to. Those that are seen in the picture are
its attributes: mouth, eyes, hair colour and so on. Each is drawn on its own, uniformly among its
values; a part that only some drawings have (glasses, a beard) counts its absence as one more value.
A colour that belongs to a part exists only where the drawing has that part.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.avatars import Domain, cache_folder
from fsgan_bench.data.cache import cached_images
from fsgan_bench.data.rendering import svg_of

ABSENT = -1
"""The value of an attribute that the drawing does not have."""

NONE = "none"
"""The value of a part that the drawing is without."""

AttributeTable: TypeAlias = NDArray[np.int64]

_NAMES: dict[str, dict[str, tuple[str, str, str | None]]] = {
    "avataaars": {
        # name: kind, component or colour in the definition, the attribute that shows the colour
        "skin": ("color", "skin", None),
        "mouth": ("component", "mouth", None),
        "eyes": ("component", "eyes", None),
        "brows": ("component", "eyebrows", None),
        "top": ("component", "top", None),
        "hair colour": ("color", "hair", "top"),
        "hat colour": ("color", "hat", "top"),
        "glasses": ("component", "accessories", None),
        "glasses colour": ("color", "accessories", "glasses"),
        "beard": ("component", "facialHair", None),
        "beard colour": ("color", "facialHair", "beard"),
        "clothes colour": ("color", "clothes", None),
    }
}


@dataclass(frozen=True)
class Attribute:
    """One attribute of a domain's drawings.

    Attributes:
        name: as people call it.
        option: the resolved DiceBear option that holds its value.
        values: names of its values.
        frequencies: share of each value among the drawings that have the attribute; sum 1.
        carrier: index of the attribute that decides whether this one exists; None: it always does.
        carried_by: values of the carrier (indices) with which it exists.
    """

    name: str
    option: str
    values: tuple[str, ...]
    frequencies: tuple[float, ...]
    carrier: int | None = None
    carried_by: frozenset[int] = frozenset()

    def index_in(self, resolved: Mapping[str, Any]) -> int:
        """Index of the value that ``resolved`` options hold, ABSENT if they hold none."""
        value = resolved.get(self.option)
        if isinstance(value, list):
            value = value[0] if value else None
        if value is None:
            return self.values.index(NONE) if NONE in self.values else ABSENT
        return self.values.index(value)


def has_attributes(domain: Domain) -> bool:
    """Whether the attributes of the domain's drawings are known by name."""
    return domain.style in _NAMES


@functools.cache
def attributes_of(domain: Domain) -> tuple[Attribute, ...]:
    """The attributes of a domain's drawings; () where none are named."""
    definition = _definition(domain.style)
    found: list[Attribute] = []
    for name, (kind, key, shown_by) in _NAMES.get(domain.style, {}).items():
        if kind == "component":
            found.append(_part(domain, definition, name, key))
        else:
            option = f"{key}Color"
            values = tuple(domain.options.get(option) or definition["colors"][key]["values"])
            uniform = (1 / len(values),) * len(values)
            carrier = next((i for i, other in enumerate(found) if other.name == shown_by), None)
            carried_by = (
                frozenset() if carrier is None else _carriers(definition, found[carrier], key)
            )
            found.append(Attribute(name, option, values, uniform, carrier, carried_by))
    return tuple(found)


def attribute_table(domain: Domain, start: int, count: int) -> AttributeTable:
    """Values of the images ``start`` to ``start + count - 1``: indices [count, attributes].

    They are kept in ``cache_dir()``, beside the images.
    """
    attributes = attributes_of(domain)

    def make() -> NDArray[np.uint8]:
        resolved = (svg_of(domain, index)[1] for index in range(start, start + count))
        rows = [[attribute.index_in(options) for attribute in attributes] for options in resolved]
        return (np.array(rows).reshape(count, len(attributes)) - ABSENT).astype(np.uint8)

    path = cache_folder(domain, "attributes") / f"{start:07d}-{start + count:07d}.npy"
    return cached_images(path, (count, len(attributes)), make).astype(np.int64) + ABSENT


def _part(domain: Domain, definition: dict[str, Any], name: str, key: str) -> Attribute:
    component = definition["components"][key]
    option = f"{key}Variant"
    values = tuple(domain.options.get(option) or component["variants"])
    probability = domain.options.get(f"{key}Probability", component.get("probability", 100)) / 100
    frequencies = (probability / len(values),) * len(values)
    if probability < 1:
        values, frequencies = (NONE, *values), (1 - probability, *frequencies)
    return Attribute(name, option, values, frequencies)


def _carriers(definition: dict[str, Any], carrier: Attribute, colour: str) -> frozenset[int]:
    """Values of a part whose drawing uses a colour."""
    variants = definition["components"][carrier.option.removesuffix("Variant")]["variants"]
    uses = re.compile(rf'"type": "color", "name": "{colour}"')
    return frozenset(
        index
        for index, value in enumerate(carrier.values)
        if value != NONE and uses.search(json.dumps(variants[value]))
    )


@functools.cache
def _definition(style: str) -> dict[str, Any]:
    text = (resources.files("dicebear_styles") / f"{style}.json").read_text(encoding="utf-8")
    definition: dict[str, Any] = json.loads(text)
    return definition
