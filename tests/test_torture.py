"""A short ``make torture``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_killed_and_resumed_cells_lose_nothing(image_cache: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.torture", "--trials", "14", "--jobs", "1"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    rows = {
        words[0]: [int(word) for word in words[1:]]
        for line in process.stdout.splitlines()
        if len(words := re.findall(r"\w+", line)) == 7 and words[1].isdigit()
    }
    assert set(rows) == {"tgan", "bsa", "freezed", "minegan", "ewc", "cdc", "dcl", "all"}
    for cells, trials, at_operations, _damaged, lost, mismatches in rows.values():
        assert cells >= 1 and trials >= 2 and at_operations <= trials
        assert (lost, mismatches) == (0, 0)
