"""What is told of a cell while it is carried out, from its first word to its last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True)
class _Word:
    """Attributes:
    cell: its hash; the folder of a task that is prepared.
    last: whether there is nothing more to say of it.
    """

    last: ClassVar[bool] = False
    cell: str


@dataclass(frozen=True)
class Started(_Word):
    """``where`` is the host, if it is another than this one."""

    where: str = ""


@dataclass(frozen=True)
class Trained(_Word):
    """How far the training is, how fast, and the losses of the iteration by name.

    ``memory`` is the most bytes that the process has held; 0 where nobody knows.
    """

    iteration: int
    seconds_per_iteration: float
    losses: Mapping[str, float]
    memory: int = 0


@dataclass(frozen=True)
class SnapshotScored(_Word):
    """The scores of a snapshot by metric; None where a value is undefined."""

    iteration: int
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Noted(_Word):
    """A sentence on something out of the ordinary."""

    iteration: int
    note: str


@dataclass(frozen=True)
class _LastWord(_Word):
    last: ClassVar[bool] = True


@dataclass(frozen=True)
class Done(_LastWord):
    """Seconds that a cell trained and was scored; 0 for a task that was prepared."""

    training: float = 0.0
    scoring: float = 0.0


@dataclass(frozen=True)
class Failed(_LastWord):
    """``again`` says that the engine lost it, so that another try may do."""

    reason: str
    again: bool = False


@dataclass(frozen=True)
class Stopped(_LastWord):
    """It was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Elsewhere(_LastWord):
    """Another run works on it."""

    owner: str


@dataclass(frozen=True)
class Cached(_LastWord):
    """Another run has finished it."""


Event: TypeAlias = (
    Started | Trained | SnapshotScored | Noted | Done | Failed | Stopped | Elsewhere | Cached
)
