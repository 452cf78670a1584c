"""What a training pass draws, and the target that path-length regularisation pulls towards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.method import Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

DECAY = 0.3
RECIPE = Recipe(path_length_batch_shrink=1, path_length_decay=DECAY, style_mixing=1.0)


@pytest.fixture
def twins(networks: tuple[Generator, Discriminator], few_shot: Images) -> list[Session]:
    """Two sessions that draw the same."""
    return [
        Session(Method(), *networks, few_shot, recipe=RECIPE, seed=0, iterations=4)
        for _ in range(2)
    ]


def test_the_target_of_path_lengths_follows_those_seen(twins: list[Session]) -> None:
    session, twin = twins
    weight = RECIPE.path_length_weight * RECIPE.path_length_every
    target = torch.zeros((), device=session.device)
    for _ in range(2):
        loss = session.method.path_length_loss(session)
        lengths = twin.method.path_lengths(twin)
        # The batch's own lengths move the target, and the gradient takes that into account.
        mean = (1 - DECAY) * target + DECAY * lengths.mean()
        expected = weight * ((lengths - mean) ** 2).mean()
        ours, theirs = (gradient_of(*each) for each in ((loss, session), (expected, twin)))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
        assert theirs.abs().max() > 1e-3
        target = mean.detach()
        torch.testing.assert_close(session.path_length_mean, target)


def gradient_of(loss: Tensor, session: Session) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, session.generator.conv1.conv.weight)
    return gradient


def test_mixed_styles_differ_and_cross_over_at_every_layer(twins: list[Session]) -> None:
    session = twins[0]
    drawn = [session.method.latents(session, 2) for _ in range(200)]
    assert not any(torch.equal(each.z, each.mix) for each in drawn if each.mix is not None)
    crossovers = {each.crossover for each in drawn}
    assert crossovers == set(range(1, session.architecture.n_latent))


def test_every_image_has_noise_of_its_own(twins: list[Session]) -> None:
    session = twins[0]
    first, second = session.noise(4), session.noise(4)
    for layer, other in zip(first, second, strict=True):
        assert len(torch.cat([layer, other]).unique(dim=0)) == 8
