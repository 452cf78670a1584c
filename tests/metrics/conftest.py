"""One thread, and files of weights that the tests publish themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fsgan_bench.features import weights

# The tensors of these tests are so small that a second thread only costs time.
torch.set_num_threads(1)

Publish = Callable[[str, Path], None]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkpoint folder of torch hub, the only place that weights are looked for."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(weights, "CLEAN_FID_FOLDER", tmp_path / "clean-fid")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Makes a file the published one of a network."""

    def published(name: str, path: Path) -> None:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        changed = replace(weights.WEIGHTS[name], sha256=digest, size=len(content))
        monkeypatch.setitem(weights.WEIGHTS, name, changed)

    return published
