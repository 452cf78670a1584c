"""An engine whose jobs end as a test says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

from fsgan_bench.driver.events import Done, Event, Failed
from fsgan_bench.driver.executors.interface import Executor, Handle, RunSetting
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.driver.worker import Job


class Scripted(Executor):
    """An engine of another package: each try of a cell ends as ``ends`` says."""

    name = "scripted"
    outlives_run = True

    def __init__(self, ends: dict[str, list[Event]], left: dict[Handle, Work] | None = None):
        super().__init__(RunSetting(Path()))
        self.ends, self.left = ends, left or {}
        self.log: list[str] = []
        self.late: Handle = ""
        """A job of which the engine tells at every other look only, beginning with the second."""
        self.looks = 0

    @property
    def threads(self) -> int:
        return 1

    def describe(self, preparations: Sequence[Preparation], packs: Sequence[Pack]) -> list[str]:
        return []

    def submit(self, works: Sequence[Work], after: Sequence[Handle] = ()) -> list[Handle]:
        handles = ["+".join(folder.name for folder in work.folders) for work in works]
        self.log += [f"{handle} after {','.join(after)}".strip() for handle in handles]
        return handles

    def poll(self, handle: Handle) -> Iterator[Event]:
        if handle == self.late:
            self.looks += 1
            if self.looks % 2:
                return
        for name in handle.split("+"):
            yield self.ends[name].pop(0)

    def cancel(self, handle: Handle, at_once: bool = False) -> None:
        self.log.append(f"cancel {handle}")

    def pause(self) -> None:
        pass

    def adopt(self, works: Iterable[Work]) -> dict[Handle, Work]:
        return self.left


def job(name: str, root: Path) -> Job:
    request = TaskRequest("suite", "ink", 10, root)
    cell = SimpleNamespace(hash=name)
    return Job(cell, root / "suite" / "ink-10shot" / "tgan" / name, request, (), 1)  # type: ignore[arg-type]


def done(name: str) -> Event:
    return Done(name)


def lost(name: str) -> Event:
    return Failed(name, "its node failed", again=True)
