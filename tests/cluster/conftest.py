"""Real engines on this host, and a suite small enough to run on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

from .slurm_cluster import Cluster, why_not

SUITE = """
name = "tiny"
source = "source.safetensors"
targets = ["sketches", "ink"]
probe_size = 40
reference_size = 40
classifier_size = 140
default_shots = 4
[recipe]
batch = 2
ema_half_life = 5.0
[budgets.quick]
iterations = 6
snapshots = 3
"""

PROFILE = """
cpus = 1
gpus = 1
time = "0:20:00"
poll_seconds = 0.5
"""

SLOW = '''
"""Plain fine-tuning that takes its time while a file is there, so that something can happen."""
import time
from pathlib import Path
from fsgan_bench import Method

HOLD = Path({hold!r})


class Slow(Method):
    name, title, version, paper = "slow", "Slow", "1", "nobody 2026"

    def generator_loss(self, session):
        if HOLD.exists():
            time.sleep(2)
        return super().generator_loss(session)
'''

WAIT = 3600
"""Seconds, for machines that do other work."""


def write_suite(folder: Path) -> Path:
    """The file of a suite whose networks are tiny and untrained."""
    with Streams(1).initialising("networks"):
        shape = Architecture(32, 8, 2, {4: 8, 8: 8, 16: 8, 32: 4})
        networks = Generator(shape), Discriminator(shape)
    save_source(folder / "source.safetensors", *networks, {"title": "random weights"})
    (folder / "suite.toml").write_text(SUITE)
    return folder / "suite.toml"


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "two-nodes.toml"
    path.write_text(PROFILE)
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A SLURM for the session; whoever runs the tests is told why there is none."""
    if reason := why_not():
        pytest.skip(f"no SLURM here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Run:
    """A run in a process of its own, and the file with what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def finish(self, code: int = 0) -> str:
        """Wait for its end; what it said."""
        self.process.wait(WAIT)
        assert self.process.returncode == code, self.said
        return told(self.said)


Start = Callable[..., Run]


@pytest.fixture
def start(suite: Path, image_cache: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts ``fsgan-bench run`` on the suite, in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def run(out: Path, *arguments: object) -> Run:
        command = [sys.executable, "-m", "fsgan_bench", "run", "--allow-weak-classifier"]
        options = ("--suite", suite, "--target", "sketches", "--out", out, *arguments)
        log = tmp_path / f"said-{len(started)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, *map(str, options)],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "200"},
            )
        started.append(process)
        return Run(process, log)

    yield run
    for process in started:
        process.kill()


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """A file: while it is there, the iterations of ``slow`` take two seconds each."""
    path = tmp_path / "hold"
    path.touch()
    return path


@pytest.fixture
def slow(tmp_path: Path, hold: Path) -> Path:
    """A plugin file with a method whose cells last as long as ``hold`` is there."""
    path = tmp_path / "slow.py"
    path.write_text(SLOW.format(hold=str(hold)))
    return path


def told(text: str) -> str:
    """Print what a run said, for who reads the log of the test; then give it back."""
    sys.stdout.write(f"{text}\n")
    return text


def cells(out: Path) -> dict[str, Path]:
    """The folders of all cells, by what they are called below the root."""
    found = sorted(path.parent for path in out.glob("*/*/*/*/cell.json"))
    return {str(path.relative_to(out)): path for path in found}


def content(cell: Path) -> dict[str, object]:
    """Everything in a finished cell's folder that must not depend on where it was carried out."""
    files: dict[str, object] = {
        str(path.relative_to(cell)): path.read_bytes()
        for path in sorted(cell.rglob("*"))
        if path.is_file() and path.name not in ("timing.json", "manifest.json", ".lock")
    }
    took = {"seconds": None, "shared_seconds": None}
    for name in ("train.jsonl", "scores.jsonl"):
        lines = (cell / name).read_text().splitlines()
        files[name] = [json.loads(line) | took for line in lines]
    return files
