"""A generator that nothing holds: it shows the discriminator where it can be led astray."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from fsgan_bench.stylegan2.losses import generator_adversarial
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.training.session import Session


class Rebel:
    """A copy of the average that trains against the discriminator alone, and is then called back.

    Adaptation does the same to a generator: where a young discriminator rewards texture, the copy
    dissolves into it within tens of steps. What it draws on the way are the discriminator's fakes.

    Args:
        generator: what it is a copy of.
        learning_rate: its Adam's.
        life: steps after which it starts again from the average.
        batch: images a step.
    """

    def __init__(self, generator: Generator, learning_rate: float, life: int, batch: int) -> None:
        self.generator = copy.deepcopy(generator).requires_grad_(True)
        self.life, self.batch, self.age = life, batch, 0
        self.learning_rate = learning_rate
        self.optimizer = self._fresh_optimizer()

    def step(self, session: Session) -> float:
        """One step on the adversarial loss, which is returned."""
        if self.age == self.life:
            self.generator.load_state_dict(session.averaged["generator"].state_dict())
            self.optimizer, self.age = self._fresh_optimizer(), 0
        loss = generator_adversarial(session.method.judge(session, self.draw(session, self.batch)))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.age += 1
        return float(loss.detach())

    def draw(self, session: Session, count: int) -> Tensor:
        """Images [count, 3, R, R] of fresh latents, with style mixing as the recipe says."""
        latents = session.method.latents(session, count)
        noise = session.noise(count)
        return cast(
            Tensor,
            self.generator(latents.z, latents.mix, latents.crossover, noise=noise).image,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "age": self.age,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.age = state["age"]

    def _fresh_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.generator.parameters(), self.learning_rate, (0.0, 0.99))
