"""Sending what cells have written to trackers, while they run or later: the files are the truth."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from fsgan_bench.driver.events import Cached, Done, Elsewhere, Event, SnapshotScored
from fsgan_bench.errors import what_happened
from fsgan_bench.results.folders import read_cell, read_scores, read_task
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.system.json_files import numbered_lines
from fsgan_bench.trackers.tracker import TrackedCell, Tracker

PATIENCE_SECONDS = 60.0
"""How long the end of a run waits for trackers that are still sending."""

INTERRUPTED_SECONDS = 3.0
"""The same for the end of a run that somebody stops."""

_NOT_LOSSES = ("iteration", "seconds")


@dataclass
class Follower:
    """Sends one cell's files to one tracker, each line and image once."""

    tracker: Tracker
    files: CellFiles
    logged: int = -1
    scored: set[tuple[int, str]] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)

    def send(self) -> None:
        """Send what is new since the last time."""
        values: dict[int, dict[str, float]] = {}
        if self.files.log.exists():
            for _, line in numbered_lines(self.files.log, whole=False):
                if line["iteration"] > self.logged:
                    values[line["iteration"]] = _numbers(line)
        self.logged = max([self.logged, *values])
        # Of two versions of a metric the last line counts.
        scores = {(s.iteration, f"scores/{s.metric}"): s.value for s in read_scores(self.files)}
        for (iteration, name), value in scores.items():
            if (iteration, name) not in self.scored and math.isfinite(value):
                self.scored.add((iteration, name))
                values.setdefault(iteration, {})[name] = value
        for iteration in sorted(values):
            self.tracker.log(iteration, values[iteration])
        for iteration, path in self.files.grids().items():
            if iteration not in self.shown:
                self.shown.add(iteration)
                self.tracker.image(iteration, path)


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    found = {"training_seconds": line["seconds"]} if "seconds" in line else {}
    found |= {name: value for name, value in line.items() if name not in _NOT_LOSSES}
    return {name: float(v) for name, v in found.items() if isinstance(v, (int, float))}


def tracked_cell(files: CellFiles) -> TrackedCell:
    """What a tracker is told of a cell; UserError for a damaged file."""
    record, task = read_cell(files), read_task(files.task)
    provenance = record.provenance.model_dump(exclude={"form"})
    return TrackedCell(
        hash=record.hash,
        group=f"{task.suite} {task.target} {task.shots} shots",
        name=f"{record.title} seed {record.cell.seed}",
        config=_flat({**record.cell.stored, "provenance": provenance}),
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found


def send_all(
    kind: type[Tracker], folder: Path, cells: Sequence[Path], say: Callable[[str], None]
) -> int:
    """Send cells to a tracker one after the other; how many could not be."""
    failed = 0
    for cell in cells:
        files = CellFiles(cell)
        try:
            follower = Follower(kind(folder, tracked_cell(files)), files)
            follower.send()
            follower.tracker.finish(files.done.exists())
        except (Exception, SystemExit) as problem:  # of whatever kind: the tracker is not ours
            say(f"{cell}: not sent: {what_happened(problem)}")
            failed += 1
    return failed


class LiveTracking:
    """Follows a run's cells and sends them to a tracker, in a thread of its own.

    ``cells`` are their folders by content hash. A tracker that fails is named once through ``say``,
    and the cell goes on without it; so does the run if one hangs.
    """

    def __init__(
        self,
        name: str,
        kind: type[Tracker],
        folder: Path,
        cells: Mapping[str, Path],
        say: Callable[[str], None],
    ) -> None:
        self.name, self.kind, self.folder = name, kind, folder
        self.cells, self.say = cells, say
        self.followers: dict[str, Follower | None] = {}
        self.events: queue.Queue[Event | None] = queue.Queue()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> LiveTracking:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.events.put(None)
        self.thread.join(timeout=PATIENCE_SECONDS if error is None else INTERRUPTED_SECONDS)
        if self.thread.is_alive():
            self.say(
                f"The tracker '{self.name}' is still sending and is left behind; fsgan-bench track "
                "sends everything later."
            )

    def begin(self, totals: Mapping[str, int]) -> None:
        """Nothing is sent before a cell has written something."""

    def show(self, label: str, event: Event) -> None:
        if event.last or isinstance(event, SnapshotScored):
            self.events.put(event)

    def _work(self) -> None:
        while (event := self.events.get()) is not None:
            if isinstance(event, Elsewhere) or event.cell not in self.cells:
                continue
            try:
                self._follow(event)
            except (Exception, SystemExit) as problem:  # of whatever kind: the tracker is not ours
                self.followers[event.cell] = None
                self.say(
                    f"The tracker '{self.name}' failed, and the cell goes on without it: "
                    f"{what_happened(problem)}"
                )

    def _follow(self, event: Event) -> None:
        files = CellFiles(self.cells[event.cell])
        if event.cell not in self.followers:
            if not files.cell.exists():
                return
            tracker = self.kind(self.folder, tracked_cell(files))
            self.followers[event.cell] = Follower(tracker, files)
        follower = self.followers[event.cell]
        if follower is not None:
            follower.send()
            if event.last:
                follower.tracker.finish(isinstance(event, Done | Cached))
