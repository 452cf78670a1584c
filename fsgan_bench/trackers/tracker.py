"""What a dashboard must offer, and how one is found.

A package brings another by the entry-point group ``fsgan_bench.trackers``: a class that is made as
``TheTracker(folder, cell)`` for each cell and has the methods of :class:`Tracker`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from fsgan_bench.errors import UserError, look_up
from fsgan_bench.plugins import entry_points
from fsgan_bench.plugins.entry_points import PluginKind


@dataclass(frozen=True)
class TrackedCell:
    """One adaptation as a dashboard knows it.

    Attributes:
        hash: content hash; sending a cell again replaces what was sent.
        group: its task, such as ``avatars sketches, 10 shots``.
        name: the method and the seed.
        config: everything that decides it and where it ran, by dotted name.
    """

    hash: str
    group: str
    name: str
    config: Mapping[str, Any]


class Tracker(Protocol):
    """A run on a dashboard. Whatever it raises ends the tracking of that cell and no more."""

    def __init__(self, folder: Path, cell: TrackedCell) -> None:
        """Begin ``cell``, in place of what was sent of it before; files go below ``folder``."""

    def log(self, iteration: int, values: Mapping[str, float]) -> None:
        """Losses and scores of an iteration, by names such as ``generator/adversarial``."""

    def image(self, iteration: int, path: Path) -> None:
        """A PNG file with what the sampler drew."""

    def finish(self, done: bool) -> None:
        """The cell has ended: ``done``, or it failed or was stopped."""


def _check(loaded: Any, label: str) -> type[Tracker]:
    wanted = ("log", "image", "finish")
    if not inspect.isclass(loaded) or any(not callable(getattr(loaded, n, None)) for n in wanted):
        raise UserError(f"{label} is not a class with {', '.join(wanted)}.")
    return cast(type[Tracker], loaded)


TRACKERS: PluginKind[type[Tracker]] = PluginKind("tracker", "fsgan_bench.trackers", _check)


def find_tracker(name: str) -> type[Tracker]:
    """The tracker of this name.

    Raises:
        UserError: there is none (with a suggestion), it is broken, or its package is missing.
    """
    plugin = look_up(TRACKERS.noun, name, entry_points.find_plugins(TRACKERS)[0])
    try:
        return plugin.load()
    except UserError as error:
        cause = error.__cause__
        if plugin.third_party or not isinstance(cause, ModuleNotFoundError):
            raise
        raise UserError(
            f"The tracker '{name}' needs a package that is not installed ({cause.name}): "
            f"pip install 'fsgan-bench[{name}]'."
        ) from None
