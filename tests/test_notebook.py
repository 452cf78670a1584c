"""The notebook in examples/ runs from top to bottom, and shows what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "examples" / "from-python.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, image_cache: Path) -> None:
    read: Any = nbformat.read
    notebook = read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}})
    client.execute()
    by_source = {cell.source: str(cell.get("outputs", "")) for cell in notebook.cells}

    def shown(part: str) -> str:
        (outputs,) = [text for source, text in by_source.items() if part in source and text]
        return outputs

    assert "TGAN: done" in shown("run = fb.run(")
    assert "frozen mapping: done" in shown("run = fb.run(")
    pivot = shown("pivot_table")
    assert all(name in pivot for name in ("frozen_mapping", "ideal", "intra_lpips_cdc2021"))
    scored = shown("fb.score_images(")
    assert "fd_lite0" in scored and "correspondence" not in scored
    assert "Did you mean 'tgan'" in shown("fb.UserError")
