"""The layers that StyleGAN2's two networks are stacked from."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from fsgan_bench.stylegan2.ops import (
    SQRT2,
    BiasedLeakyReLU,
    Blur,
    EqualConv2d,
    ModulatedConv2d,
    NoiseInjection,
    Upsample,
)


class ConstantInput(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        copies = self.input.expand(batch, -1, -1, -1)
        return copies.contiguous(memory_format=torch.channels_last)


class StyledConv(nn.Module):
    def __init__(self, in_ch: int, out_ch: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_ch, out_ch, 3, style_dim, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = BiasedLeakyReLU(out_ch)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return cast(Tensor, self.activate(self.noise(self.conv(x, w), noise)))


class ToRGB(nn.Module):
    def __init__(self, in_ch: int, style_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.upsample = Upsample() if upsample else None
        self.conv = ModulatedConv2d(in_ch, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None) -> Tensor:
        out = cast(Tensor, self.conv(x, w)).to(self.bias.dtype) + self.bias
        return out if skip is None or self.upsample is None else out + self.upsample(skip)


class ConvLayer(nn.Sequential):
    """[Blur,] convolution[, bias and leaky ReLU]; halves the resolution if ``downsample``."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        kernel_size: int,
        *,
        downsample: bool = False,
        activate: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        if downsample:
            total = kernel_size + 1
            layers += [
                Blur(((total + 1) // 2, total // 2)),
                EqualConv2d(in_ch, out_ch, kernel_size, stride=2),
            ]
        else:
            layers += [EqualConv2d(in_ch, out_ch, kernel_size, padding=kernel_size // 2)]
        if activate:
            layers.append(BiasedLeakyReLU(out_ch))
        super().__init__(*layers)


class ResBlock(nn.Module):
    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_ch, in_ch, 3)
        self.conv2 = ConvLayer(in_ch, out_ch, 3, downsample=True)
        self.skip = ConvLayer(in_ch, out_ch, 1, downsample=True, activate=False)

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs of the first and of the second convolution, and of the whole block."""
        first = self.conv1(x)
        second = self.conv2(first)
        return first, second, cast(Tensor, second + self.skip(x)) / SQRT2

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[2]
