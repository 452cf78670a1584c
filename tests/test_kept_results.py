"""The results in the repository: every cell is what its manifest says, and they stay small."""

from __future__ import annotations

from pathlib import Path

from fsgan_bench.results.folders import find_cells
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.snapshots.verify_files import Checked, verify_files

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
MEGABYTES = 15


def test_nothing_is_missing_or_changed() -> None:
    checked = Checked()
    cells = [cell for task in find_cells(REFERENCE).values() for cell in task]
    assert len(cells) > 100
    for cell in cells:
        verify_files(CellFiles(cell), checked)
    assert checked.problems == []


def test_they_are_small() -> None:
    size = sum(file.stat().st_size for file in REFERENCE.rglob("*") if file.is_file())
    assert size < MEGABYTES * 1_000_000
