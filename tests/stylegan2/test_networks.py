from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.layers import ResBlock
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

ODD_WIDTHS = {4: 5, 8: 7, 16: 3, 32: 6, 64: 2}
RESOLUTIONS = [8, 16, 64]


def odd_architecture(resolution: int) -> Architecture:
    channels = {r: width for r, width in ODD_WIDTHS.items() if r <= resolution}
    return Architecture(resolution, style_dim=9, mapping_layers=2, channels=channels)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=RESOLUTIONS)
def generator(request: pytest.FixtureRequest) -> Generator:
    with Streams(0).initialising("generator"):
        network = Generator(odd_architecture(request.param))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.3)
    return network


@pytest.fixture(params=RESOLUTIONS)
def discriminator(request: pytest.FixtureRequest) -> Discriminator:
    with Streams(0).initialising("discriminator"):
        return Discriminator(odd_architecture(request.param))


def images(discriminator: Discriminator, batch: int = 4) -> Tensor:
    side = discriminator.architecture.resolution
    return normal(2, batch, 3, side, side)


def test_generator_shapes(generator: Generator) -> None:
    architecture = generator.architecture
    made = generator(normal(1, 3, 9), features=True)
    side = architecture.resolution
    assert made.image.shape == (3, 3, side, side)
    assert made.image.isfinite().all()
    assert made.w.shape == (3, architecture.n_latent, 9)
    sides = [4] + [r for r in architecture.resolutions[1:] for _ in range(2)]
    assert [tuple(f.shape) for f in made.features] == [(3, ODD_WIDTHS[s], s, s) for s in sides]
    assert generator.n_features == len(sides)


def test_features_come_with_the_same_image(generator: Generator) -> None:
    z = normal(1, 3, 9)
    plain, with_features = generator(z), generator(z, features=True)
    assert plain.features == []
    assert torch.equal(plain.image, with_features.image)


def test_fixed_noise_is_the_default(generator: Generator) -> None:
    z = normal(1, 3, 9)
    assert torch.equal(generator(z).image, generator(z).image)
    assert torch.equal(generator(z).image, generator(z, noise=generator.fixed_noise()).image)


def test_fresh_noise_is_reproducible_and_differs_by_image(generator: Generator) -> None:
    z = normal(1, 1, 9).expand(3, -1)
    noise = [generator.fresh_noise(3, torch.Generator().manual_seed(s)) for s in (5, 5, 6)]
    first, again, other = (generator(z, noise=n).image for n in noise)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first[0], first[1])
    torch.testing.assert_close(*generator(z[:2]).image)


def test_images_of_a_batch_are_independent(generator: Generator) -> None:
    z = normal(1, 3, 9)
    alone = torch.cat([generator(row[None]).image for row in z])
    torch.testing.assert_close(alone, generator(z).image, rtol=1e-4, atol=1e-5)


def test_style_mixing_takes_the_second_style_from_the_crossover(generator: Generator) -> None:
    z, mix = normal(1, 2, 9), normal(2, 2, 9)
    n_latent = generator.architecture.n_latent
    w = generator(z, mix, crossover=3).w
    assert torch.equal(w[:, :3], generator(z).w[:, :3])
    assert torch.equal(w[:, 3:], generator(mix).w[:, 3:])
    for crossover, style in ((n_latent, z), (0, mix)):
        mixed = generator(z, mix, crossover=crossover)
        torch.testing.assert_close(mixed.image, generator(style).image)


def test_the_styles_of_every_layer_may_pass_through_other_hands(generator: Generator) -> None:
    z, mix = normal(1, 2, 9), normal(2, 2, 9)
    for arguments in ((z,), (z, mix, 3)):
        whole = generator(*arguments)
        styles = generator.styles(*arguments)
        assert torch.equal(styles, whole.w)
        assert torch.equal(generator.synthesise(styles).image, whole.image)


def test_truncation_ends(generator: Generator) -> None:
    z = normal(1, 2, 9)
    mean = generator.mean_w(normal(3, 50, 9))
    assert torch.equal(generator(z, truncation=1.0).image, generator(z).image)
    collapsed = generator(z, truncation=0.0, truncation_mean=mean)
    torch.testing.assert_close(collapsed.w, mean[:, None].expand_as(collapsed.w))


def test_incomplete_arguments_are_refused(generator: Generator) -> None:
    z = normal(1, 2, 9)
    with pytest.raises(ValueError, match="crossover"):
        generator(z, z)
    with pytest.raises(ValueError, match="truncation_mean"):
        generator(z, truncation=0.5)


def test_w_has_a_gradient_under_a_frozen_mapping_network(generator: Generator) -> None:
    generator.requires_grad_(False)
    made = generator(normal(1, 2, 9))
    (gradient,) = torch.autograd.grad(made.image.sum(), made.w)
    assert gradient.abs().sum() > 0
    with torch.inference_mode():
        assert not generator(normal(1, 2, 9)).image.requires_grad


def test_discriminator_shapes(discriminator: Discriminator) -> None:
    sides = discriminator.architecture.resolutions[::-1]
    layers = range(discriminator.n_features)
    judged = discriminator(images(discriminator), features=layers)
    assert judged.logits.shape == (4, 1)
    assert judged.logits.isfinite().all()
    assert [discriminator.feature_resolution(layer) for layer in layers] == sides
    widths = [ODD_WIDTHS[s] for s in (sides[0], *sides[1:])]
    shapes = [tuple(judged.features[layer].shape) for layer in layers]
    assert shapes == [(4, width, s, s) for width, s in zip(widths, sides, strict=True)]


def test_discriminator_features_do_not_depend_on_the_request(discriminator: Discriminator) -> None:
    batch = images(discriminator)
    layers = list(range(discriminator.n_features))
    together = discriminator(batch, features=layers)
    assert torch.equal(together.logits, discriminator(batch).logits)
    for layer in layers:
        alone = discriminator(batch, features=[layer])
        early = discriminator(batch, features=[layer], logits=False)
        assert list(alone.features) == list(early.features) == [layer]
        assert torch.equal(alone.features[layer], together.features[layer])
        assert torch.equal(early.features[layer], together.features[layer])
        assert early.logits.shape == (0, 1)


def test_convolutions_of_a_block_are_seen_before_the_skip(discriminator: Discriminator) -> None:
    batch = images(discriminator)
    kinds: tuple[Literal["conv1", "conv2"], ...] = ("conv1", "conv2")
    blocks = range(1, discriminator.n_features)
    judged = discriminator(batch, [(block, kind) for block in blocks for kind in kinds])
    x = discriminator.convs[0](batch.contiguous(memory_format=torch.channels_last))
    for number in blocks:
        block = discriminator.convs[number]
        assert isinstance(block, ResBlock)
        x_first = block.conv1(x)
        x_second = block.conv2(x_first)
        x = (x_second + block.skip(x)) / 2**0.5
        assert torch.equal(judged.features[number, "conv1"], x_first)
        assert torch.equal(judged.features[number, "conv2"], x_second)
        early = discriminator(batch, [(number, "conv2")], logits=False)
        assert torch.equal(early.features[number, "conv2"], x_second)
    assert torch.equal(judged.logits, discriminator(batch).logits)


def test_the_last_layer_makes_the_logits_of_the_penultimate_features(
    discriminator: Discriminator,
) -> None:
    judged = discriminator(images(discriminator))
    assert judged.penultimate.shape == (4, ODD_WIDTHS[4])
    last = discriminator.final_linear[1]
    assert torch.equal(last(judged.penultimate), judged.logits)


def test_early_exit_leaves_later_layers_out() -> None:
    discriminator = Discriminator(odd_architecture(16))
    with torch.no_grad():
        for parameter in discriminator.convs[2].parameters():
            parameter.fill_(float("nan"))
    batch = images(discriminator)
    early = discriminator(batch, features=[0, 1], logits=False)
    assert all(features.isfinite().all() for features in early.features.values())
    assert discriminator(batch).logits.isnan().all()


@pytest.mark.parametrize("resolution", [4, 12, 0, 63])
def test_architecture_refuses_other_resolutions(resolution: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Architecture(resolution, 8, 2, {4: 8, 8: 8})


def test_architecture_names_the_missing_width() -> None:
    with pytest.raises(ValueError, match="16"):
        Architecture(16, 8, 2, {4: 8, 8: 8})
