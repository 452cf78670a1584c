"""Named random streams: every kind of draw has a generator of its own, seeded from one seed.

A stream that nobody uses does not shift the others, so that adding a metric, a snapshot or a
draw in one method leaves the rest of the training as it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def stream_seed(seed: int, name: str) -> int:
    """Derive the 63-bit seed of the stream ``name`` from ``seed``."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


ORDER = "/order"
"""Ends the name under which the rest of a shuffled pass is stored."""


class Streams:
    """CPU generators by name, created on first use; ``streams["latents"]``."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, torch.Generator] = {}
        self._orders: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self._generators:
            generator = torch.Generator().manual_seed(stream_seed(self.seed, name))
            self._generators[name] = generator
        return self._generators[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """Draw one integer from ``low`` (inclusive) to ``high`` (exclusive)."""
        return int(torch.randint(low, high, (1,), generator=self[name]))

    def distinct(self, name: str, count: int, size: int) -> Tensor:
        """Draw ``size`` different indices below ``count``, from one shuffled pass after another.

        What is left of a pass is dropped where it is too short. Beyond ``count``, every index comes
        equally often and the rest are distinct.
        """
        left = self._orders.get(name, torch.empty(0, dtype=torch.int64))
        if len(left) < size:
            passes = range(math.ceil(size / count))
            left = torch.cat([torch.randperm(count, generator=self[name]) for _ in passes])
        drawn, self._orders[name] = left[:size], left[size:]
        return drawn

    @contextmanager
    def initialising(self, name: str) -> Iterator[None]:
        """Seed torch's global generator for the layers built inside, then restore it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.seed, name))
            yield

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """Forget, at the end, whatever was drawn inside."""
        before = self.state_dict()
        try:
            yield
        finally:
            self.load_state_dict(before)

    def state_dict(self) -> dict[str, Tensor]:
        states = {name: generator.get_state() for name, generator in self._generators.items()}
        return states | {name + ORDER: left for name, left in self._orders.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._generators.clear()
        self._orders.clear()
        for name, value in state.items():
            if name.endswith(ORDER):
                self._orders[name.removesuffix(ORDER)] = value
            else:
                self[name].set_state(value)
