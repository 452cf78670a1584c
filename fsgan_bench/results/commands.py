"""The commands that made a results root: ``runs.jsonl`` in it, a line a run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from fsgan_bench import __version__
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
    file = root / RUNS
    found: dict[str, str] = {}
    if file.exists():
        for _, line in numbered_lines(file, whole=False):
            found |= dict.fromkeys(map(str, line.get("cells") or ()), str(line.get("command")))
    return found
