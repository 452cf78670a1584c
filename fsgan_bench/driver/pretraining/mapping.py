"""The mapping: from ``z`` to the ``w`` of the attribute values that it stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.driver.pretraining.stage import HandedOn, Lesson, Stage
from fsgan_bench.driver.pretraining.written import shrink_w, take_back, write_mapping
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.training.streams import Streams


@dataclass(frozen=True)
class MappingConfig:
    """Hyperparameters of the mapping stage.

    Attributes:
        iterations: length of the stage.
        batch: latents a step; no image is drawn.
        learning_rate: Adam's, for a network that was written down (:mod:`.written`); it falls to
            zero along half a cosine. The layers' own multiplier of 0.01 is on top of it.
        rate_from_scratch: the same for a network that is too small for that.
        size: root mean square of ``w`` from a network that was written down. The smaller it is, the
            larger are the modulations that make the same image of it, and the calmer their steps.
    """

    iterations: int
    batch: int = 512
    learning_rate: float = 0.001
    rate_from_scratch: float = 0.3
    size: float = 0.5


class MappingStage(Stage):
    """Writes the mapping network down, then regresses it on the embeddings it stands for."""

    def __init__(
        self,
        name: str,
        config: MappingConfig,
        lesson: Lesson,
        weights: HandedOn,
        streams: Streams,
        device: str,
    ) -> None:
        super().__init__(name, config.iterations, lesson, streams, device)
        self.config = config
        with streams.initialising(name):
            self.generator = Generator(lesson.architecture)
            embeddings = Embeddings(lesson.attributes, lesson.architecture.style_dim)
        fresh = {k: v for k, v in self.generator.state_dict().items() if k.startswith("style.")}
        self.generator.load_state_dict({**weights["generator"], **fresh})
        embeddings.load_state_dict(weights["embeddings"])
        self.embeddings = embeddings.requires_grad_(False)
        self.codes = Codes.from_embeddings(lesson.attributes, embeddings)
        self.offset, self.scale = torch.zeros(lesson.architecture.style_dim), 1.0
        self.rate = config.rate_from_scratch
        self.early: list[Mapping[str, Tensor]] = list(weights.get("early", []))
        offset = write_mapping(self.generator.style, self.codes, embeddings, streams["written"])
        if offset is not None:
            self.offset, self.rate = offset, config.learning_rate
            with streams.taken_back():
                w = self._wanted(self._draw(4096))
            self.scale = config.size / float(w.square().mean().sqrt())
            shrink_w(self.generator.style, self.scale)
            changed = take_back(self.generator.state_dict(), offset, self.scale)
            self.generator.load_state_dict(changed)
            self.early = [take_back(early, offset, self.scale) for early in self.early]
        self.generator.to(self.device)
        with streams.taken_back():
            self.variance = float(self._wanted(self._draw(4096)).var(dim=0).sum())
        self.optimizer = torch.optim.Adam(self.generator.style.parameters(), self.rate, (0.9, 0.99))

    def step(self) -> dict[str, float]:
        phase = math.pi * self.iteration / self.iterations
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * (0.5 + 0.5 * math.cos(phase))
        z = self._draw(self.config.batch)
        loss = F.mse_loss(self.generator.mapping(z.to(self.device)), self._wanted(z))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {
            "unexplained": float(loss.detach()) * self.embeddings.weight.shape[1] / self.variance
        }

    def sample(self, count: int) -> Images:
        z = self.probe_latents(count)
        return self.images_of(lambda part: self.generator(part).image, z)

    def hand_on(self) -> dict[str, Any]:
        return {"generator": self.generator.state_dict(), "early": self.early}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "style": self.generator.style.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.generator.style.load_state_dict(state["style"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _draw(self, count: int) -> Tensor:
        width = self.lesson.architecture.style_dim
        return torch.randn(count, width, generator=self.streams["latents"])

    def _wanted(self, z: Tensor) -> Tensor:
        w: Tensor = (self.embeddings(self.codes.decode(z)) + self.offset) * self.scale
        return w.to(self.device)
