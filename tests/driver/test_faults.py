"""What happens to workers and runs, with real processes: nothing of it costs a score."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.system.locks import OWNER

pytestmark = pytest.mark.slow

Command = Callable[..., "subprocess.CompletedProcess[str]"]

PLUGIN = '''
"""Methods that fail in the middle of a training while a file says so."""
import os
import resource
import signal
import time
from pathlib import Path

import torch

from fsgan_bench.training.method import Method

FAULTY = Path(__file__).with_name("faulty")


class Faulty(Method):
    version, paper = "1", "nobody 2026"

    def generator_loss(self, session):
        if session.iteration == 3 and FAULTY.exists():
            self.fail()
        return super().generator_loss(session)


class Hungry(Faulty):
    name, title = "hungry", "Hungry"

    def fail(self):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (256 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        self.much = [torch.zeros(1 << 24) for _ in range(64)]


class Dying(Faulty):
    name, title = "dying", "Dying"

    def fail(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hanging(Faulty):
    name, title = "hanging", "Hanging"

    def fail(self):
        FAULTY.with_name("hanging").touch()
        while True:
            time.sleep(1)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "faults.py"
    path.write_text(PLUGIN)
    path.with_name("faulty").touch()
    return path


def arguments(suite: Path, out: Path, methods: str, *more: object) -> list[str]:
    given = ["run", "--suite", suite, "--target", "sketches", "--methods", methods, "--out", out]
    return [str(part) for part in (*given, "--allow-weak-classifier", *more)]


def cell_folder(out: Path, method: str) -> Path:
    (folder,) = (out / "tiny" / "sketches-4shot" / method).iterdir()
    return folder


def scored(folder: Path) -> list[int]:
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return sorted({json.loads(line)["iteration"] for line in lines})


def test_workers_that_die_or_run_out_of_memory(
    suite: Path, fsgan_bench: Command, plugin: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    command = arguments(suite, out, "hungry,dying,tgan", "--plugin", plugin, "--jobs", 3)
    first = fsgan_bench(*command)
    assert first.returncode == 1, first.stderr
    assert "Hungry failed: out of memory; fewer --jobs need less (" in first.stderr
    assert "Dying failed: the worker process was killed (out of memory?)" in first.stderr
    assert "2 of 3 cell(s) failed" in first.stderr
    assert "the same command continues them" in first.stderr
    assert "Traceback" not in first.stderr
    assert (cell_folder(out, "tgan") / "DONE").exists()
    before = {}
    for method in ("hungry", "dying"):
        folder = cell_folder(out, method)
        assert "memory" in (folder / "FAILED").read_text()
        assert (folder / "state.pt").exists()
        assert scored(folder) == [0, 2]
        before[method] = (folder / "scores.jsonl").read_text()
    plugin.with_name("faulty").unlink()
    second = fsgan_bench(*command)
    assert second.returncode == 0, second.stderr
    for method, scores in before.items():
        folder = cell_folder(out, method)
        assert scored(folder) == [0, 2, 6]
        assert (folder / "scores.jsonl").read_text().startswith(scores)
        assert (folder / "DONE").exists() and not (folder / "FAILED").exists()


def test_a_worker_that_hangs_is_stopped(
    suite: Path, fsgan_bench: Any, plugin: Path, tmp_path: Path
) -> None:
    out, hanging = tmp_path / "results", tmp_path / "hanging"
    given = arguments(suite, out, "hanging", "--plugin", plugin)
    began = time.monotonic()
    # One signal asks for an end, the second brings it about.
    first = fsgan_bench.start(*given)
    while not hanging.exists() and time.monotonic() < began + 600:
        time.sleep(0.05)
    took = time.monotonic() - began
    first.terminate()
    time.sleep(1)
    assert first.poll() is None
    first.terminate()
    assert first.wait(60) == 143
    assert "the same command continues" in first.said[1]
    folder = cell_folder(out, "hanging")
    assert (folder / "state.pt").exists() and not (folder / "FAILED").exists()
    assert scored(folder) == [0, 2]
    # Continued it hangs again, sooner than the whole run did before.
    hanging.unlink()
    timeout = math.ceil(took) + 1
    second = fsgan_bench(*given, "--cell-timeout", timeout)
    assert second.returncode == 1, second.stderr
    assert hanging.exists()
    reason = f"took longer than {timeout} s (--cell-timeout)"
    assert f"Hanging failed: {reason}" in second.stderr
    assert (folder / "FAILED").read_text().startswith(reason)
    assert (folder / "state.pt").exists()
    assert scored(folder) == [0, 2]


def test_a_results_root_that_cannot_be_written_to(
    suite: Path, fsgan_bench: Command, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()
    process = fsgan_bench(*arguments(suite, blocked / "results", "tgan"))
    assert process.returncode == 2
    wrong = f"--out {blocked / 'results'}: {blocked} is a file, where a folder is needed."
    assert process.stderr.strip().endswith(f"Error: {wrong}")
    assert "Traceback" not in process.stderr


def test_a_cell_is_with_one_run_and_goes_to_the_next_when_that_dies(
    suite: Path, fsgan_bench: Any, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    whole = arguments(suite, out, "tgan,freezed", "--jobs", 1)
    first = fsgan_bench.start(*whole)
    deadline = time.monotonic() + 600
    while not list(out.rglob("scores.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    # The first run stands still, its worker in the middle of its first cell.
    os.killpg(first.pid, signal.SIGSTOP)
    (owner,) = out.glob(f"tiny/sketches-4shot/*/*/{OWNER}")
    taken = owner.parent
    scores = (taken / "scores.jsonl").read_text()
    second = fsgan_bench.start(*whole)
    other = "FreezeD" if taken.parent.name == "tgan" else "TGAN"
    fresh = fsgan_bench(*arguments(suite, out, taken.parent.name, "--fresh"))
    assert fresh.returncode == 2 and "--fresh: " in fresh.stderr and "is in use by" in fresh.stderr
    while f"{other}: done" not in second.said[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert second.poll() is None
    assert "".join(second.said).count("running elsewhere: process") == 2
    assert (taken / "scores.jsonl").read_text() == scores
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert second.wait(600) == 0, second.said
    assert second.said[0].count(": starting") == 2
    assert (taken / "scores.jsonl").read_text().startswith(scores)
    check = fsgan_bench("verify", out, "--suite", suite)
    assert check.returncode == 0, check.stderr
    assert "2 finished cell(s), 1 snapshot(s) scored again: all as it was" in check.stdout


def test_two_runs_at_once_train_each_cell_once(
    suite: Path, fsgan_bench: Any, tmp_path: Path
) -> None:
    whole = arguments(suite, tmp_path, "tgan,freezed,bsa", "--jobs", 1)
    runs = [fsgan_bench.start(*whole) for _ in range(2)]
    codes = [run.wait() for run in runs]
    said = ["".join(run.said) for run in runs]
    assert codes == [0, 0], said
    for title in ("TGAN", "FreezeD", "BSA"):
        assert sum(text.count(f"{title}: starting") for text in said) == 1, said
    for method in ("tgan", "freezed", "bsa"):
        folder = cell_folder(tmp_path, method)
        assert scored(folder) == [0, 2, 6]
        assert not (folder / OWNER).exists()


def test_sigterm_while_images_are_drawn_leaves_no_process(
    fsgan_bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path / "cache"))
    two_cores = "from fsgan_bench.system import machine; machine.cores = lambda: 2"
    given = ("run", "--methods", "tgan", "--target", "ink", "--out", tmp_path / "results")
    process = fsgan_bench.start(*given, before=two_cores)
    wait_until(lambda: any((tmp_path / "cache").rglob("*.npy")))
    process.terminate()
    assert process.wait(60) == 143
    # Idle processes would end by themselves after ten.
    wait_until(lambda: not _group_lives(process.pid), seconds=8)


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
