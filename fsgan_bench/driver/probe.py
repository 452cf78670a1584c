"""The probe batch of a task: fixed latents, and what a generator draws for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.data.images import Images, to_uint8
from fsgan_bench.training.method import Method, check_sample
from fsgan_bench.training.streams import Streams

PIXELS_PER_BATCH = 50 * 64 * 64
"""Generated at a time: bounds memory whatever the resolution."""

MOST_PER_BATCH = 25
"""Images generated at a time: of more, activations at 64x64 no longer stay in the cache, and are
memory that the system gives anew for each (``system.machine.prepare``)."""


def sample_batch(resolution: int) -> int:
    """Images of ``resolution`` pixels a side that are generated at a time."""
    return max(1, min(MOST_PER_BATCH, PIXELS_PER_BATCH // resolution**2))


@dataclass(frozen=True)
class Probe:
    """The latents that every snapshot of a task is sampled at.

    Attributes:
        latents: the probe batch, [N, style_dim].
        further: what the Frechet distance takes beyond it, [M, style_dim].
        resolution: side of the images in px.
        device: where they are generated.
    """

    latents: Tensor
    further: Tensor
    resolution: int
    device: str = "cpu"

    @classmethod
    def draw(
        cls, seed: int, size: int, further: int, style_dim: int, resolution: int, device: str
    ) -> Probe:
        """The latents of a suite's ``probe_seed``."""
        stream = Streams(seed)["probe"]
        latents, rest = (torch.randn(n, style_dim, generator=stream) for n in (size, further))
        return cls(latents, rest, resolution, device)

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def hash(self) -> str:
        """SHA-256 of the probe batch."""
        return tensor_hash(self.latents)

    def generate(
        self, method: Method, modules: Mapping[str, nn.Module], count: int | None = None
    ) -> Images:
        """Images of the probe batch, or of its first ``count``, 8 bit: uint8 [N, R, R, 3]."""
        return np.concatenate(list(self._generate(method, modules, self.latents[:count])))

    def generate_further(
        self, method: Method, modules: Mapping[str, nn.Module]
    ) -> Iterator[Images]:
        """What the Frechet distance takes beyond the probe batch, in batches [B, R, R, 3]."""
        return self._generate(method, modules, self.further)

    def _generate(
        self, method: Method, modules: Mapping[str, nn.Module], latents: Tensor
    ) -> Iterator[Images]:
        side = self.resolution
        for z in latents.split(sample_batch(side)) if len(latents) else ():
            with torch.inference_mode():
                sampled = method.sample(modules, z.to(self.device))
                check_sample(sampled, (len(z), 3, side, side))
                images = to_uint8(sampled)
            yield images


def tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes, in hex."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
