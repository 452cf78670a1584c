"""DCL: ablations, what is contrasted with what, and which weights each contrast moves."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import baselines.dcl
from baselines.dcl import DCL, discriminator_contrast, generator_contrast
from fsgan_bench.data.images import to_tensor
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator, Layer
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Arguments = list[tuple[Any, ...]]

identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)


def test_without_contrasts_it_is_cdc_without_distances(
    start: Start, train: Train, weights: Weights
) -> None:
    dcl, cdc = start("dcl", lambda1=0, lambda2=0), start("cdc", distance_weight=0)
    assert train(dcl, 6) == train(cdc, 6)
    identical(weights(dcl), weights(cdc))


@pytest.mark.parametrize(
    ("lambda1", "lambda2", "terms"),
    [
        (2, 0.5, {"generator_contrast", "discriminator_contrast"}),
        (2, 0, {"generator_contrast"}),
        (0, 0.5, {"discriminator_contrast"}),
    ],
)
def test_either_contrast_can_be_ablated(
    start: Start, train: Train, lambda1: float, lambda2: float, terms: set[str]
) -> None:
    logs = train(start("dcl", lambda1=lambda1, lambda2=lambda2), 2)
    for log in logs:
        assert {name for name in log if "contrast" in name} == {f"generator/{t}" for t in terms}
        assert ("mutual_information_bound" in log) == bool(lambda1)


def test_the_weights_are_those_of_eq_8(start: Start) -> None:
    single, double = start("dcl", lambda1=1, lambda2=1), start("dcl", lambda1=2, lambda2=0.5)
    ours, theirs = (s.method.generator_loss(s) for s in (single, double))
    assert torch.equal(theirs["generator_contrast"], 2 * ours["generator_contrast"])
    assert torch.equal(theirs["discriminator_contrast"], 0.5 * ours["discriminator_contrast"])
    assert torch.equal(theirs["adversarial"], ours["adversarial"])


def test_the_bound_on_mutual_information_is_logged(start: Start, train: Train) -> None:
    for log in train(start("dcl"), 4):
        bound = log["mutual_information_bound"]
        assert bound == pytest.approx(math.log(4) - log["generator/generator_contrast"] / 2)
        assert bound <= math.log(4)


@pytest.fixture
def contrasts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Arguments]:
    """Arguments of every computation of either contrast."""
    seen: dict[str, Arguments] = {"generator": [], "discriminator": []}

    def watched(name: str, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def compute(*arguments: Any) -> Tensor:
            seen[name].append(arguments)
            return loss(*arguments)

        return compute

    for name, loss in (
        ("generator", generator_contrast),
        ("discriminator", discriminator_contrast),
    ):
        monkeypatch.setattr(baselines.dcl, f"{name}_contrast", watched(name, loss))
    return seen


def test_layers_of_every_level_are_drawn(start: Start, contrasts: dict[str, Arguments]) -> None:
    session = start("dcl")
    for session.iteration in range(40):
        session.method.generator_loss(session)
    g, d = session.generator, session.discriminator
    images = to_tensor(session.images[:1]).to(session.device)
    shapes = [
        f.shape[1:] for f in g(torch.zeros(1, 8, device=session.device), features=True).features
    ]
    drawn = [target.shape[1:] for target, *_ in contrasts["generator"]]
    assert set(drawn) == set(shapes)
    layers = [(block, conv) for block in (1, 2) for conv in ("conv1", "conv2")]
    shapes = [f.shape[1:] for f in d(images, [0, *layers]).features.values()]
    drawn = [target.shape[1:] for target, *_ in contrasts["discriminator"]]
    assert set(drawn) == set(shapes)


def test_pairs_share_latents_and_noise(start: Start, contrasts: dict[str, Arguments]) -> None:
    session = start("dcl")
    session.method.generator_loss(session)
    for kind in ("generator", "discriminator"):
        ((target, source, *_),) = contrasts[kind]
        assert len(target) == session.recipe.batch
        # the features of the discriminator come from two passes
        torch.testing.assert_close(target, source)
        assert target.requires_grad
        assert target.grad_fn is not None


def test_negatives_are_the_few_shot_images(start: Start, contrasts: dict[str, Arguments]) -> None:
    session = start("dcl", tau=0.5)
    session.method.generator_loss(session)
    ((_, _, real, tau),) = contrasts["discriminator"]
    assert tau == 0.5
    layers = DCL().contrasted_layers(session)
    features = session.discriminator(session.few_shot, layers).features.values()
    assert any(f.shape == real.shape and torch.allclose(f, real, atol=1e-6) for f in features)


def test_without_negatives_there_is_no_contrast(start: Start) -> None:
    with pytest.raises(UserError, match="max_real must be at least 1"):
        start("dcl", max_real=0)


def test_there_are_at_most_max_real_negatives_drawn_anew(
    start: Start, contrasts: dict[str, Arguments], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DCL, "contrasted_layers", lambda dcl, session: [0])
    session = start("dcl", max_real=3)
    for _ in range(5):
        session.method.generator_loss(session)
    drawn = [real for _, _, real, _ in contrasts["discriminator"]]
    assert [len(real) for real in drawn] == [3] * 5
    assert not all(torch.allclose(drawn[0], other) for other in drawn[1:])


def contrast_terms(session: Session) -> tuple[Tensor | None, Tensor | None]:
    """The discriminator contrast in the generator's loss and in the discriminator's.

    Everything on both sides requires gradients, so that a leak would show.
    """
    session.generator_side.requires_grad_(True)
    session.discriminator_side.requires_grad_(True)
    with torch.no_grad():  # target and source are to differ
        session.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
    method = session.method
    assert isinstance(method, DCL)
    in_discriminators = method.discriminator_loss(session, session.real_batch())
    in_generators = method.generator_loss(session)
    return in_generators.get("discriminator_contrast"), in_discriminators.get(
        "discriminator_contrast"
    )


def reached(term: Tensor, side: torch.nn.Module) -> set[str]:
    """Parameters of ``side`` whose gradient of ``term`` is not zero."""
    names, parameters = zip(*side.named_parameters(), strict=True)
    gradients = torch.autograd.grad(term, parameters, allow_unused=True, retain_graph=True)
    return {n for n, g in zip(names, gradients, strict=True) if g is not None and g.any()}


@pytest.mark.parametrize("updates", ["generator", "discriminator", "both"])
@pytest.mark.parametrize("iteration", [0, 1])
def test_which_weights_the_discriminator_contrast_can_reach(
    start: Start, updates: str, iteration: int
) -> None:
    session = start("dcl", discriminator_cl_updates=updates)
    session.iteration = iteration
    in_generators, in_discriminators = contrast_terms(session)
    assert (in_generators is not None) == (updates != "discriminator")
    assert (in_discriminators is not None) == (updates != "generator")
    if in_generators is not None:
        generator = reached(in_generators, session.generator_side)
        assert "generator.input.input" in generator
        assert "generator.style.1.weight" in generator
        assert "generator.convs.3.conv.weight" in generator
    if in_discriminators is not None:
        assert not reached(in_discriminators, session.generator_side)
        discriminator = reached(in_discriminators, session.discriminator_side)
        assert "discriminator.convs.0.0.weight" in discriminator
        assert not any(n.startswith(("patch_heads", "discriminator.final")) for n in discriminator)


@pytest.mark.parametrize(
    ("updates", "moves"),
    [
        ("generator", {"generator_side"}),
        ("discriminator", {"discriminator_side"}),
        ("both", {"generator_side", "discriminator_side"}),
    ],
)
def test_which_weights_the_discriminator_contrast_moves(
    start: Start, train: Train, updates: str, moves: set[str]
) -> None:
    """Each side's gradient in a training step, with the other side as it was without the term."""
    gradients: dict[float, dict[str, list[Tensor]]] = {}
    for lambda2 in (0.0, 0.5):
        session = start("dcl", lambda2=lambda2, discriminator_cl_updates=updates)
        session.generator_optimizer.param_groups[0]["lr"] = 0.0
        session.discriminator_optimizer.param_groups[0]["lr"] = 0.0
        with torch.no_grad():  # target and source are to differ
            session.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
        session.iteration = 1  # no regulariser runs
        train(session, 1)
        gradients[lambda2] = {
            side: [p.grad for p in getattr(session, side).parameters() if p.grad is not None]
            for side in ("generator_side", "discriminator_side")
        }
    for side, without in gradients[0.0].items():
        with_term = gradients[0.5][side]
        same = len(without) == len(with_term) and all(map(torch.equal, without, with_term))
        assert same == (side not in moves), side


def by_hand(session: Session, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What an iteration of ``session`` computes from its draws, by plain formulas.

    The adversarial loss of the discriminator, that of the generator, and Eq. 7, unweighted.
    """
    method, n = session.method, len(real)
    assert isinstance(method, DCL)
    latents, noise = method.latents(session, n), session.noise(n)
    possible = method.contrasted_layers(session)
    draws = n if method.config.layers_drawn == "sample" else 1
    drawn = [
        possible[session.streams.integer("discriminator_layer", 0, len(possible))]
        for _ in range(draws)
    ]
    target, source = (
        generator(latents.z, latents.mix, latents.crossover, noise=noise).image
        for generator in (session.generator, session.source_generator)
    )
    on_real, on_fake = (session.method.judge(session, images) for images in (real, target))
    discriminator = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
    terms = []
    for i in range(n):
        layer = drawn[i % draws]
        t, s, r = (
            session.discriminator(images, (layer,)).features[layer].flatten(1)
            for images in (target, source, session.few_shot)
        )
        same = (F.cosine_similarity(t[i], s[i], dim=0) / session.method.config.tau).exp()
        away = [(F.cosine_similarity(t[i], x, dim=0) / session.method.config.tau).exp() for x in r]
        terms.append(-(same / (same + sum(away))).log())
    return discriminator, F.softplus(-on_fake).mean(), torch.stack(terms).mean()


@pytest.mark.parametrize("iteration", [0, 1])
@pytest.mark.parametrize("features", ["published", "block"])
@pytest.mark.parametrize("drawn", ["batch", "sample"])
def test_both_sides_losses_by_plain_formulas(
    start: Start, iteration: int, features: str, drawn: str
) -> None:
    """Where neither network is the source any more; features are the adapting discriminator's."""
    settings = {
        "discriminator_cl_updates": "both",
        "discriminator_features": features,
        "layers_drawn": drawn,
        "lambda1": 0,
        "lambda2": 3,
        "tau": 0.5,
    }
    session, twin = start("dcl", **settings), start("dcl", **settings)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for ours, theirs in zip(
            [*session.generator_side.parameters(), *session.discriminator_side.parameters()],
            [*twin.generator_side.parameters(), *twin.discriminator_side.parameters()],
            strict=True,
        ):
            ours.add_(0.3 * torch.randn(ours.shape, generator=noise).to(ours.device))
            theirs.copy_(ours)
    session.iteration = twin.iteration = iteration
    real = session.real_batch()
    for _ in range(3):
        losses = session.method.discriminator_loss(session, real)
        adversarial, _, contrast = by_hand(twin, real)
        wanted = {"adversarial": adversarial, "discriminator_contrast": 3 * contrast}
        torch.testing.assert_close(losses, wanted)
        losses = session.method.generator_loss(session)
        _, adversarial, contrast = by_hand(twin, real)
        wanted = {"adversarial": adversarial, "discriminator_contrast": 3 * contrast}
        torch.testing.assert_close(losses, wanted)


@pytest.mark.parametrize("resolution", [16, 32, 64, 256])
@pytest.mark.parametrize("iteration", [0, 1])
def test_the_published_list_is_what_a_pass_of_the_published_discriminator_collects(
    start: Start, resolution: int, iteration: int
) -> None:
    """Walks the blocks as the model file does, which at 256x256 gives 19 and 16 features."""
    sides = [2**i for i in range(2, 9) if 2**i <= resolution]
    architecture = Architecture(resolution, 4, 1, dict.fromkeys(sides, 2))
    pair = Generator(architecture), Discriminator(architecture)
    images = np.zeros((2, resolution, resolution, 3), np.uint8)
    downscale = min(8, resolution // 8)
    session = start("dcl", networks=pair, images=images, patch_downscales=(downscale,))
    session.iteration = iteration
    wanted: list[Any] = [0]
    candidates = 0  # patch maps: the side after the first, twice each, as 32 and 16 at 256x256
    for block in range(1, len(sides)):
        before, after = resolution >> (block - 1), resolution >> block
        patch_sides = (resolution // downscale, resolution // downscale // 2)
        candidates += (before in patch_sides) + (after in patch_sides)
        wanted += [(block, "conv1"), (block, "conv2"), (block, "conv2")]
        if iteration and candidates == 4:
            break
    method = session.method
    assert isinstance(method, DCL)
    assert method.contrasted_layers(session) == wanted
    if resolution == 256:
        assert len(wanted) == (16 if iteration else 19)


def test_the_second_convolution_is_drawn_twice_as_often(start: Start) -> None:
    session = start("dcl", layers_drawn="sample")
    assert isinstance(session.method, DCL)
    drawn = session.method._discriminator_layers(session, 2000)
    shares: list[tuple[Layer, int]] = [(0, 1), ((1, "conv1"), 1), ((1, "conv2"), 2)]
    for layer, share in shares:
        assert drawn.count(layer) == pytest.approx(2000 * share / 7, rel=0.2)


@pytest.mark.parametrize("drawn", ["batch", "sample"])
def test_the_generators_contrast_sample_by_sample(start: Start, drawn: str) -> None:
    session, twin = (start("dcl", layers_drawn=drawn, lambda2=0, lambda1=1) for _ in range(2))
    with torch.no_grad():
        for each in (session, twin):
            each.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
    tau, n = twin.method.config.tau, twin.recipe.batch
    for _ in range(5):
        found = session.method.generator_loss(session)["generator_contrast"]
        latents, noise = twin.method.latents(twin, n), twin.noise(n)
        target, source = (
            generator(latents.z, noise=noise, features=True).features
            for generator in (twin.generator, twin.source_generator)
        )
        layers = [
            twin.streams.integer("generator_layer", 0, 5)
            for _ in range(n if drawn == "sample" else 1)
        ]
        terms = []
        for i in range(n):
            layer = layers[i % len(layers)]
            similar = [
                F.cosine_similarity(target[layer][i].flatten(), other.flatten(), dim=0) / tau
                for other in source[layer]
            ]
            terms.append(-torch.stack(similar).log_softmax(dim=0)[i])
        torch.testing.assert_close(found, torch.stack(terms).mean())
