"""What an engine places on a node as one job: cells to carry out, or a task to prepare."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fsgan_bench.driver.events import Elsewhere, Event, Failed, Stopped
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.task import TaskRequest, load_task
from fsgan_bench.driver.worker import Job, fail, work
from fsgan_bench.errors import UserError, what_happened
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system import machine
from fsgan_bench.system.locks import DEAD_AFTER_SECONDS, owned

LOOK_SECONDS = 2.0
"""How often a job looks whether the owner of its cell is still at work."""

PATIENCE_SECONDS = DEAD_AFTER_SECONDS + 30
"""How long it looks: a node that was lost owns its cell until then."""


@dataclass(frozen=True)
class Pack:
    """Cells of one task that are carried out one after another in one process.

    Attributes:
        jobs: the cells.
        timeout: seconds that each may take; None for no limit.
    """

    jobs: tuple[Job, ...]
    timeout: float | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(job.folder for job in self.jobs)

    def carry_out(self) -> bool:
        """Carry out what is not done yet; whether it came to its end without being stopped."""
        return not any(isinstance(self._one(job), Stopped) for job in self.jobs)

    def _one(self, job: Job) -> Event:
        if job.cell.folder(job.folder.parent.parent) != job.folder:
            return self._failed(
                job,
                "fsgan-bench has become another since the job was submitted; the same command "
                "submits it again",
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while isinstance(end := self._try(job), Elsewhere) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return end

    def _try(self, job: Job) -> Event:
        late = threading.Event()

        def stop() -> None:
            late.set()
            os.kill(os.getpid(), signal.SIGTERM)

        said = _LastWord()
        timer = threading.Timer(self.timeout or 0, stop)
        timer.daemon = True
        if self.timeout is not None:
            timer.start()
        try:
            work(job, said, os.getppid())
        finally:
            timer.cancel()
        assert said.event is not None
        if isinstance(said.event, Stopped) and late.is_set():
            return self._failed(job, f"took longer than {self.timeout:g} s (--cell-timeout)")
        return said.event

    def _failed(self, job: Job, reason: str) -> Failed:
        fail(CellFiles(job.folder), reason)
        return Failed(job.cell.hash, reason)


class _LastWord:
    """Remembers the last news of a cell; the rest is read from its files by whoever wants it."""

    event: Event | None = None

    def send(self, event: Event) -> None:
        self.event = event


@dataclass(frozen=True)
class Preparation:
    """A task's shared preparation: images, classifier, reference lines.

    Attributes:
        request: the task.
        folder: where its files are.
        threads: processor threads of the process.
    """

    request: TaskRequest
    folder: Path
    threads: int

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def carry_out(self) -> bool:
        """Prepare the task; the reason is left in its folder if that fails.

        Raises:
            UserError: what prevents it.
        """
        files = CellFiles(self.folder)
        machine.prepare(self.threads, self.request.device)
        try:
            with owned(files.folder, patience=-1):
                files.failed.unlink(missing_ok=True)
                prepare(load_task(self.request))
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else what_happened(error)
            fail(files, reason, traceback.format_exc())
            raise
        return True


Work: TypeAlias = Pack | Preparation
