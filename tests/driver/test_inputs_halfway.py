"""Inputs that change while a run is under way fail the cells that need them, and those alone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsgan_bench.driver.events import Done, Event, Failed
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import load_task
from fsgan_bench.driver.worker import Job, work
from fsgan_bench.results.layout import CellFiles

SUITE = """
name = "files"
base = "paper"
source = "source.safetensors"
lpips_backbone = "lite0"
frechet_backbone = "lite0"
probe_size = 16
frechet_samples = 16
[targets.blobs]
few_shot = "blobs"
[recipe]
batch = 2
start_from_average = true
[budgets.paper]
iterations = 2
snapshots = 2
"""


@pytest.fixture
def jobs(suite: Path, tmp_path: Path) -> list[Job]:
    """Two cells on four images from a folder."""
    shutil.copy(suite.parent / "source.safetensors", tmp_path)
    (tmp_path / "files.toml").write_text(SUITE)
    (tmp_path / "blobs").mkdir()
    draw = np.random.default_rng(0)
    for number in range(4):
        coarse = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((32, 32))
        image.save(tmp_path / "blobs" / f"{number}.png")
    file, out = str(tmp_path / "files.toml"), tmp_path / "results"
    plan = make_plan(RunRequest("tgan,bsa", ("blobs",), suite=file, out=out, shots=4))
    return [Job(cell, cell.folder(task.folder), task.request, (), 1) for task, cell in plan.cells]


def last_event(job: Job) -> Event:
    """What comes of a job, as a fresh worker carries it out."""
    load_task.cache_clear()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    work(job, theirs, os.getppid())
    event: Event = ours.recv()
    while not event.last:
        event = ours.recv()
    return event


def test_an_image_that_becomes_unreadable(jobs: list[Job], tmp_path: Path) -> None:
    tgan, bsa = jobs
    assert isinstance(last_event(tgan), Done)
    image = tmp_path / "blobs" / "2.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    event = last_event(bsa)
    assert isinstance(event, Failed)
    assert "2.png" in event.reason
    files = CellFiles(bsa.folder)
    assert files.failed.read_text().startswith(event.reason)
    assert CellFiles(tgan.folder).done.exists() and not files.done.exists()
    image.write_bytes(whole)
    assert isinstance(last_event(bsa), Done)
    assert not files.failed.exists()


def test_an_image_that_becomes_another(jobs: list[Job], tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "blobs" / "2.png")
    event = last_event(jobs[0])
    assert isinstance(event, Failed)
    assert event.reason == (
        "The few-shot set has changed since the run was planned; start it anew."
    )
    assert not CellFiles(jobs[0].folder).scores.exists()
