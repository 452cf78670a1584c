"""A suite small enough to run whole: a 32x32 source with random weights, 40 probe latents."""

from __future__ import annotations

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
generator_rate = 1.0
train_noise = true
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
            return {"adversarial": torch.tensor(float("nan"), device=session.device)}
        return super().generator_loss(session)
'''


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
    from fsgan_bench.driver.plan import make_plan
    from fsgan_bench.driver.preparation import prepare
    from fsgan_bench.driver.request import RunRequest

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
