"""The methods' order, and what they say of how they are drawn."""

from __future__ import annotations

import functools

from fsgan_bench.errors import UserError
from fsgan_bench.results.records import CellRecord
from fsgan_bench.training.look import Look


def cell_look(record: CellRecord) -> Look | None:
    """What a cell's method says of its look; of files without it, what the installed one says."""
    if record.cell.look is not None or record.form > 1:
        return record.cell.look
    return installed_look(record.cell.method)


@functools.cache
def installed_look(method: str) -> Look | None:
    """What the installed method of this name says; None without one that can be imported."""
    from fsgan_bench.plugins.methods import method_entries

    entry = method_entries().get(method)
    try:
        return entry.load().look if entry else None
    except UserError:
        return None


def method_order(method: str, look: Look | None) -> tuple[int, str]:
    """Sort key: methods that have a place in their order, then all others by name."""
    last = look is None or look.place is None
    return (1, method) if last else (0, f"{look.place:09d} {method}")  # type: ignore[union-attr]
