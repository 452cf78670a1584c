"""The layers against implementations that are slow and obvious."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.stylegan2.layers import ConvLayer
from fsgan_bench.stylegan2.ops import (
    Blur,
    MinibatchStddev,
    ModulatedConv2d,
    PixelNorm,
    Upsample,
    blur_kernel,
)
from fsgan_bench.training.streams import Streams

Array = NDArray[np.float64]
KERNEL = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zero_inserted(x: Array) -> Array:
    """[N, C, H, W] -> [N, C, 2H, 2W] with a zero after every sample."""
    out = np.zeros((*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]))
    out[:, :, ::2, ::2] = x
    return out


def filtered(x: Array, kernel: Array, before: int, after: int) -> Array:
    """Zero-pad both axes and correlate each channel with ``kernel``, position by position."""
    x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    size = len(kernel)
    out = np.zeros((*x.shape[:2], x.shape[2] - size + 1, x.shape[3] - size + 1))
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            window = x[:, :, row : row + size, column : column + size]
            out[:, :, row, column] = (window * kernel).sum(axis=(2, 3))
    return out


def test_blur_kernel() -> None:
    np.testing.assert_allclose(blur_kernel().numpy(), KERNEL, rtol=1e-6)
    np.testing.assert_allclose(blur_kernel(gain=4.0).numpy(), 4 * KERNEL, rtol=1e-6)


@pytest.mark.parametrize("padding", [(1, 1), (2, 2), (2, 1), (0, 3)])
def test_blur(padding: tuple[int, int]) -> None:
    x = normal(1, 2, 3, 6, 5)
    np.testing.assert_allclose(
        Blur(padding)(x).numpy(), filtered(x.numpy(), KERNEL, *padding), rtol=1e-10
    )


def test_upsample() -> None:
    x = normal(1, 2, 3, 5, 4)
    expected = filtered(zero_inserted(x.numpy()), 4 * KERNEL, 2, 1)
    assert expected.shape == (2, 3, 10, 8)
    np.testing.assert_allclose(Upsample()(x).numpy(), expected, rtol=1e-10)


def test_upsample_keeps_a_constant_image_inside() -> None:
    out = Upsample()(torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(out[:, :, 2:-2, 2:-2], torch.ones(1, 1, 12, 12))


@pytest.mark.parametrize(("kernel_size", "padding"), [(3, 2), (1, 1)])
def test_downsampling_convolution(kernel_size: int, padding: int) -> None:
    layer = ConvLayer(3, 5, kernel_size, downsample=True, activate=False).double()
    x = normal(1, 2, 3, 8, 8)
    blurred = torch.from_numpy(filtered(x.numpy(), KERNEL, padding, padding))
    weight = layer[1].get_parameter("weight") / (3 * kernel_size**2) ** 0.5
    expected = F.conv2d(blurred, weight)[:, :, ::2, ::2]
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(layer(x), expected)


def per_sample_convolution(layer: ModulatedConv2d, x: Tensor, w: Tensor, upsample: bool) -> Tensor:
    """Karras et al. 2020, Eq. 1 and 3: weights of its own for each image, as one grouped conv."""
    batch, in_channels = x.shape[:2]
    affine = layer.modulation
    style = F.linear(w, affine.weight / w.shape[1] ** 0.5, affine.bias)
    kernel_size = layer.weight.shape[-1]
    weight = layer.weight / (in_channels * kernel_size**2) ** 0.5
    weight = weight * style[:, None, :, None, None]
    if layer.demodulate:
        weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    flat = x.reshape(1, batch * in_channels, *x.shape[2:])
    if upsample:
        transposed = weight.transpose(1, 2).flatten(0, 1)
        out = F.conv_transpose2d(flat, transposed, stride=2, groups=batch)
        out = torch.from_numpy(filtered(out.detach().numpy(), 4 * KERNEL, 1, 1))
    else:
        out = F.conv2d(flat, weight.flatten(0, 1), padding=kernel_size // 2, groups=batch)
    return out.reshape(batch, -1, *out.shape[2:])


@pytest.mark.parametrize(
    ("kernel_size", "demodulate", "upsample"),
    [(3, True, False), (3, True, True), (1, False, False), (3, False, False), (1, True, False)],
)
def test_modulated_convolution(kernel_size: int, demodulate: bool, upsample: bool) -> None:
    with Streams(0).initialising("layer"):
        layer = ModulatedConv2d(
            5, 7, kernel_size, 4, demodulate=demodulate, upsample=upsample
        ).double()
    x, w = normal(1, 3, 5, 6, 6), normal(2, 3, 4)
    out = layer(x, w)
    assert out.shape == ((3, 7, 12, 12) if upsample else (3, 7, 6, 6))
    torch.testing.assert_close(out, per_sample_convolution(layer, x, w, upsample))


def test_demodulation_gives_unit_variance() -> None:
    with Streams(0).initialising("layer"):
        layer = ModulatedConv2d(16, 64, 3, 4).double()
    out = layer(normal(1, 4, 16, 32, 32), 5 * normal(2, 4, 4))[:, :, 1:-1, 1:-1]
    deviation = out.detach().std(dim=(2, 3)).mean(dim=1)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("batch", "group"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (7, 1), (8, 4), (10, 2)]
)
def test_minibatch_stddev(batch: int, group: int) -> None:
    x = normal(1, batch, 3, 2, 2)
    out = MinibatchStddev()(x)
    assert torch.equal(out[:, :3], x)
    assert out.shape == (batch, 4, 2, 2)
    stride = batch // group
    for index in range(batch):
        members = x.numpy()[index % stride :: stride]
        assert len(members) == group
        expected = np.sqrt(members.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(out[index, 3].numpy(), expected, rtol=1e-10)


def test_minibatch_stddev_of_equal_images_has_a_finite_gradient() -> None:
    x = torch.ones(4, 3, 2, 2, requires_grad=True)
    MinibatchStddev()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_pixel_norm_has_unit_mean_square() -> None:
    out = PixelNorm()(normal(1, 5, 16) * 7)
    torch.testing.assert_close(out.square().mean(dim=1), torch.ones(5, dtype=torch.float64))
