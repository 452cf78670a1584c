"""StyleGAN2 generator and discriminator for any power-of-two resolution from 8 and any widths.

Both networks compute in channels-last order, which makes a training step about a tenth shorter.
Given a ``compute_dtype``, their convolutions use it at the four highest resolutions, where nearly
all of the work is, and what enters and leaves a network keeps the weights' precision (Karras et al.
2020, "Training generative adversarial networks with limited data").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.layers import ConstantInput, ConvLayer, ResBlock, StyledConv, ToRGB
from fsgan_bench.stylegan2.ops import EqualLinear, MinibatchStddev, PixelNorm


@dataclass(frozen=True)
class Synthesis:
    """What one generator pass yields.

    Attributes:
        image: [N, 3, resolution, resolution], nominally in [-1, 1] and not clamped.
        w: [N, n_latent, style_dim], the vectors that entered the synthesis network.
        features: the output of every styled convolution, coarse to fine (4, 8, 8, 16, 16, ...),
            each [N, C, H, W]; empty unless asked for.
    """

    image: Tensor
    w: Tensor
    features: list[Tensor]


Layer: TypeAlias = int | tuple[int, Literal["conv1", "conv2"]]
"""A layer of the discriminator: 0 is fromRGB, ``i`` the output of the i-th residual block, and
``(i, "conv1")`` and ``(i, "conv2")`` are its convolutions, before the skip is added."""


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What one discriminator pass yields.

    Attributes:
        logits: [N, 1], large for real.
        features: requested layer -> [N, C, H, W].
        penultimate: [N, C_4], what the last linear layer makes the logits of.
    """

    logits: Tensor
    features: dict[Layer, Tensor]
    penultimate: Tensor


class Generator(nn.Module):
    """StyleGAN2 generator with skip connections: ``z`` [N, style_dim] -> :class:`Synthesis`.

    Layer indices of ``features`` and of ``crossover`` count styled convolutions from the 4x4 one.
    """

    compute_dtype: torch.dtype | None = None

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        dim, widths = architecture.style_dim, architecture.channels
        self.style = nn.Sequential(
            PixelNorm(),
            *(
                EqualLinear(dim, dim, lr_multiplier=0.01, activate=True)
                for _ in range(architecture.mapping_layers)
            ),
        )
        self.input = ConstantInput(widths[4])
        self.conv1 = StyledConv(widths[4], widths[4], dim)
        self.to_rgb1 = ToRGB(widths[4], dim, upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for block, resolution in enumerate(architecture.resolutions[1:]):
            out_ch = widths[resolution]
            self.convs.append(StyledConv(widths[resolution // 2], out_ch, dim, upsample=True))
            self.convs.append(StyledConv(out_ch, out_ch, dim))
            self.to_rgbs.append(ToRGB(out_ch, dim))
            for layer in (2 * block + 1, 2 * block + 2):
                noise = torch.randn(1, 1, resolution, resolution)
                self.noises.register_buffer(f"noise_{layer}", noise)

    @property
    def n_features(self) -> int:
        """Number of entries of ``Synthesis.features``."""
        return 1 + len(self.convs)

    def fixed_noise(self) -> list[Tensor]:
        """The per-layer noise buffers, [1, 1, H, W] each."""
        return [self.noises.get_buffer(f"noise_{i}") for i in range(self.n_features)]

    def noise_strengths(self) -> list[nn.Parameter]:
        """What scales the noise of each layer, [1] each."""
        return [layer.noise.weight for layer in (self.conv1, *self.convs)]

    def fresh_noise(self, batch: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Draw per-layer noise, [batch, 1, H, W] each."""
        like = self.input.input
        shapes = [(batch, *fixed.shape[1:]) for fixed in self.fixed_noise()]
        return [
            torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)
            for shape in shapes
        ]

    def mapping(self, z: Tensor) -> Tensor:
        """The mapping network: ``z`` [N, style_dim] -> ``w`` [N, style_dim]."""
        return cast(Tensor, self.style(z))

    def mean_w(self, z: Tensor) -> Tensor:
        """Mean of the mapped ``z``, [1, style_dim]: the centre that truncation pulls towards."""
        return self.mapping(z).mean(dim=0, keepdim=True)

    def styles(self, z: Tensor, mix: Tensor | None = None, crossover: int | None = None) -> Tensor:
        """The ``w`` of every layer, [N, n_latent, style_dim], as :meth:`synthesise` takes it.

        Arguments and errors are those of :meth:`forward`.
        """
        w = self.mapping(z)[:, None].expand(-1, self.architecture.n_latent, -1)
        if mix is not None:
            if crossover is None:
                raise ValueError("style mixing needs the crossover layer")
            second = self.mapping(mix)[:, None].expand_as(w)
            w = torch.cat([w[:, :crossover], second[:, crossover:]], dim=1)
        return w

    def forward(
        self,
        z: Tensor,
        mix: Tensor | None = None,
        crossover: int | None = None,
        *,
        noise: list[Tensor] | None = None,
        truncation: float = 1.0,
        truncation_mean: Tensor | None = None,
        features: bool = False,
    ) -> Synthesis:
        """Generate images.

        Args:
            z: latents [N, style_dim].
            mix: latents [N, style_dim] of a second style, used from layer ``crossover`` on.
            crossover: first of the ``n_latent`` layers that takes ``mix`` (style mixing).
            noise: per-layer noise; the fixed buffers if not given.
            truncation: 1 for none; psi scales the distance of ``w`` to ``truncation_mean``.
            truncation_mean: [1, style_dim], needed where ``truncation`` is not 1.
            features: whether to return the features of the styled convolutions.

        Raises:
            ValueError: ``mix`` without ``crossover``, or truncation without its mean.
        """
        w = self.styles(z, mix, crossover)
        if truncation != 1.0:
            if truncation_mean is None:
                raise ValueError("truncation needs truncation_mean")
            w = torch.lerp(truncation_mean[:, None].expand_as(w), w, truncation)
        return self.synthesise(w, noise=noise, features=features)

    def synthesise(
        self,
        w: Tensor,
        *,
        noise: list[Tensor] | None = None,
        features: bool = False,
        rgb: Tensor | None = None,
    ) -> Synthesis:
        """Run the synthesis network on ``w`` [N, n_latent, style_dim].

        The toRGB layers take the ``w`` that they share with the convolutions after them, or their
        own ``rgb`` [N, resolutions, style_dim], coarse to fine.

        Under autograd ``w`` always requires grad, so that path lengths exist for a frozen mapping
        network too.
        """
        if torch.is_grad_enabled() and not w.requires_grad:
            w = w.detach().requires_grad_(True)
        noise = self.fixed_noise() if noise is None else noise
        rgb = w[:, 1::2] if rgb is None else rgb
        kept: list[Tensor] = []
        dtypes = [
            self.architecture.dtype(resolution, w.dtype, self.compute_dtype)
            for resolution in self.architecture.resolutions
        ]
        x = self.conv1(self.input(w.shape[0]).to(dtypes[0]), w[:, 0], noise[0])
        kept.append(x)
        skip = self.to_rgb1(x, rgb[:, 0], None)
        for block, to_rgb in enumerate(self.to_rgbs):
            x = x.to(dtypes[block + 1])
            for layer in (2 * block + 1, 2 * block + 2):
                x = self.convs[layer - 1](x, w[:, layer], noise[layer])
                kept.append(x)
            skip = to_rgb(x, rgb[:, block + 1], skip)
        return Synthesis(skip, w, [x.to(w.dtype) for x in kept] if features else [])


class Discriminator(nn.Module):
    """StyleGAN2 residual discriminator: images [N, 3, R, R] -> :class:`DiscriminatorOutput`."""

    compute_dtype: torch.dtype | None = None

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        widths = architecture.channels
        fine_to_coarse = architecture.resolutions[::-1]
        self.convs = nn.Sequential(
            ConvLayer(3, widths[architecture.resolution], 1),
            *(ResBlock(widths[r], widths[r // 2]) for r in fine_to_coarse[:-1]),
        )
        self.minibatch_stddev = MinibatchStddev()
        self.final_conv = ConvLayer(widths[4] + 1, widths[4], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(widths[4] * 16, widths[4], activate=True), EqualLinear(widths[4], 1)
        )

    @property
    def n_features(self) -> int:
        """Number of fromRGB and the residual blocks, whose features are layers 0, 1, 2, ..."""
        return len(self.convs)

    def feature_resolution(self, layer: int) -> int:
        """Side in pixels of the feature map of ``layer``."""
        return self.architecture.resolution >> layer

    def forward(
        self, images: Tensor, features: Iterable[Layer] = (), *, logits: bool = True
    ) -> DiscriminatorOutput:
        """Judge ``images``.

        Args:
            images: [N, 3, R, R] in [-1, 1].
            features: layers to return, from the same pass.
            logits: False stops after the deepest requested layer and leaves ``logits`` and
                ``penultimate`` empty.
        """
        wanted = set(features)
        kept: dict[Layer, Tensor] = {}
        x = images.contiguous(memory_format=torch.channels_last)
        for layer, block in enumerate(self.convs):
            resolution = self.feature_resolution(max(layer - 1, 0))
            x = x.to(self.architecture.dtype(resolution, images.dtype, self.compute_dtype))
            found: dict[Layer, Tensor]
            if isinstance(block, ResBlock):
                first, second, x = block.stages(x)
                found = {(layer, "conv1"): first, (layer, "conv2"): second, layer: x}
            else:
                x = block(x)
                found = {layer: x}
            kept |= {key: value.to(images.dtype) for key, value in found.items() if key in wanted}
            if not logits and len(kept) == len(wanted):
                nothing = images.new_empty(0, 1)
                return DiscriminatorOutput(logits=nothing, features=kept, penultimate=nothing)
        x = self.final_conv(self.minibatch_stddev(x.to(images.dtype)))
        penultimate = self.final_linear[0](x.flatten(1))
        return DiscriminatorOutput(self.final_linear[1](penultimate), kept, penultimate)
