"""Engines on other hosts: what became of a cell is read from its own files, and why from them."""

from __future__ import annotations

import contextlib
import json
import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsgan_bench.driver.events import (
    Done,
    Elsewhere,
    Event,
    Failed,
    Noted,
    SnapshotScored,
    Started,
    Trained,
)
from fsgan_bench.driver.executors.interface import Executor, Handle
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.worker import Job, fail
from fsgan_bench.results.folders import read_timing
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.locks import OWNER, Taken, owned, owner_of

VISIBLE_SECONDS = 90.0
"""How long a network file system may hide from one host what another has written."""


@dataclass(frozen=True)
class Phase:
    """Where a job is: waiting or running, or ended and why.

    Attributes:
        ended: whether it is over.
        reason: of its end, in words; "" if its process ended by itself and well. Of a job that
            waits: what it waits for, if a user has to do something about it.
        again: whether another try is sensible.
    """

    ended: bool = False
    reason: str = ""
    again: bool = False


class RemoteExecutor(Executor):
    """What SLURM and Ray share; an engine adds ``launch``, ``phase`` and ``cancel``."""

    look_seconds = 2.0
    """How often a cell's files are looked at: hundreds of cells look at one file server."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._placed: dict[Handle, _Placed] = {}

    @abstractmethod
    def launch(self, works: Sequence[Work], after: Sequence[Handle]) -> list[Handle]:
        """Hand jobs to the engine, see :meth:`submit`."""

    @abstractmethod
    def phase(self, handle: Handle) -> Phase:
        """Where a job is now, as far as the engine knows."""

    def submit(self, works: Sequence[Work], after: Sequence[Handle] = ()) -> list[Handle]:
        for work in works:
            for folder in work.folders:
                _forget_failure(CellFiles(folder))
        handles = self.launch(works, after)
        for handle, work in zip(handles, works, strict=True):
            self.place(handle, work)
        return handles

    def place(self, handle: Handle, work: Work) -> None:
        """Remember what a job is for, from its submission or adoption on."""
        self._placed[handle] = _Placed(work)

    def settle(self, handle: Handle) -> None:
        """Forget a job that is over and of which everything has been told."""
        del self._placed[handle]

    def pause(self) -> None:
        time.sleep(0.5)

    def poll(self, handle: Handle) -> Iterator[Event]:
        placed = self._placed[handle]
        if time.monotonic() < placed.looked + self.look_seconds:
            return
        placed.looked = time.monotonic()
        phase = self.phase(handle)
        yield from placed.news(phase)
        if not placed.open:
            self.settle(handle)


@dataclass
class _Placed:
    """A job's cells (or its task) of which the end has not been told yet."""

    work: Work
    open: list[_Watch] = field(init=False)
    looked: float = -math.inf
    ended: float | None = None
    held: str = ""

    def __post_init__(self) -> None:
        jobs: Sequence[Job | Preparation]
        jobs = self.work.jobs if isinstance(self.work, Pack) else [self.work]
        self.open = [_Watch(job) for job in jobs]

    def news(self, phase: Phase) -> Iterator[Event]:
        if phase.ended and self.ended is None:
            self.ended = time.monotonic()
        if not phase.ended and phase.reason != self.held:
            self.held = phase.reason
            if phase.reason:
                yield Noted(self.open[0].name, 0, phase.reason)
        for watch in self.open[:]:
            yield from watch.news()
            end = watch.end()
            if end is None and self.ended is not None:
                end = watch.left(phase, time.monotonic() - self.ended)
            if end is not None:
                self.open.remove(watch)
                yield end


class _Watch:
    """A cell's (or a task's) files, from which its news are read."""

    def __init__(self, job: Job | Preparation) -> None:
        self.name = job.cell.hash if isinstance(job, Job) else str(job.folder)
        self.prepares = isinstance(job, Preparation)
        self.files = CellFiles(job.folder)
        self.began = False
        self.modified: dict[Path, int] = {}
        self.scored = {line["iteration"] for line in read_lines(self.files.scores)}
        self.noted = len(read_lines(self.files.notes))

    def news(self) -> Iterator[Event]:
        """What the cell has written since."""
        if not self.began and (owner := _owner(self.files.folder)):
            self.began = True
            yield Started(self.name, owner)
        if self.prepares:
            return
        for note in self._new_lines(self.files.notes)[self.noted :]:
            self.noted += 1
            yield Noted(self.name, note["iteration"], note["note"])
        scores: dict[int, dict[str, Any]] = {}
        for line in self._new_lines(self.files.scores):
            if line["iteration"] not in self.scored:
                scores.setdefault(line["iteration"], {})[line["metric"]] = line["value"]
        for iteration, values in scores.items():
            self.scored.add(iteration)
            yield SnapshotScored(self.name, iteration, values)
        if logged := self._new_lines(self.files.log):
            done, seconds = logged[-1].pop("iteration"), logged[-1].pop("seconds")
            yield Trained(self.name, done, seconds / done, logged[-1])

    def end(self) -> Event | None:
        """Done or failed, if its files say so."""
        if not self.prepares and self.files.done.exists():
            timing = read_timing(self.files)
            return Done(self.name, timing.training_seconds, timing.scoring_seconds)
        reason = self.files.failure
        return None if reason is None else Failed(self.name, reason)

    def left(self, phase: Phase, seconds: float) -> Event | None:
        """What became of a cell whose job ended ``seconds`` ago and that says nothing itself."""
        if self.prepares and not phase.reason and TaskFiles(self.files.folder).references.exists():
            return Done(self.name)
        if not phase.reason:
            if owner := owner_of(self.files.folder):
                return Elsewhere(self.name, owner)
            if seconds < VISIBLE_SECONDS:
                return None
        reason = phase.reason or "its job ended without a word"
        fail(self.files, reason)
        return Failed(self.name, reason, phase.again)

    def _new_lines(self, path: Path) -> list[dict[str, Any]]:
        """The lines of a file that has changed since it was looked at; else none."""
        modified = _modified(path)
        if modified is None or self.modified.get(path) == modified:
            return []
        self.modified[path] = modified
        return read_lines(path)


def _forget_failure(files: CellFiles) -> None:
    """Delete what an earlier try left, so that a failure which is found later is of this one."""
    if files.failed.exists():
        with contextlib.suppress(Taken), owned(files.folder):
            files.failed.unlink(missing_ok=True)


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _owner(folder: Path) -> str:
    """The host that works in a folder now, "" if none does."""
    try:
        return str(json.loads((folder / OWNER).read_text(encoding="utf-8"))["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
