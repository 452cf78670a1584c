from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers import cache
from classifiers.base import Parameters

CARD = {"name": "x", "held_out": {"accuracy": 0.97}}


@pytest.fixture
def parameters() -> Parameters:
    return {
        "weight": np.arange(6, dtype=np.float64).reshape(2, 3).T,
        "bias": np.array(0.25),
        "steps": np.array(7, dtype=np.int64),
    }


@pytest.fixture
def stored(parameters: Parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a stored classifier."""
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    cache.save("abc", parameters, CARD)
    return cache.folder_of("abc") / "classifier.safetensors"


def test_round_trip(stored: Path, parameters: Parameters) -> None:
    loaded = cache.load("abc")
    assert loaded is not None
    assert loaded[1] == CARD
    assert loaded[0].keys() == parameters.keys()
    for name, values in parameters.items():
        assert loaded[0][name].dtype == values.dtype
        assert np.array_equal(loaded[0][name], values)
    assert cache.load("abd") is None


def test_any_changed_byte_is_noticed(stored: Path) -> None:
    whole = stored.read_bytes()
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        stored.write_bytes(damaged)
        loaded = cache.load("abc")
        assert loaded is None or loaded[1] == CARD, position
    stored.write_bytes(whole)
    assert cache.load("abc") is not None


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_file_cut_short_is_noticed(stored: Path, length: int) -> None:
    stored.write_bytes(stored.read_bytes()[:length])
    assert cache.load("abc") is None


def test_an_unwritable_cache_is_no_error(
    parameters: Parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path / "file"))
    cache.save("abc", parameters, CARD)
    assert cache.load("abc") is None
