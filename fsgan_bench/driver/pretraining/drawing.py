"""Learning to draw: a synthesis network that makes a drawing from the values of its attributes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.driver.pretraining.stage import HandedOn, Lesson, Stage, render
from fsgan_bench.features.lite0 import build_lite0
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.training.streams import Streams

STRIDES = 4
"""Of lite0's five, those that the loss compares: 2 to 16."""


class DrawingLoss:
    """L1 and ``feature_weight`` times a perceptual distance on ``lite0`` (Zhang et al. 2018).

    The latter is the squared difference of unit-length features, a mean over positions and a sum
    over the strides 2 to 16.
    """

    def __init__(self, feature_weight: float, device: str | torch.device = "cpu") -> None:
        self.feature_weight = feature_weight
        self._network = build_lite0().to(memory_format=torch.channels_last).to(device)

    def __call__(self, drawn: Tensor, wanted: Tensor) -> Tensor:
        """The loss, a scalar, of two batches [N, 3, H, W] in [-1, 1]."""
        with torch.no_grad():
            targets = self._features(wanted)
        features = self._features(drawn)
        distances = [
            (a - b).square().sum(dim=1).mean() for a, b in zip(features, targets, strict=True)
        ]
        return (drawn - wanted).abs().mean() + self.feature_weight * torch.stack(distances).sum()

    def _features(self, images: Tensor) -> list[Tensor]:
        maps = self._network.forward_intermediates(
            images.contiguous(memory_format=torch.channels_last),
            indices=list(range(STRIDES)),
            intermediates_only=True,
            stop_early=True,
        )
        return [F.normalize(m, dim=1) for m in cast(list[Tensor], maps)]


@dataclass(frozen=True)
class DrawingConfig:
    """Hyperparameters of a drawing stage.

    Attributes:
        iterations: length of the stage.
        resolution: side of the drawings that it learns; a smaller one first is quicker.
        batch: images a step.
        learning_rate: Adam's, of the synthesis network.
        embedding_rate: Adam's, of the embeddings.
        embedding_decay: decoupled weight decay of the embeddings: what no drawing shows fades.
        falling: last part of the stage, in which the rates fall to zero in a straight line.
        feature_weight: of the perceptual part of the loss.
        half_life: of the moving averages, in images.
    """

    iterations: int
    resolution: int
    batch: int = 8
    learning_rate: float = 0.004
    embedding_rate: float = 0.02
    embedding_decay: float = 0.05
    falling: float = 0.4
    feature_weight: float = 0.3
    half_life: float = 2000.0


class DrawingStage(Stage):
    """``w`` is the sum of the attributes' embeddings, and the synthesis network draws it."""

    def __init__(
        self,
        name: str,
        config: DrawingConfig,
        lesson: Lesson,
        weights: HandedOn,
        streams: Streams,
        device: str,
    ) -> None:
        super().__init__(name, config.iterations, lesson, streams, device)
        self.config = config
        whole = lesson.architecture
        sides = [side for side in whole.resolutions if side <= config.resolution]
        shape = Architecture(
            config.resolution,
            whole.style_dim,
            whole.mapping_layers,
            {side: whole.channels[side] for side in sides},
        )
        with streams.initialising(name):
            generator = Generator(shape)
            embeddings = Embeddings(lesson.attributes, shape.style_dim)
        if "generator" in weights:
            _grow(generator, weights["generator"])
            embeddings.load_state_dict(weights["embeddings"])
        self.networks = nn.ModuleDict({"generator": generator, "embeddings": embeddings}).to(device)
        self.averaged = copy.deepcopy(self.networks).requires_grad_(False)
        self.early: list[dict[str, Tensor]] = list(weights.get("early", []))
        self.loss = DrawingLoss(config.feature_weight, device)
        synthesis = [p for n, p in generator.named_parameters() if not n.startswith("style.")]
        self.rates = (config.embedding_rate, config.learning_rate)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(embeddings.parameters()), "weight_decay": config.embedding_decay},
                {"params": synthesis, "weight_decay": 0.0},
            ],
            betas=(0.5, 0.99),
        )
        self.images = shrink(lesson.images, config.resolution)

    def step(self) -> dict[str, float]:
        config = self.config
        left = (self.iterations - self.iteration) / (config.falling * self.iterations)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * min(1.0, left)
        chosen = self.choose(config.batch)
        wanted = to_tensor(self.images[chosen.numpy()]).to(self.device)
        generator = cast(Generator, self.networks["generator"])
        w = self.networks["embeddings"](self.lesson.values[chosen].to(self.device))
        noise = generator.fresh_noise(config.batch, self.streams["noise"])
        loss = self.loss(render(generator, w, noise), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        seen = (self.iteration + 1) * config.batch
        weight = 1 - 0.5 ** (config.batch / min(config.half_life, 0.3 * seen))
        with torch.no_grad():
            ours, theirs = self.averaged.parameters(), self.networks.parameters()
            torch._foreach_lerp_(list(ours), list(theirs), weight)
        if self.iteration in (self.iterations // 8, self.iterations // 3):
            self.early.append(_synthesis(generator))
        return {"drawing": float(loss.detach())}

    def sample(self, count: int) -> Images:
        """Drawings of people that are drawn as the domain's are."""
        values = Codes.in_order(self.lesson.attributes).decode(self.probe_latents(count))
        generator = cast(Generator, self.averaged["generator"])
        return self.images_of(
            lambda part: render(generator, self.averaged["embeddings"](part)), values
        )

    def hand_on(self) -> dict[str, Any]:
        return {
            "generator": self.averaged["generator"].state_dict(),
            "embeddings": self.averaged["embeddings"].state_dict(),
            "early": self.early,
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "networks": self.networks.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "early": self.early,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.networks.load_state_dict(state["networks"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.early = list(state["early"])


def shrink(images: Images, resolution: int) -> Images:
    """Images [N, R, R, 3] averaged over squares to ``resolution``."""
    factor = images.shape[1] // resolution
    if factor == 1:
        return images
    cells = images.reshape(len(images), resolution, factor, resolution, factor, 3)
    means: Images = ((cells.sum(axis=(2, 4), dtype="uint32") + factor**2 // 2) // factor**2).astype(
        "uint8"
    )
    return means


def _grow(generator: Generator, smaller: Mapping[str, Tensor]) -> None:
    """Load a generator of a lower resolution; what is new adds nothing to its image at first."""
    generator.load_state_dict(smaller, strict=False)
    if f"to_rgbs.{len(generator.to_rgbs) - 1}.bias" not in smaller:
        nn.init.zeros_(cast(Any, generator.to_rgbs[-1]).conv.weight)


def _synthesis(generator: Generator) -> dict[str, Tensor]:
    """A copy of the weights that draw."""
    return {
        name: weight.detach().cpu().clone()
        for name, weight in generator.named_parameters()
        if not name.startswith("style.")
    }
