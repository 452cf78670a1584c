"""Pretraining in stages, for drawings whose attributes are known.

The latent space of such a source is built, not found: its coordinates stand for attributes because
they were told to. First the synthesis network learns to draw from attribute values, coarsely and in
full; then a discriminator learns to look, the mapping network learns which ``z`` stands for whom,
and at last both networks train against each other, until nothing but StyleGAN2's losses is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fsgan_bench.data.avatars import draw
from fsgan_bench.data.images import Images, save_grid
from fsgan_bench.driver.pretraining.balancing import BalancingConfig, BalancingStage
from fsgan_bench.driver.pretraining.card import (
    MOMENTS,
    Standard,
    save_adaptation,
    save_comparison,
)
from fsgan_bench.driver.pretraining.drawing import DrawingConfig, DrawingStage
from fsgan_bench.driver.pretraining.mapping import MappingConfig, MappingStage
from fsgan_bench.driver.pretraining.reading import ReadingConfig, ReadingStage
from fsgan_bench.driver.pretraining.runs import (
    Say,
    progress_line,
    recover_run,
    run_card,
    sample_images,
)
from fsgan_bench.driver.pretraining.stage import HandedOn, Lesson, Stage
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.suites.model import AVATARS
from fsgan_bench.system.files import write_json
from fsgan_bench.system.provenance import commit
from fsgan_bench.system.states import save_state
from fsgan_bench.training.streams import Streams

SAVE_EVERY_SECONDS = 120.0
SAY_EVERY_SECONDS = 30.0
ORIGIN = (
    "Built, not found: the synthesis network was taught to draw from known attributes, and the "
    "mapping network to read them off z; adversarial training came last."
)


@dataclass(frozen=True)
class StagedConfig:
    """What decides a pretraining in stages, in their order.

    Attributes:
        architecture: shape of the pair.
        coarse, drawing: learning to draw, at half of the resolution and at all of it.
        reading: the discriminator's first lessons.
        mapping: from z to w.
        balancing: adversarial training, with the lessons beside it until they fade.
        seed: seed of the initial weights and of every draw.
        evaluations: sample grids and Frechet distances a stage.
        samples: generated images for the Frechet distance.
    """

    architecture: Architecture
    coarse: DrawingConfig
    drawing: DrawingConfig
    reading: ReadingConfig
    mapping: MappingConfig
    balancing: BalancingConfig
    seed: int = 0
    evaluations: int = 10
    samples: int = 2000


STAGES: dict[str, Any] = {
    "coarse": DrawingStage,
    "drawing": DrawingStage,
    "reading": ReadingStage,
    "mapping": MappingStage,
    "balancing": BalancingStage,
}
"""The stages by name, in the order in which they run; their configs are fields of StagedConfig."""


def pretrain_in_stages(
    lesson: Lesson,
    held_out: Images,
    config: StagedConfig,
    out: Path,
    *,
    others: Images | None = None,
    target: str = "sketches",
    moments: Sequence[int] = MOMENTS,
    device: str = "cpu",
    say: Say = print,
) -> Path:
    """Train a pair on drawings with known attributes.

    A run that was interrupted continues from ``out/state.pt`` to the same weights, bit for bit.

    Args:
        lesson: training images and the values of their attributes.
        held_out: images that are not trained on, uint8 [M, R, R, 3].
        config: all hyperparameters.
        out: folder for ``state.pt``, ``grids/``, ``source.safetensors`` with ``source.json``, its
            card, ``source.png``, its images beside real ones, and ``adaptation.png``, what plain
            fine-tuning makes of it.
        others: more images that are not trained on, for what real images score.
        target: domain that the adaptation in the card goes to.
        moments: its iterations at which the picture is taken.
        device: ``cpu`` or ``cuda``.
        say: receives progress lines.

    Returns:
        Path of the pair.

    Raises:
        UserError: ``out`` holds a run with another config or other images.
    """
    run = _Run(lesson, held_out, config, out, others, device, say)
    for stage in run.stages():
        run.carry_out(stage)
    run.save_card()
    few_shot = draw(target, 0, 10, config.architecture.resolution)
    say(f"adapting to {target} for the card")
    picture = out / "adaptation.png"
    save_adaptation(
        picture, *run.pair(), few_shot, recipe=AVATARS.recipe, moments=moments, device=device
    )
    return run.path


class _Run:
    """The state of a pretraining between its stages."""

    def __init__(
        self,
        lesson: Lesson,
        held_out: Images,
        config: StagedConfig,
        out: Path,
        others: Images | None,
        device: str,
        say: Say,
    ) -> None:
        self.lesson, self.held_out, self.config, self.out = lesson, held_out, config, out
        self.device, self.say = device, say
        self.path = out / "source.safetensors"
        self.standard = Standard(held_out, others)
        self.card = run_card(
            asdict(config),
            lesson.images,
            held_out,
            origin=ORIGIN,
            attributes={a.name: len(a.values) for a in lesson.attributes},
        )
        self.weights: HandedOn = {}
        self.done: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None
        if state := recover_run(out, self.card["fingerprint"], say):
            self.weights, self.done = state["weights"], state["done"]
            self.records, self.state = state["records"], state["stage"]

    def stages(self) -> Iterator[Stage]:
        """The stages that are left, each made from what the ones before handed on."""
        for name, kind in STAGES.items():
            if name in self.done:
                continue
            streams = Streams(self.config.seed)
            stage: Stage = kind(
                name, getattr(self.config, name), self.lesson, self.weights, streams, self.device
            )
            if self.state is not None:
                stage.load_state_dict(self.state)
                self.say(f"continuing at {name} {stage.iteration}")
                self.state = None
            yield stage

    def carry_out(self, stage: Stage) -> None:
        """Take a stage to its end."""
        began = saved = said = time.monotonic()
        first = stage.iteration
        period = max(1, stage.iterations // self.config.evaluations)
        while stage.iteration < stage.iterations:
            losses = stage.step()
            stage.iteration += 1
            done = stage.iteration
            now = time.monotonic()
            if done % period == 0 or done == stage.iterations:
                self.evaluate(stage, losses)
            if now - said > SAY_EVERY_SECONDS:
                said = now
                pace = (now - began) / (done - first)
                self.say(progress_line(stage.name, done, stage.iterations, pace, losses))
            if now - saved > SAVE_EVERY_SECONDS:
                saved = now
                self.save(stage)
        self.weights = {**self.weights, **stage.hand_on()}
        self.done.append(stage.name)
        self.save(None)

    def evaluate(self, stage: Stage, losses: dict[str, float]) -> None:
        fakes = stage.sample(self.config.samples)
        record: dict[str, Any] = {"stage": stage.name, "iteration": stage.iteration} | losses
        if fakes.shape == (len(fakes), *self.held_out.shape[1:]):
            record["fd_lite0"] = self.standard.distance(fakes)
        self.records.append(record)
        terms = "  ".join(f"{k} {v:.3f}" for k, v in record.items() if isinstance(v, float))
        self.say(f"{stage.name} {stage.iteration}: {terms}")
        save_grid(fakes[:64], self.out / "grids" / f"{stage.name}-{stage.iteration:06d}.png", 8)
        if stage.name == "balancing":
            self.save_pair({**self.weights, **stage.hand_on()}, record)

    def save(self, stage: Stage | None) -> None:
        """Save where the run is: in a stage, or between two."""
        save_state(
            self.out / "state.pt",
            {
                "fingerprint": self.card["fingerprint"],
                "weights": dict(self.weights),
                "done": self.done,
                "records": self.records,
                "stage": None if stage is None else stage.state_dict(),
            },
        )

    def pair(self, weights: HandedOn | None = None) -> tuple[Generator, Discriminator]:
        """The pair with these weights, or with those that the last stage handed on."""
        weights = self.weights if weights is None else weights
        generator = Generator(self.config.architecture)
        discriminator = Discriminator(self.config.architecture)
        generator.load_state_dict(weights["generator"])
        discriminator.load_state_dict(weights["discriminator"])
        return generator, discriminator

    def save_pair(self, weights: HandedOn, scores: dict[str, Any]) -> None:
        """Save a pair with what is known of it in its header."""
        save_source(self.path, *self.pair(weights), self.card | scores | {"commit": commit()})

    def save_card(self) -> None:
        """Score what the run ended with, and save it with its card and its picture."""
        generator, _ = self.pair()
        z = torch.randn(
            len(self.held_out),
            self.config.architecture.style_dim,
            generator=Streams(self.config.seed)["card"],
        )
        fakes = sample_images(lambda part: generator(part).image, z)
        scores = self.standard.scores(fakes)
        self.save_pair(self.weights, scores)
        card = self.card | scores | {"commit": commit(), "history": self.records}
        write_json(self.path.with_suffix(".json"), card)
        save_comparison(fakes, self.held_out, self.path.with_suffix(".png"))
