"""Who follows a run: the driver tells, and knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fsgan_bench.driver.events import Event


class Listener(AbstractContextManager["Listener", None], Protocol):
    """Hears of a plan's cells while the context lasts."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """The cells that will be carried out: label -> iterations."""

    def show(self, label: str, event: Event) -> None:
        """News of the cell ``label``."""


class Together:
    """Several listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners
        self.stack = ExitStack()

    def __enter__(self) -> Together:
        for listener in self.listeners:
            self.stack.enter_context(listener)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.__exit__(kind, error, trace)

    def begin(self, totals: Mapping[str, int]) -> None:
        for listener in self.listeners:
            listener.begin(totals)

    def show(self, label: str, event: Event) -> None:
        for listener in self.listeners:
            listener.show(label, event)
