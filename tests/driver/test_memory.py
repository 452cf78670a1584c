"""The rehearsal that predicts memory, against the real thing."""

from __future__ import annotations

import io
import mmap
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.filesize import decimal
from torch import Tensor, nn

from fsgan_bench.cli.printing import show_plan
from fsgan_bench.driver import memory
from fsgan_bench.driver.memory import Footprint, LiveBytes, needs, rehearse
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.cell import Cell
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.machine import free_memory, peak_resident, resident
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

RECIPE = Recipe(batch=8, r1_every=2, path_length_every=3)
SHAPE = Architecture(32, 16, 2, {4: 16, 8: 16, 16: 16, 32: 8})


def make_cell(name: str, config: Any, numerics: Numerics | None = None) -> Cell:
    return Cell(
        *("suite", "target", 4, name, name, "nobody", "1", None, asdict(config), 0, 9, (0, 9)),
        *(RECIPE, "", "", numerics or Numerics()),
    )


def real_peak(method: Method, numerics: Numerics) -> int:
    """Bytes alive at the peak of a real iteration 6 (of both regularisers) of ``method``."""
    live = LiveBytes()
    with live:
        session = Session(
            method,
            Generator(SHAPE),
            Discriminator(SHAPE),
            np.zeros((4, 32, 32, 3), dtype=np.uint8),
            recipe=RECIPE,
            seed=0,
            iterations=9,
            numerics=numerics,
        )
        session.prepare()
        method.step(session)
        session.iteration = 6
        live.peak = live.now
        method.step(session)
        return live.peak


def test_bytes_are_counted_while_tensors_live() -> None:
    with LiveBytes() as live:
        first = torch.empty(1000)
        second = first[10:].t()
        assert live.now == 4000
        third = first * 2
        del first
        assert live.now == 8000
        del second, third
        assert live.now == 0 and live.peak == 8000


@pytest.mark.parametrize(
    ("name", "numerics"),
    [("tgan", Numerics()), ("ewc", Numerics("bf16")), ("dcl", Numerics())],
    ids=lambda value: getattr(value, "precision", value),
)
def test_the_rehearsal_lives_as_the_real_thing(name: str, numerics: Numerics) -> None:
    method = method_entries()[name].load()
    config = build_config(method, {**method.tiny, **method.shortened})
    seen = rehearse(make_cell(name, config, numerics), method, SHAPE, 10)
    assert seen.own
    assert seen.training == pytest.approx(real_peak(method(config), numerics), rel=0.05)
    assert 0 < seen.kept < min(seen.training, seen.sampling)


@pytest.mark.parametrize("name", ["bsa", "dcl", "minegan"])
def test_shapes_looked_up_are_those_worked_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_entries()[name].load()
    cell = make_cell(name, build_config(method, {**method.tiny, **method.shortened}))
    looked_up = [rehearse(cell, method, SHAPE, 10) for _ in range(2)]
    monkeypatch.setattr(memory, "evaluate", lambda func, args, kwargs: func(*args, **kwargs))
    assert looked_up == [rehearse(cell, method, SHAPE, 10)] * 2


def test_a_look_up_makes_what_the_operation_does_and_no_more() -> None:
    first, second = (torch.zeros(4, 6, device="meta") for _ in range(2))
    for _ in range(2):
        with LiveBytes() as live:
            product = first.t() @ second[:, :4]
            assert (product.shape, product.stride(), live.now) == ((6, 4), (4, 1), 3 * 96)
            assert first.add_(second) is first
            viewed = torch.ops.aten._unsafe_view(second, [24])
            assert viewed.shape == (24,) and live.now == 3 * 96


def test_micro_batches_and_bfloat16_take_less() -> None:
    plain = method_entries()["tgan"].load()
    peaks = [
        rehearse(make_cell("tgan", plain.Config(), numerics), plain, SHAPE, 1).training
        for numerics in (Numerics(), Numerics("bf16"), Numerics(accumulate=4))
    ]
    assert peaks[0] > peaks[1] and peaks[0] > 1.5 * peaks[2]


class Undecided(Method):
    """Looks at its data."""

    name, title, version, paper = "undecided", "Undecided", "1", "nobody 2026"

    def generator_loss(self, session: Session) -> Losses:
        session.images[session.few_shot[:, 0, 0, 0].cpu().numpy().argmax()]
        return super().generator_loss(session)


class Endless(Method):
    """Prepares for hours."""

    name, title, version, paper = "endless", "Endless", "1", "nobody 2026"

    def setup(self, session: Session) -> None:
        while True:
            session.path_length_mean = session.path_length_mean + 1


@pytest.mark.parametrize("method", [Undecided, Endless])
def test_plain_fine_tuning_stands_in(method: type[Method]) -> None:
    tgan = method_entries()["tgan"].load()
    plain = rehearse(make_cell("tgan", tgan.Config()), tgan, SHAPE, 1)
    seen = rehearse(make_cell(method.name, method.Config()), method, SHAPE, 1)
    assert plain.own and not seen.own
    assert seen.training == plain.training


class Copies(Method):
    """Samples through a hundred copies of every image."""

    name, title, version, paper = "copies", "Copies", "1", "nobody 2026"

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        return super().sample(modules, z).repeat(100, 1, 1, 1)[: len(z)]


def test_sampling_is_the_methods_own() -> None:
    footprints = [
        rehearse(make_cell(each.name, each.Config()), each, SHAPE, 50)
        for each in (Copies, method_entries()["tgan"].load())
    ]
    more = footprints[0].sampling - footprints[1].kept
    assert more > 100 * 50 * 3 * 32 * 32 * 4
    assert footprints[1].sampling < footprints[0].sampling


PROGRAM = """
from fsgan_bench.system.machine import peak_resident, prepare, resident
from fsgan_bench.driver.memory import rehearse
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.results.cell import Cell
from baselines.tgan import TGAN
import numpy as np
prepare(1)
shape = Architecture(64, 128, 4, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
recipe = Recipe(batch=32)
cell = Cell("s", "t", 10, "tgan", "TGAN", "n", "1", None, {}, 0, 1, (0, 1), recipe, "", "")
predicted = resident() + rehearse(cell, TGAN, shape, 1).training
images = np.zeros((10, 64, 64, 3), dtype=np.uint8)
networks = Generator(shape), Discriminator(shape)
session = Session(TGAN(), *networks, images, recipe=recipe, seed=0, iterations=1)
session.method.step(session)
print(predicted, peak_resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_process_needs_about_what_is_predicted() -> None:
    """The embedded suite's networks at a large batch, so that tensors outweigh libraries."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    predicted, measured = map(int, process.stdout.split())
    assert predicted == pytest.approx(measured, rel=0.3)


def test_a_known_ideal_is_counted_whatever_target_comes_first(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsals: list[str] = []

    def counted(cell: Cell, *rest: Any) -> Footprint:
        rehearsals.append(cell.target)
        return rehearse(cell, *rest)

    monkeypatch.setattr("fsgan_bench.driver.memory.rehearse", counted)
    for targets in (("sketches", "ink"), ("ink", "sketches")):
        rehearsals.clear()
        plan = make_plan(RunRequest("tgan", targets, str(suite), out=tmp_path))
        found = needs(plan.to_run, plan.methods, "cpu")
        by_target = {
            cell.target: n.scoring for (_, cell), n in zip(plan.to_run, found, strict=True)
        }
        assert by_target["sketches"] > by_target["ink"]
        assert rehearsals == [targets[0]], "a training is the same for every target"


def test_a_plan_says_what_it_needs_and_warns(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest("tgan", ("sketches",), str(suite), out=tmp_path, jobs=1)
    plan = make_plan(request)
    (need,) = needs(plan.to_run, plan.methods, "cpu")
    assert need.own and need.peak >= need.training > resident() / 2
    for free, warns in ((need.peak // 2, True), (need.peak * 2, False)):
        monkeypatch.setattr(
            "fsgan_bench.system.machine.free_memory", lambda _device, free=free: free
        )
        console = Console(file=io.StringIO(), width=200)
        show_plan(plan, "", console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert f"{decimal(free)} free." in text and "to train a cell, " in text
        assert ("the memory does not suffice" in text) == warns


def test_a_plan_names_what_small_micro_batches_change(suite: Path, tmp_path: Path) -> None:
    request = RunRequest("tgan", ("sketches",), str(suite), out=tmp_path, accumulate=2)
    console = Console(file=io.StringIO(), width=200)
    show_plan(make_plan(request), "", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "minibatch standard deviation is over 1 image(s) instead of 2" in text


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_machine_says_what_it_has() -> None:
    free = free_memory("cpu")
    assert free is not None and 2**20 < free < 2**50
    held = resident()
    # Not from malloc, which may have as much in hand.
    with mmap.mmap(-1, 2**29) as ballast:
        np.frombuffer(ballast, np.uint8)[:] = 1
        assert resident() - held == pytest.approx(2**29, rel=0.2)
    assert peak_resident() - resident() > 2**28
