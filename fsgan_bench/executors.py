"""Running cells: one worker process a cell, so many at a time, the cores shared out among them."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import where_defined, where_raised
from fsgan_bench.plan import Cell
from fsgan_bench.task import TaskRequest

if TYPE_CHECKING:
    from fsgan_bench.method import Method


@dataclass(frozen=True)
class Job:
    """A cell and what a fresh process needs to carry it out.

    Attributes:
        cell: what to train.
        request: its task.
        plugins: plugin files to load first.
        threads: processor threads of the worker.
    """

    cell: Cell
    request: TaskRequest
    plugins: tuple[Path, ...]
    threads: int


@dataclass(frozen=True)
class Event:
    """News of a cell; ``kind`` is started, progress, done, failed or stopped."""

    cell: str
    kind: str
    news: Mapping[str, Any]


class Signalled(Exception):
    """The run was asked to stop by signal ``number``; every cell's state is on disk."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of dying of them."""
    caught: list[int] = []

    def catch(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, catch) for number in signals]
    try:
        yield caught
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def run_jobs(jobs: Sequence[Job], workers: int, on_event: Callable[[Event], None]) -> None:
    """Carry out ``jobs``, ``workers`` at a time; events arrive in this process.

    A worker that dies is reported as its cell's failure, and the others go on.

    Raises:
        Signalled: SIGINT or SIGTERM came; the workers have finished their iteration and saved.
    """
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    waiting, running = list(jobs), dict[str, BaseProcess]()
    with caught_signals() as caught:
        try:
            while running or (waiting and not caught):
                while waiting and len(running) < workers and not caught:
                    job = waiting.pop(0)
                    process: BaseProcess = context.Process(
                        target=work, args=(job, events, os.getpid())
                    )
                    process.start()
                    running[job.cell.hash] = process
                if caught:
                    _stop(running.values())
                for event in _drain(events):
                    on_event(event)
                    if event.kind in ("done", "failed", "stopped"):
                        running.pop(event.cell).join()
                for cell, process in list(running.items()):
                    if not process.is_alive() and events.empty():
                        del running[cell]
                        on_event(Event(cell, "failed", {"reason": _cause_of_death(process)}))
        finally:
            for process in running.values():
                process.kill()
    if caught:
        raise Signalled(caught[0])


def _drain(events: Any) -> Iterator[Event]:
    try:
        yield events.get(timeout=0.2)
        while True:
            yield events.get_nowait()
    except queue.Empty:
        return


def _stop(processes: Any) -> None:
    for process in processes:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGTERM)


def _cause_of_death(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return "the worker process was killed (out of memory?)"
    if code < 0:
        return f"the worker process died of {signal.Signals(-code).name}"
    return f"the worker process ended with exit code {code}"


def work(job: Job, events: Any, parent: int) -> None:
    """Carry out one job in this (worker) process, reporting to ``events``."""
    from fsgan_bench import machine
    from fsgan_bench.adaptation import Adaptation, CellFiles, Interrupted
    from fsgan_bench.method import Method
    from fsgan_bench.registry import build_config, method_entries
    from fsgan_bench.store import write_text
    from fsgan_bench.task import load_task

    cell = job.cell

    def send(kind: str, **news: Any) -> None:
        events.put(Event(cell.hash, kind, news))

    method: type[Method] = Method
    author_blamed = False
    with caught_signals() as caught:
        try:
            machine.prepare(job.threads)
            send("started")
            task = load_task(job.request)
            entry = method_entries(job.plugins)[cell.method]
            method = entry.load()
            author_blamed = entry.third_party
            configured = method(build_config(method, cell.config))
            adaptation = Adaptation(
                cell,
                task,
                configured,
                report=lambda news: send("progress", **news),
                stop=lambda: bool(caught) or os.getppid() != parent,
            )
            adaptation.run()
            send("done", **adaptation.seconds)
        except Interrupted:
            send("stopped")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if author_blamed:
                reason += _place(error, method)
            files = CellFiles(cell.folder(load_task(job.request).folder))
            write_text(files.failed, f"{reason}\n\n{traceback.format_exc()}")
            send("failed", reason=reason)
    events.close()
    events.join_thread()


def _place(error: Exception, method: type[Method]) -> str:
    """`` (FILE, line N)`` if a method's file has to do with the error."""
    from fsgan_bench.method import Diverged

    raised = where_raised(error, inspect.getsourcefile(method))
    where = raised or (where_defined(method) if isinstance(error, Diverged) else None)
    return f" ({where})" if where else ""
