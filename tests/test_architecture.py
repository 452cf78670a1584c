"""The order of the folders is kept, and drawn as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("grimp")

ROOT = Path(__file__).parents[1]


def test_the_drawing_of_the_layers_is_that_of_the_imports() -> None:
    spec = importlib.util.spec_from_file_location("layers", ROOT / "docs" / "layers.py")
    assert spec is not None and spec.loader is not None
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    assert layers.page() == layers.PAGE.read_text(encoding="utf-8"), "run make architecture"


LONGEST = 300


def test_no_module_is_long() -> None:
    sources = [
        file
        for package in ("fsgan_bench", "baselines", "classifiers")
        for file in (ROOT / package).rglob("*.py")
    ]
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in sources}
    assert [file for file, n in lines.items() if n > LONGEST] == []
    assert len(list((ROOT / "fsgan_bench").glob("*.py"))) <= 8
