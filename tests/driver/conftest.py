"""A suite small enough to run whole: a 32x32 source with random weights, 40 probe latents."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fsgan_bench.streams import Streams
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator

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
from fsgan_bench.method import Method


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
def broken_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugins") / "broken.py"
    path.write_text(BROKEN_PLUGIN)
    return path


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-m", "fsgan_bench"]


@pytest.fixture(scope="session")
def fsgan_bench(command: list[str], image_cache: Path) -> Command:
    """Runs the command line to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, timeout=300
        )

    return run
