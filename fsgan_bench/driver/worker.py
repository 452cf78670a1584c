"""A worker process: carries out one cell and reports to the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.errors import UserError, what_happened, where_blamed, where_raised_in
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.layout import CellFiles, Keep
from fsgan_bench.system.files import write_text

if TYPE_CHECKING:
    from fsgan_bench.training.method import Method

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
    """

    cell: Cell
    folder: Path
    request: TaskRequest
    plugins: tuple[Path, ...]
    threads: int
    keep: Keep = "scored"


@dataclass(frozen=True)
class Event:
    """News of a cell.

    ``kind`` is started, progress, done, failed or stopped; elsewhere, if another run works on it;
    or cached, if another run has finished it.
    """

    cell: str
    kind: str
    news: dict[str, Any]

    @property
    def last(self) -> bool:
        """Whether the worker has nothing more to say."""
        return self.kind not in ("started", "progress")


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


def work(job: Job, events: Connection, parent: int) -> None:
    """Carry out one job in this (worker) process, reporting to ``events``."""
    from fsgan_bench.driver.adaptation import Adaptation, Interrupted
    from fsgan_bench.driver.task import load_task
    from fsgan_bench.plugins.methods import method_entries
    from fsgan_bench.plugins.settings import build_config
    from fsgan_bench.system import machine
    from fsgan_bench.system.locks import Taken, owned
    from fsgan_bench.training.method import Method

    cell, files = job.cell, CellFiles(job.folder)

    def send(kind: str, **news: Any) -> None:
        # Without a parent there is nobody to tell; ``stop`` below notices it too.
        with contextlib.suppress(BrokenPipeError):
            events.send(Event(cell.hash, kind, news))

    method: type[Method] = Method
    author_blamed = False
    with caught_signals() as caught:
        try:
            machine.prepare(job.threads)
            with owned(job.folder, PATIENCE):
                if files.done.exists():
                    files.drop_states()
                    send("cached")
                    return
                send("started")
                task = load_task(job.request)
                entry = method_entries(job.plugins)[cell.method]
                method = entry.load()
                author_blamed = entry.third_party
                adaptation = Adaptation(
                    cell,
                    task,
                    method(build_config(method, cell.config)),
                    report=lambda news: send("progress", **news),
                    stop=lambda: bool(caught) or os.getppid() != parent,
                    keep=job.keep,
                )
                adaptation.run()
            send("done", **adaptation.seconds)
        except Taken as taken:
            send("elsewhere", owner=str(taken))
        except Interrupted:
            send("stopped")
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            reason = _reason(error)
            if author_blamed:
                blame = where_raised_in if isinstance(error, _OF_OTHERS) else where_blamed
                if where := blame(error, method, Method):
                    reason += f" ({where})"
            fail(files, reason, traceback.format_exc())
            send("failed", reason=reason)


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
