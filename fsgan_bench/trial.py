"""A method tried on tiny networks: a session in a fraction of a second, and its state compared."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsgan_bench.method import Method
from fsgan_bench.numerics import Numerics
from fsgan_bench.recipe import Recipe
from fsgan_bench.session import Session
from fsgan_bench.settings import build_config
from fsgan_bench.streams import Streams
from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator

ITERATIONS = 6
ARCHITECTURE = Architecture(16, style_dim=8, mapping_layers=2, channels={4: 8, 8: 8, 16: 4})
# Both regularisers run, and not in every iteration.
RECIPE = Recipe(r1_every=2, path_length_every=3, ema_half_life=5)


class Bench:
    """A tiny source pair and ten few-shot images [10, 16, 16, 3] to try ``method`` on."""

    def __init__(self, method: type[Method]) -> None:
        self.method = method
        with Streams(0).initialising("networks"):
            self.networks = Generator(ARCHITECTURE), Discriminator(ARCHITECTURE)
        with torch.no_grad():
            for name, parameter in self.networks[0].named_parameters():
                if name.endswith("noise.weight"):
                    parameter.fill_(0.3)
        self.images = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)

    def start(
        self,
        *,
        seed: int = 0,
        setup: bool = True,
        recipe: Recipe = RECIPE,
        numerics: Numerics | None = None,
    ) -> Session:
        """A session before its first iteration, with the method's ``tiny`` config."""
        session = Session(
            self.method(build_config(self.method, self.method.tiny)),
            *self.networks,
            self.images,
            recipe=recipe,
            seed=seed,
            iterations=ITERATIONS,
            numerics=numerics,
        )
        if setup:
            session.prepare()
        return session


def train(session: Session, iterations: int) -> list[dict[str, float]]:
    """Train for some iterations; the log of each."""
    logs = []
    for _ in range(iterations):
        logs.append(session.method.step(session))
        session.iteration += 1
    return logs


def state_of(session: Session) -> dict[str, Any]:
    """Copy of the state, without the constants of the optimisers, which may be None."""
    state = copy.deepcopy(session.state_dict())
    for side in ("generator_optimizer", "discriminator_optimizer"):
        state[side] = state[side]["state"]
    return state


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths at which two nested states of tensors and plain values differ."""
    if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        return [] if torch.equal(ours, theirs) else [path]
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        if ours.keys() != theirs.keys():
            return [path]
        pairs: Any = ((key, ours[key], theirs[key]) for key in ours)
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        if len(ours) != len(theirs):
            return [path]
        pairs = ((i, *pair) for i, pair in enumerate(zip(ours, theirs, strict=True)))
    else:
        return [] if ours == theirs else [path]
    return [found for k, a, b in pairs for found in differences(a, b, f"{path}.{k}".lstrip("."))]
