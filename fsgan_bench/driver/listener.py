"""Who follows a run: the driver tells, and knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fsgan_bench.driver.worker import Event


class Listener(AbstractContextManager["Listener", None], Protocol):
    """Hears of a plan's cells while the context lasts."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """The cells that will be carried out: label -> iterations."""

    def show(self, label: str, event: Event) -> None:
        """News of the cell ``label``."""
