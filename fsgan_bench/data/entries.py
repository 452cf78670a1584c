"""What a set of images is listed as: named byte strings, and sentences about the rest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

NAMED = 3
"""How many files a note names."""


class Unusable(Exception):
    """One entry that cannot be used; the message says why in a few words."""


@dataclass(frozen=True)
class Entry:
    """An image of a set, not decoded. ``read`` gives its bytes or raises Unusable."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Contents:
    """What an image set holds: its entries, sorted by name, and a sentence for each thing else."""

    entries: Sequence[Entry]
    notes: tuple[str, ...] = ()


def images(count: int) -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """The first few of the names, quoted, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED]) + more


def refusing(reason: str) -> Callable[[], bytes]:
    """A ``read`` that raises Unusable."""

    def refuse() -> bytes:
        raise Unusable(reason)

    return refuse


def as_entries(names: Iterable[str], read: Callable[[str], bytes]) -> list[Entry]:
    """An entry for each name."""
    return [Entry(name, functools.partial(read, name)) for name in names]
