"""A suite small enough to run whole: a 32x32 source with random weights, 40 probe latents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

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

BROKEN_PLUGIN = '''
"""A method that fails in the middle."""
import torch
from fsgan_bench.training.method import Method


class Broken(Method):
    name, title, version, paper = "broken", "Broken", "1", "nobody 2026"

    def generator_loss(self, session):
        if session.iteration == 3:
            return {"adversarial": torch.tensor(float("nan"))}
        return super().generator_loss(session)
'''

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    with Streams(1).initialising("networks"):
        shape = Architecture(32, 8, 2, {4: 8, 8: 8, 16: 8, 32: 4})
        networks = Generator(shape), Discriminator(shape)
    save_source(folder / "source.safetensors", *networks, {"title": "random weights"})
    (folder / "suite.toml").write_text(SUITE)
    return folder / "suite.toml"


@pytest.fixture(scope="session")
def adapted(suite: Path, image_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task folder of finished cells of CDC and MineGAN; not to be written to."""
    from fsgan_bench.driver.adaptation import Adaptation
    from fsgan_bench.driver.plan import RunRequest, make_plan
    from fsgan_bench.driver.preparation import prepare

    out = tmp_path_factory.mktemp("adapted")
    request = RunRequest(
        "cdc,minegan",
        ("sketches",),
        suite=str(suite),
        out=out,
        allow_weak_classifier=True,
    )
    plan = make_plan(request)
    (task,) = plan.tasks
    prepare(task)
    for _, cell in plan.cells:
        method = plan.methods[cell.method]
        config = method.Config(**cell.config)
        Adaptation(cell, task, method(config), lambda news: None).run()
    return task.folder


@pytest.fixture(scope="session")
def broken_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugins") / "broken.py"
    path.write_text(BROKEN_PLUGIN)
    return path


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-m", "fsgan_bench"]


SERVER = """
import json
import os
import signal
import sys

import sklearn.linear_model
import timm

import fsgan_bench.driver.adaptation
import fsgan_bench.figures.drawing
import fsgan_bench.cli.printing
import fsgan_bench.report.page
import fsgan_bench.driver.run
from fsgan_bench.cli.main import main

for line in sys.stdin:
    process = os.fork()
    if process == 0:
        arguments, *files = json.loads(line)
        for number, file in enumerate(files):
            os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
        signal.alarm(300)
        main(arguments, prog_name="python -m fsgan_bench")
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.fixture(scope="session")
def fsgan_bench(image_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Runs the command line to its end, in a process of its own.

    That is forked from one which has imported what a run imports, or each would take seconds more.
    """
    folder = tmp_path_factory.mktemp("output")
    files = [Path(os.devnull), folder / "stdout", folder / "stderr"]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    questions, answers = server.stdin, server.stdout

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        for file in files[1:]:
            file.write_bytes(b"")
        words = [str(argument) for argument in arguments]
        questions.write(json.dumps([words, *map(str, files)]) + "\n")
        questions.flush()
        code = int(answers.readline())
        said = [file.read_text(encoding="utf-8") for file in files[1:]]
        return subprocess.CompletedProcess(words, code, *said)

    yield run
    questions.close()
    server.wait(60)
