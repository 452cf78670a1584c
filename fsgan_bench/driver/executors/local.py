"""This machine: one worker process a cell, so many at a time, cores and GPUs shared out."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from fsgan_bench.driver.events import Event, Failed, Stopped
from fsgan_bench.driver.executors.interface import Executor, Handle, RunSetting
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.worker import Job, fail, work
from fsgan_bench.errors import UserError
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system.gpus import VISIBLE, Gpu, GpuShare, visible_gpus
from fsgan_bench.system.machine import cores

GRACE_SECONDS = 10.0
"""How long a worker that is out of time has to finish its iteration and save."""

LOOK_SECONDS = 1.0
"""How often a run looks whether a GPU that another run uses has become free."""


class LocalExecutor(Executor):
    """Worker processes of this machine."""

    name = "local"
    here = True

    def __init__(self, setting: RunSetting) -> None:
        super().__init__(setting)
        if setting.profile or setting.address or setting.pack > 1:
            raise UserError(
                "A profile, --address and --pack are for engines of other hosts: --executor slurm "
                "or ray."
            )
        self._workers: dict[Handle, _Worker] = {}
        self._started = 0
        self._looked = -math.inf

    @cached_property
    def _gpus(self) -> GpuShare | None:
        if self.setting.device == "cpu":
            return None
        gpus = visible_gpus(self.setting.device)
        return GpuShare(gpus, math.ceil((self.setting.jobs or 1) / len(gpus)))

    @property
    def slots(self) -> int:
        """Cells at a time: one a core is fastest on a CPU, one a GPU, unless told."""
        most = cores() if self._gpus is None else len(self._gpus.gpus)
        return self.setting.jobs or most

    @property
    def threads(self) -> int:
        """As rounding depends on them, the same however many cells are left."""
        return max(1, cores() // self.slots)

    def room(self) -> float:
        free = self.slots - len(self._workers)
        if self._gpus is None or free <= 0:
            return free
        if time.monotonic() < self._looked + LOOK_SECONDS:
            return 0
        room = self._gpus.room()
        if not room:
            self._looked = time.monotonic()
        return min(free, room)

    @property
    def waits_for(self) -> str:
        return self._gpus.taken_by if self._gpus and not self._gpus.cells else ""

    def describe(self, preparations: Sequence[Preparation], packs: Sequence[Pack]) -> list[str]:
        return []

    def submit(self, works: Sequence[Work], after: Sequence[Handle] = ()) -> list[Handle]:
        return [
            self._start(job, each) for each in works if isinstance(each, Pack) for job in each.jobs
        ]

    def _start(self, job: Job, pack: Pack) -> Handle:
        self._started += 1
        handle = str(self._started)
        gpu = self._gpus.start() if self._gpus else None
        self._workers[handle] = _Worker(job, pack.timeout, gpu)
        return handle

    def poll(self, handle: Handle) -> Iterator[Event]:
        worker = self._workers[handle]
        worker.supervise()
        for event in worker.news():
            if event.last:
                del self._workers[handle]
                if self._gpus and worker.gpu:
                    self._gpus.end(worker.gpu)
            yield event

    def cancel(self, handle: Handle, at_once: bool = False) -> None:
        self._workers[handle].stop(at_once)

    def pause(self) -> None:
        """Wait for news, for a death or for a fifth of a second."""
        if self._gpus:
            self._gpus.release()
        if self._workers:
            workers = self._workers.values()
            wait([end for w in workers for end in (w.events, w.process.sentinel)], timeout=0.2)
        else:
            time.sleep(0.2)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
        if self._gpus:
            self._gpus.close()


class _Worker:
    """A worker process and its end of the pipe.

    Each has a pipe of its own: one that is killed while it speaks must not garble or block what
    the others say.
    """

    def __init__(self, job: Job, timeout: float | None, gpu: Gpu | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.job, self.gpu = job, gpu
        if gpu is not None:
            job = replace(job, request=replace(job.request, device="cuda"))
        self.events, theirs = context.Pipe(duplex=False)
        name = gpu.name if gpu else None
        self.process: BaseProcess = context.Process(
            target=_work, args=(job, theirs, os.getpid(), name)
        )
        self.process.start()
        theirs.close()
        self.timeout = timeout
        self.began = time.monotonic()
        self.told = self.cancelled = self.killed = False

    @property
    def late(self) -> bool:
        return self.timeout is not None and time.monotonic() > self.began + self.timeout

    def stop(self, at_once: bool) -> None:
        """Let the process save and end, or kill it."""
        self.cancelled = True
        self._end(at_once)

    def supervise(self) -> None:
        """Stop the process when it is out of time, kill it if that fails."""
        if self.late:
            self._end(time.monotonic() > self.began + (self.timeout or 0) + GRACE_SECONDS)

    def _end(self, at_once: bool) -> None:
        if not self.told:
            self.told = True
            self.process.terminate()
        if at_once and not self.killed:
            self.killed = True
            self.process.kill()

    def news(self) -> Iterator[Event]:
        """What the process has said since, and its end if it has ended; ``last`` comes once."""
        alive = self.process.is_alive()
        for event in _received(self.events):
            if event.last:
                self.process.join(GRACE_SECONDS)
                self.process.kill()
                if isinstance(event, Stopped | Failed) and self._lateness:
                    fail(CellFiles(self.job.folder), self._lateness)
                    event = Failed(event.cell, self._lateness)
            yield event
            if event.last:
                return
        if not alive:
            cell = self.job.cell.hash
            if self.cancelled:
                yield Stopped(cell)
                return
            reason = self._lateness or _cause_of_death(self.process)
            fail(CellFiles(self.job.folder), reason)
            yield Failed(cell, reason)

    @property
    def _lateness(self) -> str:
        """The reason, if the process was ended for taking too long; else empty."""
        if self.cancelled or not self.told:
            return ""
        return f"took longer than {self.timeout:g} s (--cell-timeout)"


def _work(job: Job, events: Connection, parent: int, gpu: str | None) -> None:
    """Carry out a job in this process, which sees no other GPU."""
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    work(job, events, parent)


def _received(events: Connection) -> Iterator[Event]:
    try:
        while events.poll():
            yield events.recv()
    except (EOFError, OSError):
        return


def _cause_of_death(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return "the worker process was killed (out of memory?)"
    if code < 0:
        return f"the worker process died of {signal.Signals(-code).name}"
    return f"the worker process ended with exit code {code}"
