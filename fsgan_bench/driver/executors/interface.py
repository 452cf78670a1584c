"""What an engine that carries out cells can do, and what it is told.

An engine places and cancels jobs. What is done is decided by the cells' own files on the root that
all hosts share, never by an engine's memory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fsgan_bench.driver.events import Event
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.system.machine import default_device

Handle = str
"""What an engine calls a job."""


@dataclass(frozen=True)
class RunSetting:
    """What a run tells its engine.

    Attributes:
        root: root of all results.
        device: that cells compute on, ``cpu`` or ``cuda[:N]``.
        profile: name or file of the engine's options, None for the defaults.
        address: of a cluster that is there, None to start one.
        jobs: cells at a time, None for as many as there is room for.
        pack: cells a job.
    """

    root: Path
    device: str = field(default_factory=default_device)
    profile: str | None = None
    address: str | None = None
    jobs: int | None = None
    pack: int = 1


class Executor(ABC):
    """An engine. One object serves one run, in one process.

    Attributes:
        name: what ``--executor`` calls it.
        outlives_run: whether its jobs go on when the run has ended.
        here: whether cells run in worker processes of this machine, after tasks were prepared in
            this process.
    """

    name: ClassVar[str]
    outlives_run: ClassVar[bool] = False
    here: ClassVar[bool] = False

    def __init__(self, setting: RunSetting) -> None:
        """Read the options; nothing is started or submitted yet.

        Raises:
            UserError: the options or the engine's package are not to be had.
        """
        self.setting = setting

    @property
    def slots(self) -> float:
        """Jobs that run at a time at most, infinite if only the engine knows."""
        return self.setting.jobs or math.inf

    def room(self) -> float:
        """Jobs that it takes now; what is more waits in the run. Infinite if it queues them."""
        return math.inf

    @property
    def waits_for(self) -> str:
        """Why there is no room although no job runs, "" if there is no such reason."""
        return ""

    @property
    @abstractmethod
    def threads(self) -> int:
        """Processor threads that a cell gets."""

    @property
    def memory(self) -> int | None:
        """Bytes of its host's memory that a cell gets, None if that is not known here."""
        return None

    @abstractmethod
    def describe(self, preparations: Sequence[Preparation], packs: Sequence[Pack]) -> list[str]:
        """What would be submitted, a line each."""

    @abstractmethod
    def submit(self, works: Sequence[Work], after: Sequence[Handle] = ()) -> list[Handle]:
        """Submit jobs that start once those of ``after`` have succeeded; a handle for each.

        Raises:
            UserError: the engine refuses; nothing has been submitted then.
        """

    @abstractmethod
    def poll(self, handle: Handle) -> Iterator[Event]:
        """What has happened to a job's cells since it was asked last.

        For each cell one event comes last: that it is done or failed, or why it was left.
        """

    @abstractmethod
    def cancel(self, handle: Handle, at_once: bool = False) -> None:
        """End a job; its cells save their state first, unless ``at_once``. May be repeated."""

    @abstractmethod
    def pause(self) -> None:
        """Wait for news, or for a moment."""

    def adopt(self, works: Iterable[Work]) -> dict[Handle, Work]:
        """The jobs that an earlier run left in the engine and that hold some of ``works``."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Give back what was started for the run."""
