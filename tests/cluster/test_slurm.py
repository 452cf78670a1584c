"""Cells through a real SLURM: cancelled, preempted, with a lost node and a restarted controller."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.driver.events import Event
from fsgan_bench.driver.plan import Plan, make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.run import run_plan
from fsgan_bench.system.machine import cores

from .conftest import WAIT, Start, cells, content, told
from .slurm_cluster import Cluster, states, wait_for

STARTING = ": starting on "
"""What a run says of a cell: that it watches its job."""


def running() -> list[str]:
    """The jobs of cells that run now; the preparing job has no number in an array."""
    return [job for job, state in states().items() if state == "RUNNING" and "_" in job]


def on_node(name: str) -> str:
    """The job of a cell that runs on a node, "" if there is none."""
    command = ["squeue", "-h", "-r", "-w", name, "-t", "R", "-o", "%i"]
    jobs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((job for job in jobs if "_" in job), "")


class Heard(list[str]):
    """Listens to a run, in words."""

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, totals: Mapping[str, int]) -> None:
        pass

    def show(self, label: str, event: Event) -> None:
        kind, where = type(event).__name__.lower(), getattr(event, "where", "")
        self.append(told(f"{label}: {kind} {where}".strip()))


def test_packed_cells_have_the_bytes_of_the_local_run(
    cluster: Cluster, suite: Path, profile: Path, image_cache: Path, tmp_path: Path
) -> None:
    def plan(out: str, **options: Any) -> Plan:
        request = RunRequest(
            "tgan,freezed,bsa", ("ink",), str(suite), out=tmp_path / out, **options
        )
        return make_plan(replace(request, allow_weak_classifier=True))

    there = plan("slurm", executor=f"slurm:{profile}", pack=2, retries=0)
    _, array = map(told, there.describe())
    assert "3 cell(s) in 2 job(s): sbatch --array=0-1%2 " in array
    heard = Heard()
    assert run_plan(there, heard, "there") == {}
    assert [line for line in heard if line.startswith("preparing")][-1] == "preparing ink: done"
    assert set(states().values()) == {"COMPLETED"}
    assert not list((tmp_path / "slurm" / ".submissions").glob("*"))
    assert run_plan(plan("local", jobs=cores()), Heard(), "here") == {}
    done, here = cells(tmp_path / "slurm"), cells(tmp_path / "local")
    assert done.keys() == here.keys() and len(here) == 3
    for name in here:
        assert content(done[name]) == content(here[name])


@pytest.mark.slow
@pytest.mark.cluster
def test_seven_cells_through_all_that_can_happen(
    cluster: Cluster, start: Start, profile: Path, slow: Path, hold: Path, tmp_path: Path
) -> None:
    earlier = states().keys()
    cells_asked = ("--methods", "slow", "--plugin", slow, "--seeds", "0-6", "--iterations", 60)
    there = tmp_path / "slurm", *cells_asked, "--executor", f"slurm:{profile}"
    assert "Submitted." in start(*there, "--detach").finish()
    run = start(*there)

    def log(what: str) -> None:
        told(f"[{time.strftime('%H:%M:%S')}] {what}; {states()}")

    wait_for(lambda: len(running()) == 2 and STARTING in run.said, WAIT)
    assert len(states().keys() - earlier) == 8, (
        "the preparing job and seven cells: joining submits nothing"
    )
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
    hold.unlink()

    said = run.finish(code=1)
    (named,) = re.findall(r"^(Slow seed \d) failed: its job was cancelled \(scancel\)$", said, re.M)
    assert f"{named}: failed: its job was cancelled (scancel)" in said, "as news, when it happens"
    assert "1 of 7 cell(s) failed" in said
    assert len(list(tmp_path.glob("slurm/*/*/*/*/DONE"))) == 6
    start(*there).finish()
    start(tmp_path / "local", *cells_asked, "--jobs", cores()).finish()
    here = cells(tmp_path / "local")
    assert here.keys() == cells(tmp_path / "slurm").keys() and len(here) == 7
    for name, folder in cells(tmp_path / "slurm").items():
        assert content(folder) == content(here[name])


def begun(out: Path, count: int) -> None:
    """Wait until so many cells have a first snapshot that is scored, and train."""
    wait_for(lambda: len(list(out.glob("*/*/*/*/scores.jsonl"))) >= count, WAIT)
