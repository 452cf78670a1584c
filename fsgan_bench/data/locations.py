"""Where the files of a suite are looked for, and what cannot be done without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fsgan_bench.system.paths import exists, readings


@dataclass(frozen=True)
class Location:
    """Where a file or a folder is looked for: the first path that is there counts.

    Attributes:
        candidates: the paths, best first.
        patterns: the same in short, with ``{target}`` for a target's name and aliases.
        required: whether nothing runs without it.
    """

    candidates: tuple[Path, ...]
    patterns: tuple[str, ...] = ()
    required: bool = True

    @property
    def found(self) -> Path | None:
        return next((path for path in self.candidates if exists(path)), None)

    @property
    def path(self) -> Path:
        """What was found, or where it should be."""
        return self.found or self.candidates[0]


UNNAMED = Location((), required=False)
"""Of what a suite could name and does not."""


@dataclass(frozen=True)
class Part:
    """Something on disk that a task is made of.

    Attributes:
        name: what it is, in a sentence.
        location: where it is looked for.
        without: what cannot be done without it.
    """

    name: str
    location: Location
    without: str


def located(root: Path, paths: str | Sequence[str], names: Sequence[str] = ("",)) -> Location:
    """Where one of ``paths`` below ``root`` is, with each of the target's ``names`` in them."""
    listed = [paths] if isinstance(paths, str) else paths
    # A folder may be called {target} itself; it comes last.
    texts = [text for path in listed for text in (*(_named(path, n) for n in names), path)]
    candidates = dict.fromkeys(each for text in texts for each in readings(root, text))
    return Location(tuple(candidates), tuple(str(root / path) for path in listed))


def optional(
    root: Path, paths: str | Sequence[str] | None, names: Sequence[str] = ("",)
) -> Location | None:
    """Where an optional part is; a single path is one that its author knows to be there."""
    if not paths:
        return None
    return replace(located(root, paths, names), required=isinstance(paths, str))


def _named(path: str, name: str) -> str:
    return path.replace("{target}", name)
