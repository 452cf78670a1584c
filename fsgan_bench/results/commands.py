"""The commands that made a results root: ``runs.jsonl`` in it, a line a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from fsgan_bench import __version__
from fsgan_bench.errors import UserError
from fsgan_bench.system.files import append_lines
from fsgan_bench.system.json_files import numbered_lines

RUNS = "runs.jsonl"


def record_command(root: Path, command: str, cells: Iterable[str]) -> None:
    """Put down that ``command`` was given to carry out ``cells`` (content hashes) in ``root``."""
    line = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "fsgan_bench": __version__,
        "command": command,
        "cells": sorted(cells),
    }
    append_lines(root / RUNS, [line])


def commands(root: Path) -> dict[str, str]:
    """The last command for each cell of ``root``, by content hash; {} where none is recorded.

    Raises UserError for a damaged file.
    """
    found: dict[str, str] = {}
    for line in _lines(root):
        found |= dict.fromkeys(line["cells"], str(line.get("command")))
    return found


def commands_of(roots: Iterable[Path], cells: Collection[str]) -> list[dict[str, Any]]:
    """What ``roots`` record of the commands that made ``cells`` (content hashes), the oldest first.

    Raises UserError for a damaged file.
    """
    found, wanted = [], set(cells)
    for line in (line for root in dict.fromkeys(roots) for line in _lines(root)):
        made = [cell for cell in line["cells"] if cell in wanted]
        if made:
            found.append({**line, "cells": made})
    return sorted(found, key=lambda line: str(line.get("time")))


def _lines(root: Path) -> list[dict[str, Any]]:
    file = root / RUNS
    if not file.exists():
        return []
    lines = list(numbered_lines(file, whole=False))
    for number, line in lines:
        cells = line.get("cells")
        if not isinstance(cells, list) or not all(isinstance(cell, str) for cell in cells):
            raise UserError(f"{file}, line {number}, must have a list of hashes as 'cells'.")
    return [line for _, line in lines]
