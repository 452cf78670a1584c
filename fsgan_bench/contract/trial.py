"""A method tried on tiny networks: a session in a fraction of a second, and its state compared."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.method import Method
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams

ITERATIONS = 6
"""Enough for both regularisers to run twice, and for stops between them and before each."""
ARCHITECTURE = Architecture(16, style_dim=8, mapping_layers=2, channels={4: 8, 8: 8, 16: 4})
# Both regularisers run, and not in every iteration.
RECIPE = Recipe(r1_every=2, path_length_every=3, ema_half_life=5)

OwnedTensors = dict[str, dict[str, Tensor]]
"""Tensors by the name of a module's owner and by their own."""


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


def latents() -> Tensor:
    """Three latents [3, style_dim] to sample from, always the same."""
    return torch.randn(3, ARCHITECTURE.style_dim, generator=torch.Generator().manual_seed(3))


def samples(session: Session, z: Tensor | None = None) -> Tensor:
    """What the method samples from the averages, as the driver does it for a snapshot.

    Args:
        session: at any iteration.
        z: [N, style_dim]; :func:`latents` by default.

    Returns:
        Whatever ``sample`` gives: images [N, 3, R, R] in about [-1, 1] from a sound method.
    """
    modules: dict[str, nn.Module] = dict(session.averaged.items())
    with torch.inference_mode():
        return session.method.sample(modules, latents() if z is None else z)


def tensor_copies(session: Session) -> OwnedTensors:
    """Copies of the tensors, buffers included, of both sides and of the averages.

    By ``generator_side``, ``discriminator_side`` or ``averaged``, and by the name in there, which
    begins with the module's: ``generator.style.1.weight``.
    """
    owners = ("generator_side", "discriminator_side", "averaged")
    return {name: copy.deepcopy(getattr(session, name).state_dict()) for name in owners}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    """Names whose tensors, of any shapes, differ, or that only one of the two has."""
    both = before.keys() & after.keys()
    equal = {name for name in both if torch.equal(before[name], after[name])}
    return (before.keys() | after.keys()) - equal


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
