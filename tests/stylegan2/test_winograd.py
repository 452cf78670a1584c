"""Winograd's convolution against the library's, with both derivatives, and where it is taken."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.stylegan2 import winograd
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator


def normal(seed: int, *shape: int) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.requires_grad_()


def test_values_and_derivatives() -> None:
    x, weight = normal(1, 2, 3, 8, 12), normal(2, 5, 3, 3, 3)
    expected = F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(winograd.convolve(x, weight), expected, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(winograd.convolve, (x, weight))
    assert torch.autograd.gradgradcheck(winograd.convolve, (x, weight))


def test_only_what_is_asked_for_is_differentiated() -> None:
    x, weight = normal(1, 1, 2, 4, 4), normal(2, 2, 2, 3, 3).detach()
    winograd.convolve(x, weight).sum().backward()
    assert x.grad is not None and weight.grad is None


def test_float32_in_wide_layers() -> None:
    x, weight = normal(1, 2, 256, 32, 32).float(), normal(2, 256, 256, 3, 3).float()
    expected = F.conv2d(x, weight, padding=1)
    assert winograd.pays(x, weight)
    assert (winograd.convolve(x, weight) - expected).abs().max() < 3e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("shape", "kernel", "changes"),
    [
        ((1, 256, 32, 32), (128, 256, 3, 3), {}),
        ((1, 256, 16, 16), (256, 256, 3, 3), {}),
        ((1, 256, 34, 32), (256, 256, 3, 3), {}),
        ((1, 256, 32, 32), (256, 256, 1, 1), {}),
        ((1, 256, 32, 32), (256, 256, 3, 3), {"dtype": torch.bfloat16}),
        ((1, 256, 32, 32), (256, 256, 3, 3), {"device": "meta"}),
    ],
)
def test_where_it_does_not_pay(
    shape: tuple[int, ...], kernel: tuple[int, ...], changes: dict[str, object]
) -> None:
    x, weight = torch.empty(shape, **changes), torch.empty(kernel, **changes)  # type: ignore[call-overload]
    assert not winograd.pays(x, weight)


def test_networks_take_it() -> None:
    wide = Architecture(32, 16, 2, {4: 8, 8: 8, 16: 8, 32: 256})
    torch.manual_seed(0)
    generator, discriminator = Generator(wide), Discriminator(wide)
    z = torch.randn(2, 16)

    def judged() -> Tensor:
        score = discriminator(generator(z).image).logits.sum()
        return torch.autograd.grad(score, list(discriminator.convs[0].parameters()))[0]

    with mock.patch.object(winograd, "convolve", wraps=winograd.convolve) as taken:
        gradient = judged()
    assert taken.call_count > 1
    with mock.patch.object(winograd, "pays", return_value=False):
        expected = judged()
    torch.testing.assert_close(
        gradient, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
    )
