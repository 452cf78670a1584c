"""Kill cells in the middle, many times, and compare what comes out: ``make torture``.

A trial is one kill and the resume after it. A cell of a tiny suite runs in a real process (forked
from this one, which has torch and the task loaded; it runs what a worker of ``fsgan-bench run``
runs) and is ended by SIGKILL: at a random moment, or right before a random one of its operations on
files. Sometimes the state that it left is damaged besides. Then the same cell is started again,
until it ends by itself. Its files must equal those of a cell that was never stopped, byte for byte
but for the clock, and no score that was on disk once may be missing at any later time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

# Imported here for the forked processes.
from fsgan_bench.driver.adaptation import Adaptation  # noqa: F401
from fsgan_bench.driver.events import Failed
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import load_task
from fsgan_bench.driver.worker import Job, work
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.files import file_hash
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.locks import LOCK
from fsgan_bench.system.states import previous_state
from fsgan_bench.training.streams import Streams

SUITE = """
name = "torture"
source = "source.safetensors"
targets = ["sketches"]
probe_size = 16
reference_size = 16
classifier_size = 140
default_shots = 4
[recipe]
batch = 2
ema_half_life = 5.0
[budgets.quick]
iterations = 6
snapshots = 3
"""

CLOCK = ("seconds", "shared_seconds")
FILE_EVENTS = ("open", "os.", "shutil.", "tempfile.")
DAMAGE = ("cut", "flipped", "both")


@dataclass
class Tally:
    """What happened to the cells of a method."""

    method: str
    cells: int = 0
    trials: int = 0
    at_operations: int = 0
    damaged: int = 0
    lost: int = 0
    mismatches: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill cells at random; compare what comes out.")
    parser.add_argument("--trials", type=int, default=210, help="kills in all, at least")
    parser.add_argument("--minutes", type=float, default=30, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        jobs = prepare_jobs(Path(folder))
        enough = -(-options.trials // len(jobs))
        tallies: list[Tally] = []
        lanes = [jobs[lane :: options.jobs] for lane in range(min(options.jobs, len(jobs)))]
        started = [fork_lane(lane, options.seed, enough, deadline) for lane in lanes]
        for process, ends in started:
            tallies += [Tally(**each) for each in ends.recv()]
            os.waitpid(process, 0)
    tallies.sort(key=lambda tally: [job.cell.method for job in jobs].index(tally.method))
    total = Tally("all", *(sum(column) for column in zip(*map(numbers, tallies), strict=True)))
    show([*tallies, total])
    sys.exit(1 if total.lost or total.mismatches or total.trials < options.trials else 0)


def numbers(tally: Tally) -> list[int]:
    return [getattr(tally, field.name) for field in fields(tally)[1:]]


def show(tallies: list[Tally]) -> None:
    table = Table("method", title="Killed and resumed")
    for field in fields(Tally)[1:]:
        table.add_column(field.name.replace("_", " "), justify="right")
    for tally in tallies:
        table.add_row(tally.method, *map(str, numbers(tally)))
    Console(width=100).print(table)


def prepare_jobs(folder: Path) -> list[Job]:
    """A job for each method, on a task that is loaded in this process and all forked from it."""
    with Streams(1).initialising("networks"):
        shape = Architecture(32, 8, 2, {4: 8, 8: 8, 16: 8, 32: 4})
        networks = Generator(shape), Discriminator(shape)
    save_source(folder / "source.safetensors", *networks, {"title": "random weights"})
    (folder / "suite.toml").write_text(SUITE)
    suite, out = str(folder / "suite.toml"), folder / "results"
    plan = make_plan(
        RunRequest("all", ("sketches",), suite=suite, out=out, allow_weak_classifier=True)
    )
    task, _ = plan.cells[0]
    assert load_task(task.request) is task
    prepare(task)
    return [Job(cell, cell.folder(task.folder), task.request, (), 1) for _, cell in plan.cells]


def fork_lane(jobs: list[Job], seed: int, enough: int, deadline: float) -> tuple[int, Connection]:
    """Torture ``jobs`` in a process of their own, which sends its tallies when it is through."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = os.fork()
    if process == 0:
        with ended():
            draws = [random.Random(f"{seed}/{job.cell.method}") for job in jobs]
            pairs = zip(jobs, draws, strict=True)
            tallies = [torture(job, draw, enough, deadline) for job, draw in pairs]
            theirs.send([asdict(tally) for tally in tallies])
    theirs.close()
    return process, ours


@contextmanager
def ended() -> Iterator[None]:
    """End this (forked) process with what happens inside; nothing of its parent's is run."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def torture(job: Job, draw: random.Random, enough: int, deadline: float) -> Tally:
    """Kill the cell of ``job`` ``enough`` times or until the deadline."""
    tally = Tally(job.cell.method)
    began = time.monotonic()
    operations = run(job)
    seconds = time.monotonic() - began
    expected = contents(job)
    while tally.trials < enough and time.monotonic() < deadline:
        shutil.rmtree(job.folder)
        tally.cells += 1
        known: dict[Any, Any] = {}
        for _ in range(draw.randint(1, 4)):
            at_operation = draw.random() < 0.5
            if at_operation:
                killed = run(job, operation=draw.randint(1, operations)) < 0
            else:
                killed = run(job, seconds=draw.uniform(0, seconds)) < 0
            if killed:
                tally.trials += 1
                tally.at_operations += at_operation
            if draw.random() < 0.4:
                tally.damaged += damage(CellFiles(job.folder), draw)
            now = scores(job)
            tally.lost += sum(now.get(key) != value for key, value in known.items())
            known = now
            if not killed:
                break
        run(job)
        now = contents(job)
        tally.lost += sum(scores(job).get(key) != value for key, value in known.items())
        wrong = [name for name in expected | now if expected.get(name) != now.get(name)]
        tally.mismatches += bool(wrong)
        for name in wrong:
            Console(stderr=True).print(f"{job.cell.method}: {name} differs", highlight=False)
    return tally


def run(job: Job, seconds: float | None = None, operation: int | None = None) -> int:
    """Run a cell in a process, to its end or until it is killed.

    Args:
        job: the cell.
        seconds: when to kill it.
        operation: before which of its operations on files to kill it.

    Returns:
        The number of its operations on files, or -1 if it was killed.
    """
    events, theirs = multiprocessing.Pipe(duplex=False)
    counted, count = multiprocessing.Pipe(duplex=False)
    lane = os.getpid()
    process = os.fork()
    if process == 0:
        with ended():
            done = count_operations(job.folder, operation)
            work(job, theirs, lane)
            count.send(done[0])
    for end in (theirs, count):
        end.close()
    if seconds is not None:
        counted.poll(seconds)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    said = list(received(events))
    failed = [event.reason for event in said if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(f"{job.cell.method} failed: {failed[0]}")
    return -1 if os.WIFSIGNALED(status) else int(counted.recv())


def received(events: Connection) -> Iterator[Any]:
    try:
        while events.poll():
            yield events.recv()
    except EOFError:
        return


def count_operations(folder: Path, fatal: int | None) -> list[int]:
    """Count this process's operations on files below ``folder``; die before the ``fatal``-th."""
    done = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FILE_EVENTS) and str(folder) in str(arguments):
            done[0] += 1
            if done[0] == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return done


def damage(files: CellFiles, draw: random.Random) -> int:
    """Damage the newest state, or it and the one before; 1 if there was one."""
    how = draw.choice(DAMAGE)
    for state in (files.state, previous_state(files.state))[: 2 if how == "both" else 1]:
        if not state.exists():
            return 0
        content = bytearray(state.read_bytes())
        place = draw.randrange(len(content))
        if how == "cut":
            del content[place:]
        else:
            content[place] ^= 1 << draw.randrange(8)
        state.write_bytes(content)
    return 1


def scores(job: Job) -> dict[Any, Any]:
    lines = map(timeless, read_lines(CellFiles(job.folder).scores))
    return {(line["iteration"], line["metric"]): line for line in lines}


def contents(job: Job) -> dict[str, Any]:
    """What a finished cell holds, without the clock: the content of each file by its name."""
    found: dict[str, Any] = {}
    files = CellFiles(job.folder)
    for path in sorted(job.folder.rglob("*")):
        name = path.relative_to(job.folder).as_posix()
        if path.suffix == ".jsonl":
            found[name] = [timeless(line) for line in read_lines(path)]
        elif path.is_file() and path not in (files.timing, files.manifest):
            found[name] = path.read_bytes()
    for name in (files.notes.name, LOCK):
        found.pop(name, None)
    manifest = files.read_manifest()
    assert manifest is not None
    sums = manifest.sha256
    found["sums"] = {name: file_hash(job.folder / name) == value for name, value in sums.items()}
    return found


def timeless(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in CLOCK}


if __name__ == "__main__":
    # One thread: tiny networks are slower on several, and a process with threads cannot be forked.
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
