"""Losses, and the second derivatives that lazy regularisation needs, against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.losses import (
    discriminator_adversarial,
    generator_adversarial,
    path_lengths,
    r1_penalty,
)
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

TINY = Architecture(8, style_dim=4, mapping_layers=1, channels={4: 3, 8: 3})
STEP = 1e-6


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def generator() -> Generator:
    with Streams(0).initialising("generator"):
        return Generator(TINY).double()


@pytest.fixture
def discriminator() -> Discriminator:
    with Streams(0).initialising("discriminator"):
        return Discriminator(TINY).double()


def derivative(f: Callable[[], Tensor], x: Tensor, direction: Tensor) -> float:
    """Central difference of ``f`` as ``x`` moves along ``direction``."""
    with torch.no_grad():
        x += STEP * direction
    above = float(f().detach())
    with torch.no_grad():
        x -= 2 * STEP * direction
    below = float(f().detach())
    with torch.no_grad():
        x += STEP * direction
    return (above - below) / (2 * STEP)


def numerical_gradient(f: Callable[[], Tensor], x: Tensor) -> Tensor:
    gradient = torch.zeros_like(x).flatten()
    for i in range(x.numel()):
        unit = torch.zeros_like(gradient)
        unit[i] = 1
        gradient[i] = derivative(f, x, unit.reshape(x.shape))
    return gradient.reshape(x.shape)


def assert_parameter_gradients(f: Callable[[], Tensor], network: nn.Module) -> set[str]:
    """Compare autograd with finite differences along a random direction for each parameter.

    Returns the names of the parameters that the value depends on.
    """
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(f(), parameters, allow_unused=True)
    nonzero = set()
    for seed, (name, parameter, gradient) in enumerate(
        zip(names, parameters, gradients, strict=True)
    ):
        direction = normal(100 + seed, *parameter.shape)
        exact = 0.0 if gradient is None else float((gradient * direction).sum())
        if exact != 0:
            nonzero.add(name)
        numerical = derivative(f, parameter, direction)
        assert numerical == pytest.approx(exact, rel=1e-4, abs=1e-6), name
    return nonzero


def test_r1_is_the_squared_gradient_at_the_images(discriminator: Discriminator) -> None:
    real = normal(1, 2, 3, 8, 8)
    numerical = numerical_gradient(lambda: discriminator(real).logits.sum(), real)
    real.requires_grad_(True)
    penalty = r1_penalty(discriminator(real).logits, real)
    expected = numerical.square().sum() / 2
    assert float(penalty.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_r1_differentiates_twice(discriminator: Discriminator) -> None:
    real = normal(1, 4, 3, 8, 8).requires_grad_(True)
    nonzero = assert_parameter_gradients(
        lambda: r1_penalty(discriminator(real).logits, real), discriminator
    )
    assert nonzero >= {name for name, _ in discriminator.named_parameters() if "weight" in name}


def test_r1_of_a_logit_map_is_that_of_its_mean(discriminator: Discriminator) -> None:
    real = normal(1, 2, 3, 8, 8).requires_grad_(True)
    maps = discriminator(real, features=[1]).features[1][:, :1]
    assert maps.shape == (2, 1, 4, 4)
    expected = r1_penalty(maps.mean(dim=(2, 3)), real)
    torch.testing.assert_close(r1_penalty(maps, real), expected)


def test_path_lengths_are_those_of_the_jacobian(generator: Generator) -> None:
    w = normal(1, 2, TINY.n_latent, 4)
    noise = normal(2, 2, 3, 8, 8)
    numerical = numerical_gradient(
        lambda: (generator.synthesise(w).image * noise).sum() / math.sqrt(8 * 8), w
    )
    made = generator.synthesise(w)
    expected = numerical.square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(
        path_lengths(made.image, made.w, noise).detach(), expected, rtol=1e-5, atol=0
    )


def test_path_lengths_differentiate_twice(generator: Generator) -> None:
    z, noise = normal(1, 2, 4), normal(2, 2, 3, 8, 8)

    def penalty() -> Tensor:
        made = generator(z)
        return (path_lengths(made.image, made.w, noise) - 0.1).square().mean()

    nonzero = assert_parameter_gradients(penalty, generator)
    assert {
        "style.1.weight",
        "input.input",
        "convs.1.conv.weight",
        "to_rgbs.0.conv.weight",
    } < nonzero


def test_adversarial_losses() -> None:
    real, fake = torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.5], [3.0]])

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    expected = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(3)) / 2
    assert float(discriminator_adversarial(real, fake)) == pytest.approx(expected, rel=1e-6)
    expected = (softplus(-0.5) + softplus(-3)) / 2
    assert float(generator_adversarial(fake)) == pytest.approx(expected, rel=1e-6)


def test_adversarial_losses_of_large_logits_are_finite() -> None:
    large = torch.tensor([[1e4], [-1e4]])
    assert generator_adversarial(large).isfinite()
    assert discriminator_adversarial(large, large).isfinite()
