"""The simulator against a real SLURM of two nodes: six cells, three after another on each.

``python -m benchmarks.throughput.measured``, as root where SLURM is installed
(``tests/cluster/install_slurm.sh``). The simulator is given what jobs need beside their cells and
what each cell took; it has to say when the last one ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from tests.cluster.conftest import PROFILE, write_suite
from tests.cluster.slurm_cluster import Cluster, why_not

from .simulate import Cell, World, simulate

NEVER = float("inf")


def jobs() -> Iterator[tuple[str, datetime, datetime]]:
    """Number, start and end of all jobs that the controller knows."""
    command = ["squeue", "-h", "-r", "-t", "all", "-o", "%i|%S|%e"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        number, start, end = line.split("|")
        yield number, datetime.fromisoformat(start), datetime.fromisoformat(end)


def study(folder: Path) -> None:
    """Six cells through SLURM, each job on a node of its own."""
    profile = folder / "two-nodes.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    command = [sys.executable, "-m", "fsgan_bench", "run", "--allow-weak-classifier"]
    where = ["--suite", str(write_suite(folder)), "--target", "sketches", "--out", f"{folder}/out"]
    cells = ["--methods", "tgan,freezed", "--seeds", "0-2", "--iterations", "30"]
    subprocess.run([*command, *where, *cells, "--executor", f"slurm:{profile}"], check=True)


def main() -> None:
    if reason := why_not():
        raise SystemExit(f"no SLURM here: {reason}")
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as name:
        cluster = Cluster(Path(name) / "c")
        cluster.folder.mkdir()
        cluster.start()
        try:
            study(Path(name))
            seen = list(jobs())
        finally:
            cluster.stop()
        timings = [
            json.loads(file.read_text(encoding="utf-8"))
            for file in Path(name).glob("out/*/*/*/*/timing.json")
        ]
    (preparing,) = [end - start for job, start, end in seen if "_" not in job]
    arrays = [(start, end) for job, start, end in seen if "_" in job]
    lasting = [(end - start).total_seconds() for start, end in sorted(arrays)]
    whole = max(end for *_, end in seen) - min(start for _, start, _ in seen)
    computing = sum(sum(timing.values()) for timing in timings)
    start = (sum(lasting) - computing) / len(lasting)
    world = World(
        start=start,
        preparing=max(0.0, preparing.total_seconds() - start),
        dispatch=0.0,
        state=0.0,
        failure_hours=NEVER,
    )
    simulated = simulate([Cell(0, seconds - start) for seconds in lasting], 2, world)
    click.echo(f"{len(lasting)} cells, {computing:.0f} s of training and scoring")
    click.echo(
        f"a job beside its cell: {start:.0f} s; preparing: {preparing.total_seconds():.0f} s"
    )
    click.echo(f"until the last one ends: measured {whole.total_seconds():.0f} s")
    click.echo(f"simulated {simulated.makespan:.0f} s")


if __name__ == "__main__":
    main()
