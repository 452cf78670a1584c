"""A worker process: carries out one cell and reports to the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from fsgan_bench.driver.events import Cached, Done, Elsewhere, Event, Failed, Started, Stopped
from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.errors import UserError, what_happened, where_blamed, where_raised_in
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.keeping import Keep
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system.files import write_text

PATIENCE = 2.0
"""Seconds that a worker waits for its cell: others look at a lock by taking it for a moment."""

_OF_OTHERS = (UserError, OSError, MemoryError)
"""What a method is blamed for only if it comes out of its own lines."""


@dataclass(frozen=True)
class Job:
    """A cell and what a fresh process needs to carry it out.

    Attributes:
        cell: what to train.
        folder: where its files are.
        request: its task.
        plugins: plugin files to load first.
        threads: processor threads of the worker.
        keep: which snapshots stay.
        fresh: begin at iteration 0, although a shorter cell could be gone on from.
    """

    cell: Cell
    folder: Path
    request: TaskRequest
    plugins: tuple[Path, ...]
    threads: int
    keep: Keep = "scored"
    fresh: bool = False


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of dying of them.

    Outside the main thread, which alone hears of signals, nothing is caught.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, catch) for number in signals]
    try:
        yield caught
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


class Ear(Protocol):
    """Where a worker's words go."""

    def send(self, event: Event, /) -> None: ...


def work(job: Job, ear: Ear, parent: int) -> None:
    """Carry out one job in this (worker) process, telling ``ear``; ends with a last word."""

    def tell(event: Event) -> None:
        # Without a parent there is nobody to tell; ``stop`` below notices it too.
        with contextlib.suppress(BrokenPipeError):
            ear.send(event)

    with caught_signals() as caught:
        tell(_carry_out(job, tell, lambda: bool(caught) or os.getppid() != parent))


def _carry_out(job: Job, tell: Callable[[Event], None], stop: Callable[[], bool]) -> Event:
    """Train and score a cell, if nobody else does; the last word on it."""
    from fsgan_bench.system import machine
    from fsgan_bench.system.locks import Taken, owned

    name, files = job.cell.hash, CellFiles(job.folder)
    try:
        machine.prepare(job.threads, job.request.device)
        with owned(job.folder, PATIENCE):
            if files.done.exists():
                files.drop_states()
                return Cached(name)
            tell(Started(name))
            return _adapt(job, tell, stop)
    except Taken as taken:
        return Elsewhere(name, str(taken))
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return _failed(job, _reason(error))


def _adapt(job: Job, tell: Callable[[Event], None], stop: Callable[[], bool]) -> Event:
    """Carry a cell that is owned to its end; what a method of somebody else breaks is its own."""
    from fsgan_bench.driver.adaptation import Adaptation, Interrupted
    from fsgan_bench.driver.task import load_task
    from fsgan_bench.plugins.methods import method_entries
    from fsgan_bench.plugins.settings import build_config
    from fsgan_bench.training.method import Method

    cell, name = job.cell, job.cell.hash
    task = load_task(job.request)
    entry = method_entries(job.plugins)[cell.method]
    method = entry.load()
    try:
        made = method(build_config(method, cell.config))
        adaptation = Adaptation(
            cell, task, made, report=tell, stop=stop, keep=job.keep, fresh=job.fresh
        )
        adaptation.run()
    except Interrupted:
        return Stopped(name)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        reason = _reason(error)
        blame = where_raised_in if isinstance(error, _OF_OTHERS) else where_blamed
        if entry.third_party and (where := blame(error, method, Method)):
            reason += f" ({where})"
        return _failed(job, reason)
    return Done(name, adaptation.seconds["training"], adaptation.seconds["scoring"])


def _failed(job: Job, reason: str) -> Failed:
    """Leave the reason and the traceback of the error that is being handled."""
    fail(CellFiles(job.folder), reason, traceback.format_exc())
    return Failed(job.cell.hash, reason)


def fail(files: CellFiles, reason: str, trace: str = "") -> None:
    """Leave the reason in the cell's folder, if that can be written to."""
    with contextlib.suppress(OSError):
        write_text(files.failed, f"{reason}\n\n{trace}")


def _reason(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    words = what_happened(error)
    if isinstance(error, MemoryError) or "allocate memory" in words or "out of memory" in words:
        return f"out of memory; fewer --jobs need less ({words})"
    return words
