"""The page of a run that goes on, written again now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType

from fsgan_bench.driver.worker import Event
from fsgan_bench.errors import what_happened
from fsgan_bench.report import page
from fsgan_bench.report.sprites import Encoder
from fsgan_bench.results.reader import load

PAUSE_SECONDS = 30.0
"""Between two writings at least."""

SHARE = 0.02
"""Of the time that passes, what writing may take."""


class LiveReport:
    """Keeps the page at ``path`` current while it hears of cells; ``folder`` has their tasks.

    It writes in a thread of its own, seldom enough not to slow the run down. What goes wrong is
    said once through ``say``, and the run goes on without.
    """

    def __init__(
        self, folder: Path, path: Path, say: Callable[[str], None], pause: float = PAUSE_SECONDS
    ) -> None:
        self.folder, self.path, self.say, self.pause = folder, path, say, pause
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
        self.thread.join(timeout=2 * PAUSE_SECONDS)

    def begin(self, totals: Mapping[str, int]) -> None:
        self.news.set()

    def show(self, label: str, event: Event) -> None:
        if event.last or "scores" in event.news:
            self.news.set()

    def _follow(self) -> None:
        pause = self.pause
        while not self.ended.wait(pause):
            if not self.news.is_set():
                continue
            self.news.clear()
            began = time.monotonic()
            try:
                now = datetime.now().astimezone().isoformat(" ", "minutes")
                page.write(load([self.folder]), self.path, self.encoder, going=now)
            except Exception as problem:  # whatever it is, the run must not suffer
                self.say(f"The report is not kept current: {what_happened(problem)}")
                return
            pause = max(self.pause, (time.monotonic() - began) / SHARE)
