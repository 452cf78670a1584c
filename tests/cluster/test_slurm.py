"""Cells through a real SLURM: cancelled, preempted, with a lost node and a restarted controller."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Start, cells, content
from .slurm_cluster import Cluster, states, wait_for

WAIT = 3000
"""Seconds, for machines that do other work."""


SLOW = '''
"""Plain fine-tuning that takes its time, so that something can happen meanwhile."""
import time
from fsgan_bench import Method


class Slow(Method):
    name, title, version, paper = "slow", "Slow", "1", "nobody 2026"

    def generator_loss(self, session):
        time.sleep(0.3)
        return super().generator_loss(session)
'''


def told(text: str) -> str:
    """Print what a run said, for who reads the log of the test; then give it back."""
    sys.stdout.write(f"{text}\n")
    return text


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=WAIT)
    told(said)
    assert process.returncode == code, said
    return said


def running() -> list[str]:
    """The jobs of cells that run now; the preparing job has no number in an array."""
    return [job for job, state in states().items() if state == "RUNNING" and "_" in job]


def on_node(name: str) -> str:
    """The job of a cell that runs on a node, "" if there is none."""
    command = ["squeue", "-h", "-r", "-w", name, "-t", "R", "-o", "%i"]
    jobs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((job for job in jobs if "_" in job), "")


def test_packed_cells_have_the_bytes_of_the_local_run(
    cluster: Cluster, start: Start, profile: Path, tmp_path: Path
) -> None:
    methods = ("--methods", "tgan,freezed,bsa")
    said = finish(
        start(tmp_path / "slurm", *methods, "--executor", f"slurm:{profile}", "--pack", 2)
    )
    assert "sbatch --array=0-1%2" in said and "TGAN: done" in said
    assert set(states().values()) == {"COMPLETED"}
    assert not list((tmp_path / "slurm" / ".submissions").glob("*"))
    finish(start(tmp_path / "local", *methods, "--jobs", 2))
    there, here = cells(tmp_path / "slurm"), cells(tmp_path / "local")
    assert there.keys() == here.keys() and len(here) == 3
    for name in here:
        assert content(there[name]) == content(here[name])


@pytest.mark.slow
@pytest.mark.cluster
def test_seven_cells_through_all_that_can_happen(
    cluster: Cluster, start: Start, profile: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    cells_asked = ("--methods", "slow", "--plugin", plugin, "--seeds", "0-6", "--iterations", 60)
    there = tmp_path / "slurm", *cells_asked, "--executor", f"slurm:{profile}"
    assert "Submitted." in finish(start(*there, "--detach"))
    run = start(*there)

    def log(what: str) -> None:
        told(f"[{time.strftime('%H:%M:%S')}] {what}; {states()}")

    wait_for(lambda: len(running()) == 2, WAIT)
    assert len(states()) == 8, "the preparing job and seven cells: joining submits nothing"
    cancelled = running()[0]
    log(f"cancelling {cancelled}")
    subprocess.run(["scancel", cancelled], check=True)

    wait_for(lambda: states()[cancelled] == "CANCELLED" and len(running()) == 2, WAIT)
    begun(tmp_path / "slurm", 2)
    before = running()
    log("preempting one of two")
    urgent = ["sbatch", "-p", "urgent", "-n1", "-o", "/dev/null", "--wrap", "sleep 3"]
    subprocess.run(urgent, check=True)
    wait_for(lambda: any(states()[job] == "PENDING" for job in before), WAIT)
    preempted = next(job for job in before if states()[job] == "PENDING")
    log(f"preempted {preempted}")

    log("restarting the controller")
    cluster.stop_controller()
    time.sleep(3)
    cluster.start_controller()

    wait_for(lambda: on_node("n2"), WAIT)
    lost = on_node("n2")
    log(f"killing node n2, which runs {lost}")
    cluster.kill_node("n2")
    wait_for(lambda: states()[lost] != "RUNNING", WAIT)
    log(f"node n2 is down, {lost} waits for another node")
    cluster.start_node("n2")

    said = finish(run, code=1)
    assert said.count("its job was cancelled (scancel)") == 2, "once as news, once at the end"
    assert len(list(tmp_path.glob("slurm/*/*/*/*/DONE"))) == 6
    finish(start(*there))
    finish(start(tmp_path / "local", *cells_asked, "--jobs", 2))
    here = cells(tmp_path / "local")
    assert here.keys() == cells(tmp_path / "slurm").keys() and len(here) == 7
    for name, folder in cells(tmp_path / "slurm").items():
        assert content(folder) == content(here[name])


def begun(out: Path, count: int) -> None:
    """Wait until so many cells have a first snapshot that is scored, and train."""
    wait_for(lambda: len(list(out.glob("*/*/*/*/scores.jsonl"))) >= count, WAIT)
