"""What a run shows while it runs: one live line a cell, or plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fsgan_bench.driver.worker import Event


class Display:
    """Shows the events of cells by label; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
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

    def __enter__(self) -> Display:
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

    def show(self, label: str, event: Event) -> None:
        """Show one event of the cell ``label``."""
        news = event.news
        if event.kind == "progress" and "scores" in news:
            self.scores[label] = news["scores"]
            if not self.live:
                done, total = news["iteration"], self.totals[label]
                self._print(f"{label}: iteration {done}/{total}  {describe(news['scores'])}")
        elif event.kind == "progress" and "note" in news:
            self._print(f"{label}: {news['note']}")
        elif event.kind == "progress" and self.live:
            note = f"{self._eta(label, news)}  {losses(news['losses'])}"
            if label in self.scores:
                note += f"  {describe(self.scores[label])}"
            self.progress.update(self.rows[label], completed=news["iteration"], note=note)
        elif event.kind != "progress":
            words = {
                "started": f"starting on {news['where']}" if "where" in news else "starting",
                "done": f"done  {describe(self.scores.get(label, {}))}",
                "failed": f"failed: {news.get('reason')}",
                "stopped": "stopped, state saved",
                "elsewhere": f"running elsewhere: {news.get('owner')}; waiting for it",
                "cached": "done by another run",
            }
            if self.live:
                completed = self.totals[label] if event.kind in ("done", "cached") else None
                self.progress.update(self.rows[label], completed=completed, note=words[event.kind])
            else:
                self._print(f"{label}: {words[event.kind]}")

    def _eta(self, label: str, news: Mapping[str, Any]) -> str:
        left = (self.totals[label] - news["iteration"]) * news["seconds_per_iteration"]
        return f"{timedelta(seconds=round(left))} left"

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def losses(terms: Mapping[str, float]) -> str:
    """The adversarial terms of an iteration, shortly."""
    return "  ".join(
        f"{side[0].upper()} {terms[f'{side}/adversarial']:.2f}"
        for side in ("generator", "discriminator")
        if f"{side}/adversarial" in terms
    )


def describe(scores: Mapping[str, Any]) -> str:
    """The two scores that a reader follows."""
    names = {"realisticness": "p_t", "intra_lpips": "intra-LPIPS"}
    return "  ".join(
        f"{short} {scores[name]:.3f}"
        for name, short in names.items()
        if scores.get(name) is not None
    )
