"""What a cell says of its training is what its session trains, averages, stores and looks at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fsgan_bench.driver.adaptation import Adaptation
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.strips import save_strip
from fsgan_bench.driver.task import Task
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.stylegan2.checkpoint import load_source, save_source
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.training.method import Method
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams


class Watched(Method):
    """Plain fine-tuning that lets its session be looked at."""

    session: Session

    def setup(self, session: Session) -> None:
        self.session = session


@pytest.fixture
def planned(suite: Path, tmp_path: Path) -> tuple[Task, Cell]:
    """A cell in which nothing is at its default, of a source with another raw generator."""
    source = load_source(suite.with_name("source.safetensors"))
    with Streams(2).initialising("networks"):
        raw = Generator(source.generator.architecture)
    save_source(tmp_path / "source.safetensors", *source.pair, {}, raw)
    text = suite.read_text().replace("[recipe]", "[recipe]\nstart_from_average = false")
    (tmp_path / "suite.toml").write_text(text)
    request = RunRequest(
        "tgan",
        ("sketches",),
        suite=str(tmp_path / "suite.toml"),
        seeds=(1,),
        precision="bf16",
        out=tmp_path / "results",
        allow_weak_classifier=True,
    )
    return make_plan(request).cells[0]


def same(stored: dict[str, torch.Tensor], module: nn.Module) -> bool:
    ours = module.state_dict()
    assert stored.keys() == ours.keys()
    return all(torch.equal(value, ours[name].cpu()) for name, value in stored.items())


def test_a_cell_trains_as_it_says(planned: tuple[Task, Cell], tmp_path: Path) -> None:
    task, cell = planned
    method = Watched()
    Adaptation(cell, task, method, lambda news: None).run()
    session, files = method.session, CellFiles(cell.folder(task.folder))

    assert session.streams.seed == cell.seed == 1
    assert session.numerics == cell.numerics == Numerics("bf16")
    assert session.recipe == cell.recipe and not cell.recipe.start_from_average
    raw, average = task.source.raw.state_dict(), task.source.generator
    assert same(raw, session.source_generator) and not same(raw, average)

    first, last = (read_tensors(files.snapshot(each))[0] for each in (0, cell.iterations))
    assert same(first, nn.ModuleDict({"generator": average}))
    assert same(last, session.averaged) and not same(last, session.generator_side)
    drawn = task.probe.generate(method, dict(session.averaged.items()))
    save_strip(drawn, tmp_path / "strip.png")
    assert files.grid(cell.iterations).read_bytes() == (tmp_path / "strip.png").read_bytes()
