"""The shape of a StyleGAN2 pair: its resolution and its widths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

MAX_SIZE = 65_536
"""Far beyond any StyleGAN2; larger numbers are a slip, or somebody's attack on the memory."""


@dataclass(frozen=True)
class Architecture:
    """Shape of a generator-discriminator pair.

    Attributes:
        resolution: image side in pixels, a power of two from 8.
        style_dim: width of ``z`` and of ``w``.
        mapping_layers: fully connected layers of the mapping network.
        channels: feature maps at each resolution, ``{4: ..., 8: ..., ..., resolution: ...}``.
    """

    resolution: int
    style_dim: int
    mapping_layers: int
    channels: Mapping[int, int]

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution must be a power of two from 8, not {self.resolution}")
        sizes = [self.resolution, self.style_dim, self.mapping_layers, *self.channels.values()]
        if not all(1 <= size <= MAX_SIZE for size in sizes):
            raise ValueError(f"every size of a network lies in 1 to {MAX_SIZE:,}, not {sizes}")
        missing = [r for r in self.resolutions if r not in self.channels]
        if missing:
            raise ValueError(f"channels has no width for resolution(s) {missing}")

    @property
    def resolutions(self) -> list[int]:
        """The resolutions of the synthesis network, 4 to ``resolution``."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def n_latent(self) -> int:
        """Number of ``w`` vectors: one a styled convolution, and one for the last toRGB."""
        return 2 * len(self.resolutions)

    def dtype(self, resolution: int, full: torch.dtype, reduced: torch.dtype | None) -> torch.dtype:
        """Precision of the convolutions at ``resolution``."""
        is_high = resolution * 8 >= self.resolution
        return reduced if reduced is not None and is_high else full
