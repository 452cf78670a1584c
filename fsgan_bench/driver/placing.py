"""Carrying out cells on an engine: which come next, what becomes of them, and another try."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fsgan_bench.driver.events import Cached, Elsewhere, Event, Failed, Noted, Stopped
from fsgan_bench.driver.executors.interface import Executor, Handle
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.worker import Job, caught_signals
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system.locks import owner_of

LOOK_SECONDS = 1.0
"""How often a run looks whether a cell that another run works on has become free."""


class Signalled(Exception):
    """The run was asked to stop by signal ``number``.

    The state of every cell that has not failed is on disk, unless it was stopped ``at_once``; or
    the jobs go on, where their engine outlives the run. Cells that had ``failures`` by then are
    named with the reasons.
    """

    def __init__(self, number: int, at_once: bool = False) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.at_once = number, at_once
        self.failures: dict[str, str] = {}


@dataclass(frozen=True)
class Terms:
    """How cells are placed.

    Attributes:
        timeout: seconds that a cell may take; then it is stopped, and has failed.
        pack: cells a job.
        retries: further tries of a cell whose job an engine lost.
        detach: leave the jobs once they are submitted.
    """

    timeout: float | None = None
    pack: int = 1
    retries: int = 0
    detach: bool = False


def pack_by_task(jobs: Sequence[Job], terms: Terms) -> dict[str, list[Pack]]:
    """Cells in the packs that are placed as jobs, by the folder of their task."""
    by_task: dict[str, list[Job]] = {}
    for job in jobs:
        by_task.setdefault(str(job.folder.parent.parent), []).append(job)
    return {
        task: [
            Pack(tuple(its[start : start + terms.pack]), terms.timeout)
            for start in range(0, len(its), terms.pack)
        ]
        for task, its in by_task.items()
    }


def run_jobs(
    executor: Executor,
    jobs: Sequence[Job],
    on_event: Callable[[Event], None],
    preparations: Sequence[Preparation] = (),
    terms: Terms | None = None,
) -> None:
    """Carry out ``jobs``; events arrive in this process.

    A job that dies is reported as its cell's failure, and the others go on. A cell that another
    run works on is left to it until nothing else is to do; then it is waited for, and taken over
    if it was left unfinished.

    Args:
        executor: the engine.
        jobs: the cells.
        on_event: receives the news.
        preparations: tasks that are prepared before their cells, as jobs of their own; without
            cells, all of them.
        terms: how cells are placed.

    Raises:
        Signalled: SIGINT or SIGTERM came. A second signal kills workers of this machine.
        UserError: the engine refuses the jobs.
    """
    terms = terms or Terms()
    placing = _Placing(executor, jobs, preparations, on_event, terms)
    with caught_signals() as caught:
        try:
            placing.adopt()
            while placing.running or (placing.unplaced and not caught):
                if not caught:
                    placing.submit()
                if terms.detach or (caught and executor.outlives_run):
                    break
                executor.pause()
                if caught:
                    placing.cancel(at_once=len(caught) > 1)
                placing.poll()
        finally:
            executor.close()
    if caught:
        raise Signalled(caught[0], at_once=len(caught) > 1)


@dataclass
class _Placing:
    """Cells that wait, and jobs that an engine has."""

    executor: Executor
    jobs: Sequence[Job]
    preparations: Sequence[Preparation]
    on_event: Callable[[Event], None]
    terms: Terms
    running: dict[Handle, dict[str, Job | Preparation]] = field(default_factory=dict)
    prepared: dict[str, list[Handle]] = field(default_factory=dict)
    """By task, the job that its cells wait for; none once it is over."""
    behind: dict[str, list[Job]] = field(default_factory=dict)
    """By task, cells that the engine has dropped as it lost the job that they waited for."""
    unprepared: set[str] = field(default_factory=set)
    """The tasks that could not be prepared: their cells are not tried again."""
    tries: Counter[str] = field(default_factory=Counter)
    waits_for: str = ""
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.waiting = _Waiting(self.jobs, self.on_event)

    @property
    def unplaced(self) -> bool:
        """Whether anything has not been submitted yet."""
        tasks = [] if self.jobs else [str(each.folder) for each in self.preparations]
        return bool(self.waiting.jobs) or not self.prepared.keys() >= set(tasks)

    def adopt(self) -> None:
        """Join the jobs that an earlier run has left."""
        works: list[Work] = [*self.preparations, *(Pack((job,)) for job in self.waiting.jobs)]
        for handle, work in self.executor.adopt(works).items():
            if isinstance(work, Preparation):
                self._prepares(handle, work)
            else:
                self.running[handle] = {job.cell.hash: job for job in work.jobs}
                self.waiting.remove(work.jobs)
                for task in pack_by_task(work.jobs, self.terms):
                    self.prepared.setdefault(task, [])

    def submit(self) -> None:
        """Submit what there is room for: a task's cells together, after its preparation."""
        if not self.jobs:
            self._prepare(self.preparations)
        room = self.executor.room()
        if self.waiting.jobs and (waits_for := self.executor.waits_for) != self.waits_for:
            self.waits_for = waits_for
            if waits_for:
                self.on_event(Noted(self.waiting.jobs[0].cell.hash, 0, f"waits for {waits_for}"))
        taken: list[Job] = []
        while len(taken) < room * self.terms.pack and (job := self.waiting.next()):
            taken.append(job)
        packs = pack_by_task(taken, self.terms)
        self._prepare([each for each in self.preparations if str(each.folder) in packs])
        for task, its in packs.items():
            handles = self.executor.submit(its, self.prepared.get(task, []))
            for handle, pack in zip(handles, its, strict=True):
                self.running[handle] = {job.cell.hash: job for job in pack.jobs}

    def _prepare(self, preparations: Iterable[Preparation]) -> None:
        needed = [each for each in preparations if str(each.folder) not in self.prepared]
        if needed:
            for handle, each in zip(self.executor.submit(needed), needed, strict=True):
                self._prepares(handle, each)

    def _prepares(self, handle: Handle, preparation: Preparation) -> None:
        self.running[handle] = {str(preparation.folder): preparation}
        self.prepared[str(preparation.folder)] = [handle]

    def cancel(self, at_once: bool) -> None:
        self.cancelled = True
        for handle in self.running:
            self.executor.cancel(handle, at_once)

    def poll(self) -> None:
        """Take in the news of all jobs."""
        for handle, works in list(self.running.items()):
            for event in self.executor.poll(handle):
                self._take(event, works)
            if not works:
                del self.running[handle]

    def _take(self, event: Event, works: dict[str, Job | Preparation]) -> None:
        if not event.last:
            self.on_event(event)
            return
        work = works.pop(event.cell)
        if isinstance(work, Preparation):
            self._end_preparation(event)
            return
        task = str(work.folder.parent.parent)
        if isinstance(event, Elsewhere):
            self.waiting.give_back(work)
        elif isinstance(event, Failed) and event.again and task not in self.unprepared:
            if self.prepared.get(task):
                self.behind.setdefault(task, []).append(work)
                return
            if note := self._another_try(event):
                event = note
                self.waiting.jobs.append(work)
        elif isinstance(event, Stopped) and not self.cancelled:
            event = Failed(event.cell, "its worker was stopped from outside; its state is saved")
        self.on_event(event)

    def _end_preparation(self, event: Event) -> None:
        """Take in the end of a preparation; a lost one comes again with the cells that need it."""
        task = event.cell
        cells = self.behind.pop(task, [])
        # What is submitted later need not wait for it, and cannot wait for one that failed.
        self.prepared[task] = []
        if isinstance(event, Failed):
            if event.again and (note := self._another_try(event)):
                del self.prepared[task]
                event = note
            else:
                self.unprepared.add(task)
        self.on_event(event)
        if task in self.unprepared:
            for job in cells:
                self.on_event(Failed(job.cell.hash, "its task could not be prepared"))
        else:
            self.waiting.jobs += cells

    def _another_try(self, failed: Failed) -> Noted | None:
        """A note of the next try of what the engine lost; None if there is none left."""
        self.tries[failed.cell] += 1
        tried = self.tries[failed.cell]
        if tried > self.terms.retries:
            return None
        return Noted(failed.cell, 0, f"{failed.reason}; retry {tried} of {self.terms.retries}")


class _Waiting:
    """The jobs that are with no engine yet; some may be with another run."""

    def __init__(self, jobs: Sequence[Job], on_event: Callable[[Event], None]) -> None:
        self.jobs = list(jobs)
        self.on_event = on_event
        self.elsewhere: dict[str, float] = {}
        self.earlier: dict[str, str | None] = {}
        """What had failed before another run took the cell."""

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
                    self.earlier[name] = files.failure
                    self.on_event(Elsewhere(name, owner))
                continue
            self.jobs.remove(job)
            if files.done.exists():
                self.on_event(Cached(name))
            elif seen is not None and (reason := files.failure) not in (None, self.earlier[name]):
                self.on_event(Failed(name, f"{reason} (in another run)"))
            else:
                return job
        return None

    def remove(self, jobs: Iterable[Job]) -> None:
        """Take ``jobs`` out: they are with an engine already."""
        taken = {job.cell.hash for job in jobs}
        self.jobs = [job for job in self.jobs if job.cell.hash not in taken]

    def give_back(self, job: Job) -> None:
        """Keep a job that somebody else was faster to take."""
        self.jobs.append(job)
        self.elsewhere[job.cell.hash] = time.monotonic()
        self.earlier.setdefault(job.cell.hash, CellFiles(job.folder).failure)
