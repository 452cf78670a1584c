from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fsgan_bench.data.attributes import ABSENT, attribute_table, attributes_of
from fsgan_bench.data.avatars import DOMAINS, draw
from fsgan_bench.driver.pretraining.balancing import BalancingConfig
from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.driver.pretraining.drawing import DrawingConfig, DrawingStage, shrink
from fsgan_bench.driver.pretraining.mapping import MappingConfig, MappingStage
from fsgan_bench.driver.pretraining.reading import ReadingConfig, ReadingStage, spoil
from fsgan_bench.driver.pretraining.stage import Lesson, render
from fsgan_bench.driver.pretraining.staged import STAGES, StagedConfig, pretrain_in_stages
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import load_source
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.stylegan2.ops import MinibatchStddev
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.states import load_state
from fsgan_bench.training.streams import Streams

FACES = DOMAINS["faces"]
ATTRIBUTES = attributes_of(FACES)
SHAPE = Architecture(32, 32, 2, {4: 8, 8: 8, 16: 8, 32: 4})
BALANCING = BalancingConfig(4, warm_up=1, fade=(0.3, 0.7))
CONFIG = StagedConfig(
    SHAPE,
    coarse=DrawingConfig(2, 16, batch=2),
    drawing=DrawingConfig(3, 32, batch=2),
    reading=ReadingConfig(3, batch=2, pool=4, pool_every=2),
    mapping=MappingConfig(3, batch=8),
    balancing=replace(BALANCING, recipe=replace(BALANCING.recipe, batch=2, r1_every=2)),
    evaluations=1,
    samples=8,
)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    values = torch.from_numpy(attribute_table(FACES, 0, 16))
    return Lesson(draw(FACES, 0, 16, 32), values, ATTRIBUTES, SHAPE)


def run(lesson: Lesson, out: Path, config: StagedConfig = CONFIG, **options: Any) -> Path:
    held_out = draw(FACES, 16, 8, 32)
    quiet: dict[str, Any] = {"say": lambda line: None, "moments": (1,)}
    return pretrain_in_stages(lesson, held_out, config, out, **quiet | options)


@pytest.fixture(scope="module")
def finished(lesson: Lesson, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("staged")
    run(lesson, out, others=draw(FACES, 24, 8, 32))
    return out


def flat(state: Any) -> list[Any]:
    if isinstance(state, dict):
        return [leaf for key in state for leaf in (key, *flat(state[key]))]
    if isinstance(state, list | tuple):
        return [leaf for item in state for leaf in flat(item)]
    return [state.tolist() if isinstance(state, torch.Tensor) else state]


def test_z_decodes_to_the_values_that_it_was_drawn_for() -> None:
    values = torch.from_numpy(attribute_table(FACES, 0, 300))
    codes = Codes.from_embeddings(ATTRIBUTES, Embeddings(ATTRIBUTES, 32))
    z = codes.encode(values, 32, torch.Generator().manual_seed(0))
    assert torch.equal(codes.decode(z), values)


def test_z_of_people_is_standard_normal() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = Codes.from_embeddings(ATTRIBUTES, Embeddings(ATTRIBUTES, 32))
    people = codes.decode(torch.randn(20_000, 32, generator=generator))
    z = codes.encode(people, 32, generator)
    correlations = z.T.cov() - torch.eye(32)
    assert correlations.abs().max() < 0.05
    ordered = z.sort(dim=0).values
    normal = torch.distributions.Normal(0.0, 1.0).cdf(ordered)
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    assert (normal - uniform[:, None]).abs().max() < 0.0163  # Kolmogorov-Smirnov, p = 0.00005


def test_an_absent_value_adds_nothing_to_w() -> None:
    embeddings = Embeddings(ATTRIBUTES, 4)
    values = torch.zeros(1, len(ATTRIBUTES), dtype=torch.int64)
    absent = values.clone()
    absent[0, 5] = ABSENT
    difference = embeddings(values) - embeddings(absent)
    assert torch.allclose(difference[0], embeddings.of(5)[0])


def test_drawing_is_learnt(lesson: Lesson) -> None:
    config = DrawingConfig(25, 16, batch=2, learning_rate=0.01)
    stage = DrawingStage("coarse", config, lesson, {}, Streams(0), "cpu")
    losses = []
    for stage.iteration in range(config.iterations):
        losses.append(stage.step()["drawing"])
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_larger_generator_starts_from_the_smaller_ones_picture(lesson: Lesson) -> None:
    small = DrawingStage("coarse", CONFIG.coarse, lesson, {}, Streams(0), "cpu")
    large = DrawingStage("drawing", CONFIG.drawing, lesson, small.hand_on(), Streams(0), "cpu")
    coarse, fine = small.sample(4), shrink(large.sample(4), 16)
    assert abs(coarse[:, 2:-2, 2:-2].astype(int) - fine[:, 2:-2, 2:-2]).mean() < 12


def test_a_mapping_that_is_too_small_to_be_written_is_learnt(lesson: Lesson) -> None:
    drawn = DrawingStage("drawing", CONFIG.drawing, lesson, {}, Streams(0), "cpu").hand_on()
    config = MappingConfig(60, batch=64)
    stage = MappingStage("mapping", config, lesson, drawn, Streams(0), "cpu")
    unexplained = []
    for stage.iteration in range(config.iterations):
        unexplained.append(stage.step()["unexplained"])
    assert min(unexplained) < 0.9 * unexplained[0]


def test_a_mapping_is_written_down(lesson: Lesson) -> None:
    shape = replace(SHAPE, style_dim=256, mapping_layers=4)
    lesson = replace(lesson, architecture=shape)
    drawn = DrawingStage("drawing", CONFIG.drawing, lesson, {}, Streams(0), "cpu").hand_on()
    stage = MappingStage("mapping", CONFIG.mapping, lesson, drawn, Streams(0), "cpu")
    z = torch.randn(2000, 256, generator=torch.Generator().manual_seed(2))
    w = stage.embeddings(stage.codes.decode(z))
    with torch.no_grad():
        mapped = stage.generator.mapping(z)
        error = mapped / stage.scale - stage.offset - w
        unwritten = Generator(shape)
        unwritten.load_state_dict(drawn["generator"])
        expected = render(unwritten, w[:8])
        drawing = render(stage.generator, (w[:8] + stage.offset) * stage.scale)
    assert error.square().mean() < 0.2 * w.var()
    assert float(mapped.square().mean().sqrt()) == pytest.approx(0.5, rel=0.1)
    assert torch.allclose(drawing, expected, atol=1e-3)


def test_reading_is_learnt(lesson: Lesson) -> None:
    drawn = DrawingStage("drawing", CONFIG.drawing, lesson, {}, Streams(0), "cpu").hand_on()
    config = replace(CONFIG.reading, iterations=25, batch=4, pool_every=100, learning_rate=0.01)
    stage = ReadingStage("reading", config, lesson, drawn, Streams(0), "cpu")
    losses = []
    for stage.iteration in range(config.iterations):
        losses.append(stage.step()["reading"])
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_real_images_and_fakes_are_never_compared_in_one_batch(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adaptation passes them apart: minibatch deviation must have seen such batches alone."""
    sizes: set[int] = set()
    seen = MinibatchStddev.forward

    def noted(self: MinibatchStddev, x: torch.Tensor) -> torch.Tensor:
        sizes.add(len(x))
        return seen(self, x)

    monkeypatch.setattr(MinibatchStddev, "forward", noted)
    recipe = replace(CONFIG.balancing.recipe, batch=3)
    threes = replace(
        CONFIG,
        reading=replace(CONFIG.reading, batch=3),
        balancing=replace(CONFIG.balancing, recipe=recipe),
    )
    run(lesson, tmp_path / "out", threes)
    assert 3 in sizes and 6 not in sizes


def test_spoilt_images_are_others_in_the_same_range(lesson: Lesson) -> None:
    images = torch.from_numpy(lesson.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    spoilt = spoil(images, torch.Generator().manual_seed(0))
    assert spoilt.shape == images.shape and spoilt.abs().max() <= 1
    assert ((spoilt - images).abs().mean(dim=(1, 2, 3)) > 0.005).all()


def test_what_is_left_behind(finished: Path) -> None:
    source = load_source(finished / "source.safetensors")
    assert source.pair[0].architecture == SHAPE
    card = json.loads((finished / "source.json").read_text())
    assert "not found" in card["origin"]
    assert {name: card[name] for name in source.card} == source.card
    for scores in card["model"], card["real_images"]:
        assert list(scores) == ["fd_lite0", "precision", "recall", "density", "coverage"]
    assert [record["stage"] for record in card["history"]] == list(STAGES)
    assert {p.name for p in finished.glob("*.png")} == {"source.png", "adaptation.png"}


def test_interrupted_and_resumed_is_uninterrupted(
    lesson: Lesson, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsgan_bench.driver.pretraining.staged.SAVE_EVERY_SECONDS", 0.0)
    lines: list[str] = []
    for name, kind in STAGES.items():

        def stop(stage: Any, name: str = name, original: Any = kind.step) -> Any:
            if stage.name == name and stage.iteration == 1:
                raise KeyboardInterrupt
            return original(stage)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "step", stop)
            with pytest.raises(KeyboardInterrupt):
                run(lesson, tmp_path, say=lines.append)
    run(lesson, tmp_path, say=lines.append)
    assert [line for line in lines if line.startswith("continuing")] == [
        f"continuing at {name} 1" for name in STAGES
    ]
    assert flat(load_state(tmp_path / "state.pt")) == flat(load_state(finished / "state.pt"))
    tensors, _ = read_tensors(tmp_path / "source.safetensors")
    expected, _ = read_tensors(finished / "source.safetensors")
    assert flat(tensors) == flat(expected)


def test_another_run_is_not_continued(lesson: Lesson, finished: Path) -> None:
    with pytest.raises(UserError, match="another config"):
        run(lesson, finished, replace(CONFIG, seed=1))
