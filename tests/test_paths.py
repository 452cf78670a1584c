"""Paths as users name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsgan_bench.system.paths import exists


def test_what_cannot_be_reached_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert exists(tmp_path) and exists(str(tmp_path))
    for name in ("absent", "x" * 5000, "a\x00b", "loop", "loop/below"):
        assert not exists(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        (tmp_path / ("x" * 5000)).stat()
