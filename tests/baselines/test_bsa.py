"""BSA: scales and shifts alone train, against a discriminator or towards the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.bsa import ImageCodes, matching_distance
from fsgan_bench.data.images import Images
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]


def scales_and_shifts(blocks: int) -> set[str]:
    """Modulation affines and activation biases of a generator of ``blocks`` upsampling blocks."""
    styled = ["conv1", *(f"convs.{i}" for i in range(2 * blocks))]
    to_rgb = ["to_rgb1", *(f"to_rgbs.{i}" for i in range(blocks))]
    scales = {
        f"generator.{layer}.conv.modulation.{kind}"
        for layer in styled + to_rgb
        for kind in ("weight", "bias")
    }
    return scales | {f"generator.{layer}.activate.bias" for layer in styled}


def test_modulation_affines_and_activation_biases_train_alone(
    start: Start, train: Train, weights: Weights, changed: Changed
) -> None:
    session = start("bsa")
    before = weights(session)
    logs = train(session, 4)
    after = weights(session)
    for side in ("generator_side", "averaged"):
        assert changed(before[side], after[side]) == scales_and_shifts(blocks=2)
    discriminator = {f"discriminator.{n}" for n, _ in session.discriminator.named_parameters()}
    moved = changed(before["discriminator_side"], after["discriminator_side"])
    assert moved == discriminator
    assert all({"discriminator/adversarial", "generator/adversarial"} <= log.keys() for log in logs)


@pytest.fixture(scope="module")
def networks_32() -> tuple[Generator, Discriminator]:
    """The smallest pair whose images the perceptual distance takes."""
    widths = {4: 8, 8: 8, 16: 8, 32: 4}
    architecture = Architecture(32, style_dim=8, mapping_layers=2, channels=widths)
    with Streams(0).initialising("networks"):
        return Generator(architecture), Discriminator(architecture)


@pytest.fixture(scope="module")
def images_32() -> Images:
    """Smooth images [3, 32, 32, 3]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def test_supervised_codes_and_scales_train_without_a_discriminator(
    start: Start,
    train: Train,
    weights: Weights,
    changed: Changed,
    networks_32: tuple[Generator, Discriminator],
    images_32: Images,
) -> None:
    session = start("bsa", networks=networks_32, images=images_32, objective="supervised")
    codes = session.generator_side["codes"]
    assert isinstance(codes, ImageCodes)
    assert codes.z.shape == (3, 8)
    before = weights(session)
    logs = train(session, 4)
    after = weights(session)
    moved = changed(before["generator_side"], after["generator_side"])
    assert moved == {"codes.z"} | scales_and_shifts(blocks=3)
    assert changed(before["averaged"], after["averaged"]) == moved
    assert not changed(before["discriminator_side"], after["discriminator_side"])
    assert not session.discriminator_optimizer.state
    terms = {"generator/pixels", "generator/perceptual", "generator/latents"}
    assert all(log.keys() == terms for log in logs)


def test_supervised_training_approaches_an_image(
    start: Start,
    train: Train,
    networks_32: tuple[Generator, Discriminator],
    images_32: Images,
) -> None:
    session = start(
        "bsa",
        networks=networks_32,
        images=images_32[:1],
        recipe=Recipe(batch=2),
        objective="supervised",
    )
    logs = train(session, 12)
    for term in ("generator/pixels", "generator/perceptual"):
        values = [log[term] for log in logs]
        assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3]), term


def test_the_supervised_terms_by_hand(
    start: Start, networks_32: tuple[Generator, Discriminator], images_32: Images
) -> None:
    settings = {
        "perceptual_weight": 0.3,
        "latent_weight": 0.7,
        "latent_noise": 0.5,
        "prior_draws": 2,
    }
    session, twin = (
        start("bsa", networks=networks_32, images=images_32, objective="supervised", **settings)
        for _ in range(2)
    )
    codes = twin.generator_side["codes"].get_parameter("z")
    chosen = twin.streams.distinct("images", 3, 4)
    z = codes[chosen] + 0.5 * twin.normal("latent_noise", 4, 8)
    fake, real = twin.generator(z, noise=twin.noise(4)).image, twin.few_shot[chosen]
    ours, theirs = (load_backbone("lite0", "cpu").forward(x).lpips for x in (fake, real))
    expected = {
        "pixels": (fake - real).abs().mean(),
        "perceptual": 0.3 * (ours - theirs).square().sum(dim=1).mean(),
        "latents": 0.7 * matching_distance(codes[chosen], twin.normal("latent_prior", 8, 8)),
    }
    terms = session.method.generator_loss(session)
    torch.testing.assert_close(terms, expected)
    own = session.generator_side["codes"].get_parameter("z")
    for name, term in terms.items():
        slopes = [
            torch.autograd.grad(value, code, retain_graph=True)[0]
            for value, code in ((term, own), (expected[name], codes))
        ]
        assert slopes[0].any()
        torch.testing.assert_close(*slopes)


def test_the_supervised_rate_is_the_published_one_and_decays(
    start: Start,
    train: Train,
    networks_32: tuple[Generator, Discriminator],
    images_32: Images,
) -> None:
    session = start(
        "bsa", networks=networks_32, images=images_32, objective="supervised", decay_every=2
    )
    (group,) = session.generator_optimizer.param_groups
    assert group["betas"] == (0.9, 0.999)
    rates = []
    for _ in range(4):
        train(session, 1)
        rates.append(group["lr"])
    assert rates == pytest.approx([0.03, 0.006, 0.006, 0.0012])


def test_the_adversarial_rate_is_the_recipes(start: Start) -> None:
    ours, plain = start("bsa").generator_optimizer, start("tgan").generator_optimizer
    for name in ("lr", "betas"):
        assert ours.param_groups[0][name] == plain.param_groups[0][name]


def test_supervised_images_of_the_sampler_follow_the_latent(
    start: Start, networks_32: tuple[Generator, Discriminator], images_32: Images
) -> None:
    session = start("bsa", networks=networks_32, images=images_32, objective="supervised")
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    images = session.method.sample(dict(session.averaged.items()), z)
    torch.testing.assert_close(images, session.averaged["generator"](z).image, rtol=0, atol=0)


def test_matching_distance_by_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    codes, prior = (torch.randn(n, 5, generator=generator) for n in (3, 4))

    def nearest(points: Tensor, others: Tensor) -> float:
        return float(np.mean([min(float((p - o).square().sum()) for o in others) for p in points]))

    expected = nearest(codes, prior) + nearest(prior, codes)
    assert float(matching_distance(codes, prior)) == pytest.approx(expected, rel=1e-5)


def test_matching_distance_vanishes_for_equal_sets_in_any_order() -> None:
    points = torch.eye(4)
    assert float(matching_distance(points, points.flip(0))) == pytest.approx(0, abs=1e-6)


def test_codes_are_drawn_towards_the_prior() -> None:
    codes = torch.full((2, 3), 5.0, requires_grad=True)
    matching_distance(codes, torch.zeros(2, 3)).backward()
    assert codes.grad is not None
    assert (codes.grad > 0).all()
