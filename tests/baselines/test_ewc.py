"""EWC: Fisher information sample by sample, and a penalty whose scale is explicit."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.ewc import EWC, EWCConfig, fisher_information
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Pair = tuple[Generator, Discriminator]

identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)


def ewc(session: Session) -> EWC:
    assert isinstance(session.method, EWC)
    return session.method


def fisher(session: Session) -> dict[str, Tensor]:
    state: dict[str, Tensor] = session.method.state_dict()["fisher"]
    return state


def naive_fisher(networks: Pair, batches: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean over batches of the squared gradient of the batch's cross-entropy, in float64."""
    generator, discriminator = (copy.deepcopy(network).double() for network in networks)
    total = {name: torch.zeros_like(p) for name, p in generator.named_parameters()}
    for z in batches:
        generator.zero_grad()
        logits = discriminator(generator(z.double()).image).logits
        F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad is not None
            total[name] += parameter.grad**2 / len(batches)
    return total


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def test_fisher_information_is_the_mean_squared_gradient_of_single_samples(
    networks: Pair, latents: Tensor
) -> None:
    ours = fisher_information(*networks, latents)
    expected = naive_fisher(networks, latents.split(1))
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        assert ours[name].dtype == torch.float32
        torch.testing.assert_close(
            ours[name].double(), value, rtol=1e-3, atol=1e-5 * float(value.max()), msg=name
        )
        assert value.max() > 0
    generator, discriminator = (copy.deepcopy(network).double() for network in networks)
    exact = fisher_information(generator, discriminator, latents.double())  # type: ignore[arg-type]
    torch.testing.assert_close(exact, expected)


def test_it_is_not_the_square_of_the_mean_gradient(networks: Pair, latents: Tensor) -> None:
    ours = fisher_information(*networks, latents)
    of_the_mean = naive_fisher(networks, (latents,))
    smaller = [float(of_the_mean[name].sum() / ours[name].sum()) for name in ours]
    assert max(smaller) < 0.999


def test_it_leaves_the_networks_alone(networks: Pair, latents: Tensor) -> None:
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    flags = [p.requires_grad for network in networks for p in network.parameters()]
    values = fisher_information(*networks, latents)
    for network, state in zip(networks, before, strict=True):
        identical(network.state_dict(), state)
        assert all(p.grad is None for p in network.parameters())
    assert [p.requires_grad for network in networks for p in network.parameters()] == flags
    assert not any(value.requires_grad for value in values.values())


def test_setup_takes_the_source_and_the_number_of_samples_asked_for(
    start: Start, networks: Pair
) -> None:
    session = start("ewc", setup=False, fisher_samples=3)
    with torch.no_grad():
        session.generator.input.input.add_(1)
        session.discriminator.get_parameter("convs.0.0.weight").add_(1)
    session.method.setup(session)
    drawn = start("ewc", setup=False).normal("fisher", 3, 8)
    torch.testing.assert_close(fisher(session), fisher_information(*networks, drawn))


def test_the_penalty_starts_at_exactly_zero_and_grows(start: Start, train: Train) -> None:
    session = start("ewc")
    assert float(ewc(session).penalty(session).detach()) == 0
    logs = train(session, 3)
    assert logs[0]["generator/ewc"] == 0
    assert all(log["generator/ewc"] > 0 for log in logs[1:])
    for log in logs:
        ratio = log["generator/ewc"] / log["generator/adversarial"]
        assert log["ewc_to_adversarial"] == pytest.approx(ratio)


def test_the_penalty_is_the_weighted_squared_distance_to_the_source(
    start: Start, train: Train
) -> None:
    session = start("ewc", strength=0, reduction="sum")
    train(session, 3)
    expected, slope = 0.0, {}
    source = dict(session.source_generator.named_parameters())
    for name, parameter in session.generator.named_parameters():
        moved = parameter.detach().double() - source[name].double()
        expected += float((fisher(session)[name].double() * moved**2).sum())
        slope[name] = 2 * fisher(session)[name].double() * moved
    session.generator.requires_grad_(True)
    penalty = ewc(session).penalty(session)
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-5)
    gradients = torch.autograd.grad(penalty, list(session.generator.parameters()))
    for gradient, wanted in zip(gradients, slope.values(), strict=True):
        torch.testing.assert_close(
            gradient.double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max())
        )


def test_mean_is_the_sum_over_the_number_of_weights(start: Start, train: Train) -> None:
    total, mean = start("ewc", strength=0, reduction="sum"), start("ewc", strength=0)
    train(total, 2)
    train(mean, 2)
    n = sum(p.numel() for p in total.generator.parameters())
    ours, theirs = (float(ewc(s).penalty(s).detach()) for s in (total, mean))
    assert ours > 0
    assert theirs * n == pytest.approx(ours)


def test_the_mean_of_each_tensor_is_summed_over_tensors(start: Start, train: Train) -> None:
    session = start("ewc", strength=0, reduction="mean_per_tensor")
    train(session, 2)
    expected = 0.0
    source = dict(session.source_generator.named_parameters())
    for name, parameter in session.generator.named_parameters():
        weights = zip(
            fisher(session)[name].flatten().tolist(),
            parameter.flatten().tolist(),
            source[name].flatten().tolist(),
            strict=True,
        )
        terms = [f * (ours - theirs) ** 2 for f, ours, theirs in weights]
        expected += sum(terms) / len(terms)
    assert float(ewc(session).penalty(session).detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("strength", [1.0, 1e6])
def test_the_term_is_strength_times_the_penalty(
    start: Start, train: Train, strength: float
) -> None:
    session = start("ewc", strength=0)
    train(session, 2)
    session.method.config = EWCConfig(strength=strength)
    term = session.method.generator_loss(session)["ewc"]
    penalty = ewc(session).penalty(session)
    assert penalty > 0
    assert torch.equal(term, strength * penalty)


def test_without_strength_it_is_plain_fine_tuning(
    start: Start, train: Train, weights: Weights
) -> None:
    ours, plain = start("ewc", strength=0), start("tgan")
    assert train(ours, 6) == train(plain, 6)
    identical(weights(ours), weights(plain))


def test_more_strength_holds_the_generator_closer_to_the_source(start: Start, train: Train) -> None:
    distances = []
    for strength in (0, 1e6, 1e12):
        session = start("ewc", strength=strength)
        train(session, 4)
        distances.append(float(ewc(session).penalty(session).detach()))
    assert distances[0] > distances[1] > distances[2]


@pytest.mark.parametrize("samples", [0, -1])
def test_no_samples_are_refused(start: Start, samples: int) -> None:
    with pytest.raises(UserError, match="fisher_samples must be at least 1"):
        start("ewc", fisher_samples=samples)
