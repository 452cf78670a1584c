from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fsgan_bench.errors import UserError
from fsgan_bench.system import files, provenance, states
from fsgan_bench.system.json_files import read_lines

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
        files.write_atomic(path, write)
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "cell.json", {"value": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_write_replaces_the_file_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "card.json"
    files.write_json(path, {"title": "ü", "values": [1, 2]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"title": "ü", "values": [1, 2]}
    files.write_json(path, {})
    assert path.read_text() == "{}\n"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("x")

    files.write_atomic(tmp_path / "grid.png", write)
    assert seen[0].suffix == ".png"
    assert seen[0].parent == tmp_path


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    contents = [["a" * 50_000], ["b" * 50_000]]
    files.write_json(path, contents[0])
    stop = threading.Event()

    def write_on() -> None:
        for i in range(40):
            files.write_json(path, contents[i % 2])
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
    assert files.file_hash(path) == hashlib.sha256(bytes(range(256)) * 1000).hexdigest()


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "train.jsonl"
    assert read_lines(path) == []
    lines = [{"iteration": i, "name": "ü"} for i in range(4)]
    files.append_lines(path, lines[:1])
    files.append_lines(path, lines[1:])
    assert read_lines(path) == lines
    files.write_lines(path, lines[:2])
    assert read_lines(path) == lines[:2]
    files.append_lines(path, [])
    assert read_lines(path) == lines[:2]


@pytest.mark.parametrize("torn", ['{"iteration": 2', "{", '{"name": "\\u00', '{"iteration": 2}'])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "train.jsonl"
    files.append_lines(path, [{"iteration": 1}])
    with path.open("a") as file:
        file.write(torn)
    assert read_lines(path) == [{"iteration": 1}]
    files.append_lines(path, [{"iteration": 3}])
    assert read_lines(path) == [{"iteration": 1}, {"iteration": 3}]


def test_state_round_trip(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "tensor": torch.arange(5),
        "nested": {"list": [1, 2.5, "x", None, True]},
    }
    path = tmp_path / "state.pt"
    states.save_state(path, state)
    loaded = states.load_state(path)
    assert torch.equal(loaded.pop("tensor"), state.pop("tensor"))
    assert loaded == state


def saved_twice(folder: Path) -> Path:
    path = folder / "state.pt"
    for number in (1, 2):
        states.save_state(path, {"number": number, "tensor": torch.arange(200) + number})
    return path


def test_the_state_before_is_kept(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    assert states.load_state(path)["number"] == 2
    assert states.load_state(states.previous_state(path))["number"] == 1
    assert {file.name for file in tmp_path.iterdir()} == {"state.pt", "state.previous.pt"}


@pytest.mark.parametrize("place", [0, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_state_gives_way_to_the_one_before(
    tmp_path: Path, place: float, cut: bool
) -> None:
    path = saved_twice(tmp_path)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 4
    path.write_bytes(content)
    said: list[str] = []
    state = states.recover_state(path, said.append)
    if said:
        assert state is not None and state["number"] == 1
        assert len(said) == 1 and said[0].startswith("state.pt is damaged: ")
        assert said[0].endswith("; continuing from state.previous.pt")
        assert not path.exists()
    else:
        # Only the checksum was cut off; what it is a checksum of is whole.
        assert cut and place == 0.999
        assert state is not None and state["number"] == 2
    states.save_state(path, {"number": 3})
    assert states.recover_state(path, said.append) == {"number": 3}


def test_two_damaged_states_are_said_and_nothing_is_left(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    path.write_bytes(b"")
    states.previous_state(path).write_bytes(path.read_bytes()[:100])
    said: list[str] = []
    assert states.recover_state(path, said.append) is None
    assert "state.pt is damaged" in said[0] and "state.previous.pt is damaged" in said[0]
    assert said[0].endswith("; starting over")
    assert list(tmp_path.iterdir()) == []
    assert states.recover_state(path, said.append) is None
    assert len(said) == 1


def test_between_two_renames_the_state_before_is_there(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    path.replace(states.previous_state(path))
    state = states.recover_state(path, pytest.fail)
    assert state is not None and state["number"] == 2


def test_a_state_without_checksum_is_read_if_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"number": 1}, path)
    assert states.load_state(path) == {"number": 1}
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(states.DamagedState):
        states.load_state(path)


def test_a_full_disk_is_named_and_leaves_both_states(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with file_size_limit(100_000), pytest.raises(OSError, match="File too large"):
        states.save_state(path, {"tensor": torch.zeros(1_000_000)})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """No file of this process grows beyond ``limit`` bytes, as on a disk that runs full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=f"Nothing can be written to {folder}: "):
            files.check_writable(folder)


def test_a_state_that_holds_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "state.pt", tmp_path / "ran"
    torch.save({"session": Touch(mark)}, path)
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        states.load_state(path)
    assert not mark.exists()


def test_commit_is_a_hash_or_none() -> None:
    commit = provenance.commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40,64}\+?", commit)


def test_commit_without_git_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() is None
