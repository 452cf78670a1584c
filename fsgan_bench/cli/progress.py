"""What a run shows while it runs: one live line a cell, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fsgan_bench.cli.sparkline import sparkline
from fsgan_bench.driver.events import (
    Cached,
    Done,
    Elsewhere,
    Event,
    Failed,
    Noted,
    SnapshotScored,
    Started,
    Stopped,
    Trained,
)

WHOLE = "all cells"


class Display:
    """Shows the events of cells by label; use as a context manager.

    On a terminal each cell has a line: iterations, time left, p_t so far as a sparkline, scores,
    losses, and the most memory that its process has taken. A last line is for the whole.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.live = console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self.rows: dict[str, TaskID] = {}
        self.totals: dict[str, int] = {}
        self.scores: dict[str, Mapping[str, Any]] = {}
        self.trails: dict[str, list[float]] = {}
        self.done: dict[str, int] = {}
        self.first: dict[str, int] = {}
        self.memory: dict[str, int] = {}
        self.began = clock()

    def __enter__(self) -> Display:
        self.began = self.clock()
        if self.live:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.progress.stop()

    def begin(self, totals: Mapping[str, int]) -> None:
        """Announce the cells, label -> iterations."""
        self.totals = dict(totals)
        if self.live:
            for label, total in totals.items():
                self.rows[label] = self.progress.add_task(label, total=total, note="waiting")
            if len(totals) > 1:
                whole = sum(totals.values())
                self.rows[WHOLE] = self.progress.add_task(WHOLE, total=whole, note="")

    def show(self, label: str, event: Event) -> None:
        """Show one event of the cell ``label``."""
        match event:
            case SnapshotScored():
                self.scores[label] = event.scores
                if "realisticness" in event.scores:
                    p_t = event.scores["realisticness"]
                    self.trails.setdefault(label, []).append(float("nan") if p_t is None else p_t)
                if not self.live:
                    done, total = event.iteration, self.totals[label]
                    self._print(
                        f"{label}: iteration {done}/{total}  {scores_in_short(event.scores)}"
                    )
            case Noted():
                self._print(f"{label}: {event.note}")
            case Trained():
                self.first.setdefault(label, event.iteration)
                self.done[label] = event.iteration
                self.memory[label] = event.memory
                if self.live:
                    note = self._note(label, event)
                    self.progress.update(self.rows[label], completed=event.iteration, note=note)
                    self._show_whole()
            case _:
                self._turn(label, event)

    def _turn(
        self, label: str, event: Started | Done | Failed | Stopped | Elsewhere | Cached
    ) -> None:
        """Show that a cell begins or ends."""
        if event.last:
            self.memory.pop(label, None)
        if isinstance(event, Done | Cached | Failed):
            self.done[label] = self.totals[label]
            self.first.setdefault(label, self.totals[label])
        words = self._words(label, event)
        if self.live:
            completed = self.totals[label] if isinstance(event, Done | Cached) else None
            self.progress.update(self.rows[label], completed=completed, note=words)
            self._show_whole()
        else:
            self._print(f"{label}: {words}")

    def _words(
        self, label: str, event: Started | Done | Failed | Stopped | Elsewhere | Cached
    ) -> str:
        match event:
            case Started():
                return f"starting on {event.where}" if event.where else "starting"
            case Done():
                return f"done  {self._trail(label)}{scores_in_short(self.scores.get(label, {}))}"
            case Failed():
                return f"failed: {event.reason}"
            case Stopped():
                return "stopped, state saved"
            case Elsewhere():
                return f"running elsewhere: {event.owner}; waiting for it"
            case Cached():
                return "done by another run"

    def _note(self, label: str, event: Trained) -> str:
        left = (self.totals[label] - event.iteration) * event.seconds_per_iteration
        parts = [
            f"{timedelta(seconds=round(left))} left",
            self._trail(label) + scores_in_short(self.scores.get(label, {})),
            losses(event.losses),
            decimal(self.memory[label]) if self.memory[label] else "",
        ]
        return "  ".join(part for part in parts if part)

    def _trail(self, label: str) -> str:
        """p_t so far, in front of its value."""
        trail = sparkline(self.trails.get(label, []), encoding=self.console.encoding)
        return f"{trail} " if trail else ""

    def _show_whole(self) -> None:
        if WHOLE not in self.rows:
            return
        done = sum(self.done.values())
        here = done - sum(self.first.values())
        left = sum(self.totals.values()) - done
        parts = []
        if here > 0:
            seconds = left * (self.clock() - self.began) / here
            parts.append(f"about {timedelta(seconds=round(seconds))} left")
        if memory := sum(self.memory.values()):
            parts.append(f"{decimal(memory)} of memory")
        self.progress.update(self.rows[WHOLE], completed=done, note="  ".join(parts))

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def losses(terms: Mapping[str, float]) -> str:
    """The adversarial terms of an iteration, shortly."""
    return "  ".join(
        f"{side[0].upper()} {terms[f'{side}/adversarial']:.2f}"
        for side in ("generator", "discriminator")
        if f"{side}/adversarial" in terms
    )


def scores_in_short(scores: Mapping[str, Any]) -> str:
    """The two scores that a reader follows."""
    names = {"realisticness": "p_t", "intra_lpips": "intra-LPIPS"}
    return "  ".join(
        f"{short} {scores[name]:.3f}"
        for name, short in names.items()
        if scores.get(name) is not None
    )
