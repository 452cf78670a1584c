"""Locks with real processes: held, released, left by the dead, and seen from another host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fsgan_bench.system import locks
from fsgan_bench.system.locks import OWNER, Taken, owned, owner_of

HOLD = """
import sys, time
from pathlib import Path
from fsgan_bench.system.locks import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

COUNT = """
import sys, time
from pathlib import Path
from fsgan_bench.system.locks import owned
folder = Path(sys.argv[1])
for _ in range(50):
    with owned(folder, patience=-1):
        counter = folder / "counter"
        before = int(counter.read_text()) if counter.exists() else 0
        time.sleep(0.001)
        counter.write_text(str(before + 1))
"""


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    )


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    with owned(tmp_path):
        assert f"process {os.getpid()} on " in str(owner_of(tmp_path))
        with pytest.raises(Taken, match=f"process {os.getpid()}"), owned(tmp_path, patience=0.2):
            pass
    assert owner_of(tmp_path) is None
    assert not (tmp_path / OWNER).exists()


def test_a_dead_owner_is_followed_at_once(tmp_path: Path) -> None:
    holder = start(HOLD, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert f"process {holder.pid} " in str(owner_of(tmp_path))
    with pytest.raises(Taken), owned(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / OWNER).exists()
    with owned(tmp_path):
        assert json.loads((tmp_path / OWNER).read_text())["pid"] == os.getpid()


def test_processes_take_turns(tmp_path: Path) -> None:
    processes = [start(COUNT, tmp_path) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "150"


def test_an_owner_on_another_host_counts_until_its_record_is_old(tmp_path: Path) -> None:
    record = tmp_path / OWNER
    (tmp_path / locks.LOCK).touch()
    record.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "today"}))
    assert owner_of(tmp_path) == "process 1 on elsewhere since today"
    with pytest.raises(Taken, match="elsewhere"), owned(tmp_path):
        pass
    old = time.time() - locks.DEAD_AFTER_SECONDS - 5
    os.utime(record, (old, old))
    assert owner_of(tmp_path) is None
    with owned(tmp_path):
        assert json.loads(record.read_text())["pid"] == os.getpid()


def test_the_record_of_a_living_owner_stays_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    with owned(tmp_path):
        old = time.time() - 1000
        os.utime(tmp_path / OWNER, (old, old))
        deadline = time.monotonic() + 30
        while (tmp_path / OWNER).stat().st_mtime < old + 500 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / OWNER).stat().st_mtime > old + 500


def test_a_damaged_record_is_no_owner(tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text('{"host": "elsewh')
    with owned(tmp_path):
        assert owner_of(tmp_path) is not None
