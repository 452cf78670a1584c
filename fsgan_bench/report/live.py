"""The page of a run that goes on, written again now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

from fsgan_bench.driver.events import Event, SnapshotScored
from fsgan_bench.errors import what_happened
from fsgan_bench.report import page
from fsgan_bench.report.sprites import Encoder
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import load
from fsgan_bench.system.files import write_text

PAUSE_SECONDS = 30.0
"""Between two writings at least."""

SHARE = 0.02
"""Of the time that passes, what writing may take."""

PATIENCE_SECONDS = 3.0
"""How long the end of a run waits for a page that is being made; it is not written after that."""


class LiveReport:
    """Keeps the page of ``cells`` (folders) at ``path`` current while it hears of them.

    It writes in a thread of its own, seldom enough not to slow the run down. What goes wrong is
    said once through ``say``, and the run goes on without.
    """

    def __init__(
        self,
        cells: Sequence[Path],
        path: Path,
        say: Callable[[str], None],
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self.cells, self.path, self.say, self.pause = cells, path, say, pause
        self.encoder = Encoder()
        self.news, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> LiveReport:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join(timeout=PATIENCE_SECONDS)

    def begin(self, totals: Mapping[str, int]) -> None:
        self.news.set()

    def show(self, label: str, event: Event) -> None:
        if event.last or isinstance(event, SnapshotScored):
            self.news.set()

    def write(self) -> None:
        """Write the page of the cells that have begun, if there are any."""
        now = datetime.now().astimezone().isoformat(" ", "minutes")
        if begun := [cell for cell in self.cells if CellFiles(cell).cell.exists()]:
            text = page.make(load(begun), self.encoder, going=now)
            if not self.ended.is_set():
                write_text(self.path, text)

    def _follow(self) -> None:
        pause = self.pause
        while not self.ended.wait(pause):
            if not self.news.is_set():
                continue
            self.news.clear()
            began = time.monotonic()
            try:
                self.write()
            except Exception as problem:  # whatever it is, the run must not suffer
                self.say(f"The report is not kept current: {what_happened(problem)}")
                return
            pause = max(self.pause, (time.monotonic() - began) / SHARE)
