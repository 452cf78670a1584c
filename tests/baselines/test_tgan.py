"""TGAN is the base class: all of the pair trains with the shared recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session


def test_everything_trains_but_fixed_noise_and_blur(
    start: Callable[..., Session],
    train: Callable[[Session, int], list[dict[str, float]]],
    weights: Callable[[Session], dict[str, dict[str, Tensor]]],
    changed: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]],
) -> None:
    session = start("tgan")
    before = weights(session)
    logs = train(session, 4)
    after = weights(session)
    for side in ("generator_side", "discriminator_side"):
        parameters = {name for name, _ in getattr(session, side).named_parameters()}
        assert changed(before[side], after[side]) == parameters
    assert set.union(*map(set, logs)) == {
        "discriminator/adversarial",
        "discriminator/r1",
        "generator/adversarial",
        "generator/path_length",
    }


def test_regularisers_weigh_what_the_recipe_says(start: Callable[..., Session]) -> None:
    """Karras et al. 2020: half of gamma 10 every 16 iterations, and 2 every 4 iterations."""
    session, twin = start("tgan", recipe=Recipe()), start("tgan", recipe=Recipe())
    real = session.real_batch().requires_grad_(True)
    (slope,) = torch.autograd.grad(session.discriminator(real).logits.sum(), real)
    penalty = slope.square().sum(dim=(1, 2, 3)).mean()
    r1 = session.method.r1_loss(session, real)
    torch.testing.assert_close(r1, 5 * 16 * penalty)

    lengths = twin.method.path_lengths(twin)
    assert lengths.shape == (2,)
    spread = (lengths - 0.01 * lengths.mean()).square().mean()
    path_length = session.method.path_length_loss(session)
    torch.testing.assert_close(path_length, 2 * 4 * spread)
