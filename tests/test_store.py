from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fsgan_bench import store

OLD = "the old content"


class Touch:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "state.pt"
    path.write_text(OLD)

    def write(temporary: Path) -> None:
        temporary.write_text("half of the ne")
        raise error("interrupted")

    with pytest.raises(error, match="interrupted"):
        store.write_atomic(path, write)
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        store.write_json(tmp_path / "cell.json", {"value": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_write_replaces_the_file_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "card.json"
    store.write_json(path, {"title": "ü", "values": [1, 2]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"title": "ü", "values": [1, 2]}
    store.write_json(path, {})
    assert path.read_text() == "{}\n"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("x")

    store.write_atomic(tmp_path / "grid.png", write)
    assert seen[0].suffix == ".png"
    assert seen[0].parent == tmp_path


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    contents = [["a" * 50_000], ["b" * 50_000]]
    store.write_json(path, contents[0])
    stop = threading.Event()

    def write_on() -> None:
        for i in range(40):
            store.write_json(path, contents[i % 2])
        stop.set()

    writer = threading.Thread(target=write_on)
    writer.start()
    reads = 0
    while not stop.is_set() or reads == 0:
        assert json.loads(path.read_text()) in contents
        reads += 1
    writer.join()


def test_file_hash(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)
    assert store.file_hash(path) == hashlib.sha256(bytes(range(256)) * 1000).hexdigest()


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "train.jsonl"
    assert store.read_lines(path) == []
    lines = [{"iteration": i, "name": "ü"} for i in range(4)]
    store.append_lines(path, lines[:1])
    store.append_lines(path, lines[1:])
    assert store.read_lines(path) == lines
    store.write_lines(path, lines[:2])
    assert store.read_lines(path) == lines[:2]
    store.append_lines(path, [])
    assert store.read_lines(path) == lines[:2]


@pytest.mark.parametrize("torn", ['{"iteration": 2', "{", '{"name": "\\u00', '{"iteration": 2}'])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "train.jsonl"
    store.append_lines(path, [{"iteration": 1}])
    with path.open("a") as file:
        file.write(torn)
    assert store.read_lines(path) == [{"iteration": 1}]
    store.append_lines(path, [{"iteration": 3}])
    assert store.read_lines(path) == [{"iteration": 1}, {"iteration": 3}]


def test_state_round_trip(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "tensor": torch.arange(5),
        "nested": {"list": [1, 2.5, "x", None, True]},
    }
    path = tmp_path / "state.pt"
    store.save_state(path, state)
    loaded = store.load_state(path)
    assert torch.equal(loaded.pop("tensor"), state.pop("tensor"))
    assert loaded == state


def test_a_state_that_holds_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "state.pt", tmp_path / "ran"
    torch.save({"session": Touch(mark)}, path)
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        store.load_state(path)
    assert not mark.exists()


def test_commit_is_a_hash_or_none() -> None:
    commit = store.commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40,64}\+?", commit)


def test_commit_without_git_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert store.commit() is None
