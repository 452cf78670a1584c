"""WeditGAN: offsets of every layer, its regularisers by plain loops, and the contract."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.contract import RECIPE, Bench, check_method, train
from fsgan_bench.data.images import to_uint8
from fsgan_bench.snapshots.latents import seeded
from fsgan_bench.snapshots.samplers import Sampler
from fsgan_bench.training.session import Session
from fsgan_bench_extras.weditgan import Offsets, WeditGAN, contrast, perpendicularity, relocated


def start(**settings: Any) -> Session:
    class Asked(WeditGAN):
        tiny = settings

    return Bench(Asked).start()


def offsets(session: Session) -> Offsets:
    module = session.generator_side["offsets"]
    assert isinstance(module, Offsets)
    return module


def test_it_keeps_the_contract() -> None:
    outcomes = list(check_method(WeditGAN))
    assert outcomes
    assert [(o.check, o.problem) for o in outcomes if o.problem] == []


def test_by_default_offsets_and_the_discriminator_train_alone() -> None:
    session = start()
    before = copy.deepcopy([session.generator_side, session.discriminator_side])
    logs = train(session, 4)
    names = []
    for old, new in zip(before, (session.generator_side, session.discriminator_side), strict=True):
        state = new.state_dict()
        names += [n for n, value in old.state_dict().items() if not torch.equal(value, state[n])]
    generator = [name for name in names if not name.startswith("discriminator.")]
    assert generator == ["offsets.convolutions", "offsets.rgb"]
    assert len(names) > 10
    assert not any("contrast" in term or "perpendicular" in term for term in logs[0])


def test_offsets_of_a_layer_reach_that_layer_alone() -> None:
    """Layer by layer, with the synthesis network unrolled."""
    session = start()
    generator, module = session.generator, offsets(session)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    w = generator.styles(z)
    noise = generator.fixed_noise()
    with torch.no_grad():
        x = generator.conv1(generator.input(2), w[:, 0] + module.convolutions[0], noise[0])
        skip = generator.to_rgb1(x, w[:, 1] + module.rgb[0], None)
        for i, conv in enumerate(generator.convs, start=1):
            x = conv(x, w[:, i] + module.convolutions[i], noise[i])
            if i % 2 == 0:
                side = i // 2
                skip = generator.to_rgbs[side - 1](x, w[:, i + 1] + module.rgb[side], skip)
        made = relocated(generator, module, w, None)
    torch.testing.assert_close(made.image, skip)
    images = session.method.sample(dict(session.averaged.items()), z)
    assert images.shape == made.image.shape


def test_path_lengths_are_those_along_w_before_the_offset() -> None:
    session = start()
    latents = session.method.latents(session, 3)
    made = session.method.render(session, latents)
    expected = session.generator.styles(latents.z, latents.mix, latents.crossover)
    torch.testing.assert_close(made.w.detach(), expected)
    (slope,) = torch.autograd.grad(made.image.sum(), made.w)
    assert all(slope[:, layer].any() for layer in range(slope.shape[1]))


def test_perpendicularity_by_a_loop() -> None:
    session = start()
    module = offsets(session).requires_grad_(False)
    w = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1)).to(session.device)
    total = 0.0
    for i in range(3):
        for layer in range(5):
            total += float((w[i, layer] - w[(i + 1) % 3, layer]) @ module.convolutions[layer]) ** 2
        for side in range(3):
            gap = w[i, 2 * side + 1] - w[(i + 1) % 3, 2 * side + 1]
            total += float(gap @ module.rgb[side]) ** 2
    assert float(perpendicularity(module, w).detach()) == pytest.approx(total / 3, rel=1e-4)


def test_contrast_by_a_loop() -> None:
    dice = torch.Generator().manual_seed(0)
    target, source = (
        [torch.randn(3, 2, side, side, generator=dice) for side in (2, 4)] for _ in range(2)
    )
    total = 0.0
    for ours, theirs in zip(target, source, strict=True):
        for i in range(3):
            f = [
                torch.exp(F.cosine_similarity(ours[i].flatten(), other.flatten(), dim=0) / 0.5)
                for other in theirs
            ]
            total -= float(torch.log(f[i] / sum(f))) / 3
    assert float(contrast(target, source, 0.5)) == pytest.approx(total, rel=1e-4)


def terms(session: Session) -> dict[str, Tensor]:
    session.discriminator_side.requires_grad_(True)
    found = session.method.generator_loss(session)
    real = session.method.discriminator_loss(session, session.real_batch())
    return {**found, **{f"d_{name}": value for name, value in real.items()}}


def test_the_variants_add_their_terms() -> None:
    assert terms(start()).keys() == {"adversarial", "d_adversarial"}
    assert "perpendicular" in terms(start(perpendicular_weight=1e-4))
    found = terms(start(contrast_weight=0.5))
    assert {"generator_contrast", "d_discriminator_contrast"} <= found.keys()
    twice = terms(start(contrast_weight=1.0))
    for name in ("generator_contrast", "d_discriminator_contrast"):
        torch.testing.assert_close(twice[name], 2 * found[name])


def test_contrasts_vanish_without_an_offset() -> None:
    """Target and source are one image then; what is left is how alike other images are."""
    session = start(contrast_weight=1.0, tau=0.001)
    with torch.no_grad():
        offsets(session).convolutions.zero_()
        offsets(session).rgb.zero_()
    assert float(terms(session)["generator_contrast"].detach()) < 0.1


def test_intensities_learn_in_the_second_stage_more_slowly() -> None:
    session = start(intensity_fraction=0.5)
    module = offsets(session)
    before = copy.deepcopy(module.state_dict())
    logs = train(session, 3)
    state = module.state_dict()
    assert all(torch.equal(state[n], v) for n, v in before.items() if "intensities" in n)
    fixed = module.convolutions.detach().clone()
    logs += train(session, 3)
    assert ["generator/intensity" in log for log in logs] == [False] * 3 + [True] * 3
    assert torch.equal(module.convolutions, fixed)
    assert any(not torch.equal(module.state_dict()[n], v) for n, v in before.items() if "0.2" in n)
    usual, slow = session.generator_optimizer.param_groups
    assert slow["lr"] == pytest.approx(0.2 * usual["lr"])
    w = session.generator.styles(torch.randn(2, 8, device=session.device))
    convolutions, rgb = module.intensity(w)
    moved, colours = module(w)
    torch.testing.assert_close(moved[:, 3], w[:, 3] + (1 + convolutions[:, 3]) * fixed[3])
    torch.testing.assert_close(colours[:, 2], w[:, 5] + (1 + rgb[:, 2]) * module.rgb[2])


def test_it_draws_with_truncation_and_fresh_noise() -> None:
    """Offsets of the toRGB layers are truncated as those of the convolutions are."""
    session = start()
    with torch.no_grad():
        for name, value in offsets(session).named_parameters():
            value.normal_(generator=torch.Generator().manual_seed(len(name)))
    modules = dict(session.generator_side.items())
    sampler = Sampler("WeditGAN", session.method, modules, str(session.device), None, {})
    latents = seeded(0, 3, 8)
    plain, again, mean, fresh = (
        np.concatenate(list(drawn))
        for drawn in (
            sampler.draw(latents),
            sampler.draw(latents, 0.5),
            sampler.draw(latents, 0.0),
            sampler.draw(latents, noise="fresh"),
        )
    )
    sampled = to_uint8(session.method.sample(modules, latents.z.to(session.device)))
    assert np.array_equal(plain, sampled)
    assert (mean == mean[:1]).all() and not np.array_equal(again, plain)
    assert not np.array_equal(fresh, plain)


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_the_length_matters_to_the_second_stage_alone(fraction: float) -> None:
    session = start(intensity_fraction=fraction)
    train(session, 1)
    assert session.length_matters == (fraction > 0)


def test_a_slower_generator_slows_the_intensities() -> None:
    slow = Bench(WeditGAN).start(recipe=replace(RECIPE, generator_rate=RECIPE.generator_rate / 10))
    rates = [
        sorted(group["lr"] for group in each.generator_optimizer.param_groups)
        for each in (start(**WeditGAN.tiny), slow)
    ]
    assert rates[1] == pytest.approx([rate / 10 for rate in rates[0]])
