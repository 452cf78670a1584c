"""Running cells: one worker process a cell, so many at a time, the cores shared out among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from fsgan_bench.driver.worker import Event, Job, caught_signals, fail, work
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system.locks import owner_of

LOOK_SECONDS = 1.0
"""How often a run looks whether a cell that another run works on has become free."""

GRACE_SECONDS = 10.0
"""How long a worker that is out of time has to finish its iteration and save."""


class Signalled(Exception):
    """The run was asked to stop by signal ``number``; every cell's state is on disk."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    on_event: Callable[[Event], None],
    timeout: float | None = None,
) -> None:
    """Carry out ``jobs``, ``workers`` at a time; events arrive in this process.

    A worker that dies is reported as its cell's failure, and the others go on. A cell that another
    run works on is left to it until nothing else is to do; then it is waited for, and taken over
    if it was left unfinished.

    Args:
        jobs: the cells.
        workers: how many at a time.
        on_event: receives the news.
        timeout: seconds that a worker may take, from its start; then it is stopped, and its cell
            has failed.

    Raises:
        Signalled: SIGINT or SIGTERM came; the workers have finished their iteration and saved. A
            second signal kills them.
    """
    waiting = _Waiting(jobs, on_event)
    running: list[_Worker] = []
    with caught_signals() as caught:
        try:
            while running or (waiting.jobs and not caught):
                while len(running) < workers and not caught and (job := waiting.next()):
                    running.append(_Worker(job, timeout))
                _pause(running)
                for worker in running[:]:
                    worker.supervise(len(caught))
                    for event in worker.news(bool(caught)):
                        if event.kind == "elsewhere":
                            waiting.give_back(worker.job, event)
                        else:
                            on_event(event)
                        if event.last:
                            running.remove(worker)
        finally:
            for worker in running:
                worker.process.kill()
    if caught:
        raise Signalled(caught[0])


def _pause(running: Sequence[_Worker]) -> None:
    """Wait for news, for a death or for a fifth of a second."""
    if running:
        wait([end for w in running for end in (w.events, w.process.sentinel)], timeout=0.2)
    else:
        time.sleep(0.2)


class _Waiting:
    """The jobs that have no worker yet; some may be with another run."""

    def __init__(self, jobs: Sequence[Job], on_event: Callable[[Event], None]) -> None:
        self.jobs = list(jobs)
        self.on_event = on_event
        self.elsewhere: dict[str, float] = {}

    def next(self) -> Job | None:
        """Take the first job that is free, reporting those that others have taken or ended."""
        for job in list(self.jobs):
            name, files = job.cell.hash, CellFiles(job.folder)
            seen = self.elsewhere.get(name)
            if seen is not None and time.monotonic() < seen + LOOK_SECONDS:
                continue
            owner = owner_of(job.folder)
            if owner is not None:
                self.elsewhere[name] = time.monotonic()
                if seen is None:
                    self.on_event(Event(name, "elsewhere", {"owner": owner}))
                continue
            self.jobs.remove(job)
            if files.done.exists():
                self.on_event(Event(name, "cached", {}))
            elif seen is not None and files.failed.exists():
                reason = files.failed.read_text(encoding="utf-8").partition("\n")[0]
                self.on_event(Event(name, "failed", {"reason": f"{reason} (in another run)"}))
            else:
                return job
        return None

    def give_back(self, job: Job, event: Event) -> None:
        """Keep a job that somebody else was faster to take."""
        self.jobs.append(job)
        self.elsewhere[job.cell.hash] = time.monotonic()
        self.on_event(event)


class _Worker:
    """A worker process and its end of the pipe.

    Each has a pipe of its own: one that is killed while it speaks must not garble or block what
    the others say.
    """

    def __init__(self, job: Job, timeout: float | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.job = job
        self.events, theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=work, args=(job, theirs, os.getpid()))
        self.process.start()
        theirs.close()
        self.timeout = timeout
        self.began = time.monotonic()
        self.stopped = self.killed = False

    @property
    def late(self) -> bool:
        return self.timeout is not None and time.monotonic() > self.began + self.timeout

    def supervise(self, signals: int) -> None:
        """Stop the process when it is out of time or ``signals`` came, kill it if that fails."""
        if (signals or self.late) and not self.stopped:
            self.stopped = True
            self.process.terminate()
        overdue = self.late and time.monotonic() > self.began + (self.timeout or 0) + GRACE_SECONDS
        if (signals > 1 or overdue) and not self.killed:
            self.killed = True
            self.process.kill()

    def news(self, stopping: bool) -> Iterator[Event]:
        """What the process has said since, and its end if it has ended; ``last`` comes once."""
        alive = self.process.is_alive()
        for event in _received(self.events):
            if event.last:
                self.process.join(GRACE_SECONDS)
                self.process.kill()
                event = self._verdict(event, stopping)
            yield event
            if event.last:
                return
        if not alive:
            reason = _cause_of_death(self.process)
            died = Event(self.job.cell.hash, "failed", {"reason": reason})
            if stopping:
                died = Event(self.job.cell.hash, "stopped", {})
            else:
                died = self._verdict(died, stopping)
                fail(CellFiles(self.job.folder), died.news["reason"])
            yield died

    def _verdict(self, event: Event, stopping: bool) -> Event:
        """``event``, unless the process was ended for taking too long."""
        if event.kind not in ("stopped", "failed") or stopping or not self.stopped:
            return event
        reason = f"took longer than {self.timeout:g} s (--cell-timeout)"
        fail(CellFiles(self.job.folder), reason)
        return Event(event.cell, "failed", {"reason": reason})


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
