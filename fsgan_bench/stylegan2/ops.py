"""Layers of StyleGAN2 (Karras et al. 2020) in plain PyTorch: CPU and GPU, differentiable twice.

Weights are stored at unit variance and scaled at run time (equalised learning rate). Parameter and
buffer names follow the public rosinality checkpoint layout, so that such a file loads by name.

Convolutions compute in the precision of their input; styles and demodulation keep the weights'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench.stylegan2 import winograd

BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)
SQRT2 = math.sqrt(2.0)
FLOAT16_CLAMP = 256.0
"""Bound of activations in float16, which ends at 65,504 (Karras et al. 2020, "Training generative
adversarial networks with limited data")."""


def blur_kernel(taps: Sequence[float] = BLUR_TAPS, gain: float = 1.0) -> Tensor:
    """Return the separable low-pass kernel [k, k] made of ``taps``; its entries sum to ``gain``."""
    line = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum() * gain


def depthwise_filter(
    x: Tensor, kernel: Tensor, padding: tuple[int, int], stride: int = 1
) -> Tensor:
    """Filter each channel of ``x`` [N, C, H, W] with ``kernel`` [k, k].

    ``padding`` is (before, after), the same for both axes, filled with zeros.
    """
    channels = x.shape[1]
    before, after = padding
    if before != after:
        x, before = F.pad(x, (before, after, before, after)), 0
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, padding=before, stride=stride, groups=channels)


def convolution(x: Tensor, weight: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Convolve ``x`` [N, in, H, W] with ``weight`` [out, in, k, k], zeros around."""
    if (padding, stride) == (1, 1) and winograd.pays(x, weight):
        return winograd.convolve(x, weight)
    return F.conv2d(x, weight, padding=padding, stride=stride)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, rescaled by sqrt(2) to keep the variance."""
    return F.leaky_relu(x, 0.2) * SQRT2


class PixelNorm(nn.Module):
    """Normalise each latent [N, d] to unit mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate, [N, in] -> [N, out]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return leaky_relu(out) if self.activate else out


class EqualConv2d(nn.Module):
    """Bias-free convolution with equalised learning rate, [N, in, H, W] -> [N, out, H', W']."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.weight_gain).to(x.dtype)
        return convolution(x, weight, self.padding, self.stride)


class BiasedLeakyReLU(nn.Module):
    """Per-channel bias followed by the rescaled leaky ReLU, on [N, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = leaky_relu(x + self.bias.to(x.dtype)[:, None, None])
        return out.clamp(-FLOAT16_CLAMP, FLOAT16_CLAMP) if x.dtype == torch.float16 else out


class Blur(nn.Module):
    """Depthwise low-pass filter with zero padding (before, after)."""

    kernel: Tensor

    def __init__(self, padding: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(gain=gain))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_filter(x, self.kernel, self.padding)


class Upsample(nn.Module):
    """Zero-insertion upsampling by two and low-pass filtering, [N, C, H, W] -> [N, C, 2H, 2W]."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(gain=4.0))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        weight = self.kernel.to(x.dtype).expand(channels, 1, *self.kernel.shape)
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


class ModulatedConv2d(nn.Module):
    """Modulated convolution (Karras et al. 2020, sec. 2.2), [N, in, H, W] -> [N, out, H', W'].

    The style scales the input channels, one ordinary convolution serves the whole batch, and the
    demodulation scales the output channels: the same function as per-sample weights, without a
    grouped convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(1, out_channels, in_channels, kernel_size, kernel_size)
        )
        self.modulation = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.demodulate = demodulate
        self.blur = Blur((1, 1), gain=4.0) if upsample else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Convolve ``x`` under the style that the modulation makes of ``w`` [N, style_dim]."""
        style = self.modulation(w)
        weight = self.weight[0] * self.weight_gain
        x = x * style.to(x.dtype)[:, :, None, None]
        kernel = weight.to(x.dtype)
        if self.blur is None:
            out = convolution(x, kernel, self.padding)
        else:
            out = self.blur(F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2))
        if self.demodulate:
            energy = style.square() @ weight.square().sum(dim=(2, 3)).t()
            out = out * torch.rsqrt(energy + 1e-8).to(x.dtype)[:, :, None, None]
        return out


class NoiseInjection(nn.Module):
    """Add single-channel noise [1 or N, 1, H, W] with a learned strength."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + (self.weight * noise).to(x.dtype)


def stddev_group(batch: int, most: int = 4) -> int:
    """Images in a group of the minibatch standard deviation: the largest divisor up to ``most``."""
    return next(g for g in range(min(batch, most), 0, -1) if batch % g == 0)


class MinibatchStddev(nn.Module):
    """Append the standard deviation over groups of the batch as one more channel.

    [N, C, H, W] -> [N, C + 1, H, W].
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        group = stddev_group(batch, self.group_size)
        grouped = x.reshape(group, batch // group, channels, height, width)
        std = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt()
        statistic = std.mean(dim=(1, 2, 3)).repeat(group)
        return torch.cat([x, statistic[:, None, None, None].expand(-1, 1, height, width)], dim=1)
