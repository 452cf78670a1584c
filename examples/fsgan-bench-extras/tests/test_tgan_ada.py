"""TGAN+ADA: every augmentation against a slow one, how p moves, and what the training does."""

from __future__ import annotations

import colorsys
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench import Method, Session, UserError
from fsgan_bench.contract import CHECKS, RECIPE, Bench, state_of, train
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench_extras import tgan_ada
from fsgan_bench_extras.tgan_ada import (
    SYM6,
    TGANADA,
    Dice,
    TGANADAConfig,
    augment,
    blit,
    brightness_and_contrast,
    draw_blit,
    draw_colour,
    draw_geometric,
    hue,
    luma_flip,
    recolour,
    resample,
    rotation,
    saturation,
    scaling,
    translation,
)

Array = NDArray[np.float64]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one(value: float) -> Tensor:
    return torch.tensor([float(value)])


def integers(side: int) -> Tensor:
    """Two images whose pixels all differ, as exact float32 integers."""
    return torch.arange(2.0 * 3 * side * side).view(2, 3, side, side)


# The wavelet.


def test_sym6_is_orthogonal_with_six_vanishing_moments() -> None:
    low = np.array(SYM6)
    products = [low[2 * shift :] @ low[: len(low) - 2 * shift] for shift in range(6)]
    np.testing.assert_allclose(products, [1, 0, 0, 0, 0, 0], atol=1e-11)
    np.testing.assert_allclose(low.sum(), math.sqrt(2), rtol=1e-11)
    taps = np.arange(len(low), dtype=float)
    high = low * (-1.0) ** taps
    moments = [high @ (taps - taps.mean()) ** order for order in range(6)]
    np.testing.assert_allclose(moments, 0, atol=1e-7)
    assert abs(high @ (taps - taps.mean()) ** 6) > 1


# Blitting.


@pytest.mark.parametrize(
    ("flip", "turns", "shift"),
    [*itertools.product((0, 1), range(4), ((0, 0), (1, 0), (-3, 2), (5, -7)))],
)
def test_blitting_is_numpys_flip_rot90_and_shift(
    flip: int, turns: int, shift: tuple[int, int]
) -> None:
    side, (x, y) = 8, shift
    images = integers(side)
    transform = (
        scaling(one(1 - 2 * flip), one(1))
        @ rotation(one(turns * math.pi / 2)).round()
        @ translation(one(x), one(y))
    )
    expected = images.numpy()
    if flip:
        expected = np.flip(expected, 3)
    expected = np.rot90(expected, turns, axes=(2, 3))
    around = np.pad(expected, ((0, 0), (0, 0), (side, side), (side, side)), mode="reflect")
    expected = around[:, :, side + y : 2 * side + y, side + x : 2 * side + x]
    moved = blit(images, transform.repeat(2, 1, 1))
    np.testing.assert_array_equal(moved.numpy(), expected)


def test_blits_are_drawn_as_published() -> None:
    """Whole turns and pixels, at most an eighth of the side; every one as often as another."""
    n, side = 40_000, 16
    transforms = draw_blit(Dice(n, 1.0, seeded()), side).round(decimals=6)
    assert torch.equal(transforms, transforms.round())
    # Turned shifts are shifts again, and as likely as those that are not.
    x, counts = transforms[:, 0, 2].unique(return_counts=True)
    assert x.tolist() == [-2, -1, 0, 1, 2]
    shares = torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125])
    torch.testing.assert_close(counts / n, shares, atol=0.01, rtol=0)
    _, counts = transforms[:, :2, :2].flatten(1).unique(dim=0, return_counts=True)
    torch.testing.assert_close(counts / n, torch.full((8,), 1 / 8), atol=0.01, rtol=0)


def test_geometry_changes_in_the_published_order() -> None:
    """What is drawn, undone point by point, leads from the source back to the target."""
    n, side = 8, 16
    dice = Dice(n, 1.0, seeded())
    flips = dice.applied(dice.uniform(0, 2).floor(), 0)
    turns = dice.applied(dice.uniform(0, 4).floor(), 0) * (math.pi / 2)
    whole = dice.applied((dice.uniform(-0.125, 0.125, 2) * side).round(), 0)
    scales = dice.applied(dice.normal(0.2), 0).exp2()
    before = dice.applied(dice.uniform(-math.pi, math.pi), 0)
    stretches = dice.applied(dice.normal(0.2), 0).exp2()
    after = dice.applied(dice.uniform(-math.pi, math.pi), 0)
    parts = dice.applied(dice.normal(0.125, 2) * side, 0)

    dice = Dice(n, 1.0, seeded())
    blitting, geometry = draw_blit(dice, side), draw_geometric(dice, side)
    target = torch.tensor([1.5, -4.0, 1.0])
    for image in range(n):
        x, y, _ = (blitting[image] @ target).tolist()
        point = complex(-x if flips[image] else x, y)
        point *= np.exp(-1j * float(turns[image]))
        point -= complex(*whole[:, image])
        assert point == pytest.approx(1.5 - 4j, abs=1e-4)

        x, y, _ = (geometry[image] @ target).tolist()
        point = complex(x, y) / float(scales[image]) * np.exp(-1j * float(before[image]))
        stretch = float(stretches[image])
        point = complex(point.real / stretch, point.imag * stretch)
        point *= np.exp(-1j * float(after[image]))
        point -= complex(*parts[:, image])
        assert point == pytest.approx(1.5 - 4j, abs=1e-4)


# Resampling.


def slow_resample(image: Array, transform: Array) -> Array:
    """Pad by mirroring, insert zeros, filter, interpolate, filter, drop every other pixel."""
    side, low = len(image), np.array(SYM6) / math.sqrt(2)
    pad = 3 * side
    padded = np.pad(image, pad, mode="reflect")
    doubled = np.zeros((2 * len(padded), 2 * len(padded)))
    doubled[::2, ::2] = padded
    for axis in range(2):
        doubled = np.apply_along_axis(np.convolve, axis, doubled, 2 * low)
    fine = np.arange(-5, 2 * side + 5)
    middle = (side - 1) / 2
    y, x = np.meshgrid((fine + 0.5) / 2 - 0.5, (fine + 0.5) / 2 - 0.5, indexing="ij")
    points = np.stack([x.ravel() - middle, y.ravel() - middle, np.ones(x.size)])
    source = transform @ points
    columns, rows = (2 * (source[axis] + middle + 0.5) - 0.5 + 5 + 2 * pad for axis in (0, 1))
    moved = scipy.ndimage.map_coordinates(doubled, [rows, columns], order=1)
    halved = moved.reshape(len(fine), len(fine))
    for axis in range(2):
        halved = np.apply_along_axis(np.correlate, axis, halved, low, "valid")
        halved = halved[::2] if axis == 0 else halved[:, ::2]
    return np.asarray(halved[:side, :side], dtype=np.float64)


def test_resampling_equals_the_slow_one() -> None:
    n, side = 6, 12
    images = torch.rand(n, 3, side, side, generator=seeded(), dtype=torch.float64)
    transform = draw_geometric(Dice(n, 1.0, seeded(1)), side)
    moved = resample(images, transform)
    for index in range(n):
        for channel in range(3):
            expected = slow_resample(images[index, channel].numpy(), transform[index].numpy())
            np.testing.assert_allclose(moved[index, channel].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-11)])
def test_resampling_without_a_transformation_changes_nothing(
    dtype: torch.dtype, atol: float
) -> None:
    images = torch.rand(2, 3, 32, 32, generator=seeded(), dtype=dtype)
    moved = resample(images, torch.eye(3).repeat(2, 1, 1))
    torch.testing.assert_close(moved, images, atol=atol, rtol=0)


def test_resampling_by_whole_pixels_is_blitting() -> None:
    images = torch.rand(2, 3, 16, 16, generator=seeded(), dtype=torch.float64)
    transform = translation(torch.tensor([3.0, -7.0]), torch.tensor([-20.0, 2.0]))
    expected = blit(images, transform)
    torch.testing.assert_close(resample(images, transform), expected, atol=1e-11, rtol=0)


def waves(side: int, x: Tensor, y: Tensor) -> Tensor:
    """A smooth image [1, 1, S, S] that continues when it is mirrored, at any positions."""
    step = math.pi / (side - 1)
    return (torch.cos(2 * step * x)[None, :] * torch.cos(3 * step * y)[:, None])[None, None]


@pytest.mark.parametrize("shift", [(0.3, 0.0), (-2.75, 1.5)])
def test_a_smooth_image_moves_by_fractions_of_a_pixel(shift: tuple[float, float]) -> None:
    pixels = torch.arange(32, dtype=torch.float64)
    moved = resample(waves(32, pixels, pixels), translation(one(shift[0]), one(shift[1])))
    expected = waves(32, pixels + shift[0], pixels + shift[1])
    torch.testing.assert_close(moved, expected, atol=0.02, rtol=0)


def test_a_smooth_image_turned_by_180_degrees() -> None:
    """Turned about the centre, beside which the wavelet's doubled delay moves it."""
    taps = np.arange(len(SYM6))
    delay = float(taps @ np.array(SYM6)) / math.sqrt(2) - taps.mean()
    assert -delay == pytest.approx(0.4, abs=0.01)
    pixels = torch.arange(32, dtype=torch.float64)
    moved = resample(waves(32, pixels, pixels), rotation(one(math.pi)))
    turned = 31 - pixels - delay
    torch.testing.assert_close(moved, waves(32, turned, turned), atol=0.01, rtol=0)


# Colours.


def colours(n: int = 1) -> Tensor:
    return 2 * torch.rand(n, 3, 5, 5, generator=seeded()) - 1


def test_brightness_comes_before_contrast() -> None:
    changed = recolour(colours(), brightness_and_contrast(one(0.3), one(1.7)))
    torch.testing.assert_close(changed, (colours() + 0.3) * 1.7)


def test_luma_flips_about_grey() -> None:
    images = colours(2)
    transform = luma_flip(torch.tensor([0.0, 1.0]))
    flipped = recolour(images, transform)
    luma = images.mean(dim=1, keepdim=True)
    assert torch.equal(flipped[0], images[0])
    torch.testing.assert_close(flipped[1], (images - 2 * luma)[1])
    torch.testing.assert_close(recolour(flipped, transform), images)


def test_hue_turns_about_the_grey_axis() -> None:
    images = colours()
    turned = recolour(images, hue(one(0.7)))
    luma = images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(turned.mean(dim=1, keepdim=True), luma)
    before, after = images - luma, turned - luma
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=1)
    torch.testing.assert_close(cosine, torch.full_like(cosine, math.cos(0.7)))
    torch.testing.assert_close(before.norm(dim=1), after.norm(dim=1))
    # A third of a circle takes red to green, green to blue and blue to red.
    third = recolour(images, hue(one(2 * math.pi / 3)))
    torch.testing.assert_close(third, images.roll(1, dims=1))


def test_the_hue_of_a_pure_colour_is_that_of_colorsys() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    r, g, b = recolour(red, hue(one(math.pi / 3))).flatten().tolist()
    assert colorsys.rgb_to_hsv(r + 1, g + 1, b + 1)[0] == pytest.approx(1 / 6, abs=1e-6)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 3.0])
def test_saturation_scales_what_is_not_grey(factor: float) -> None:
    images = colours()
    luma = images.mean(dim=1, keepdim=True)
    changed = recolour(images, saturation(one(factor)))
    torch.testing.assert_close(changed, luma + factor * (images - luma))


def test_colours_change_in_the_published_order() -> None:
    n = 5
    dice = Dice(n, 1.0, seeded())
    shift = dice.applied(dice.normal(0.2), 0)
    factor = torch.exp2(dice.applied(dice.normal(0.5), 0))
    flip = dice.applied(dice.uniform(0, 2).floor(), 0)
    angle = dice.applied(dice.uniform(-math.pi, math.pi), 0)
    amount = torch.exp2(dice.applied(dice.normal(1.0), 0))
    expected = (colours(n) + shift.view(n, 1, 1, 1)) * factor.view(n, 1, 1, 1)
    for transform in (luma_flip(flip), hue(angle), saturation(amount)):
        expected = recolour(expected, transform)
    changed = recolour(colours(n), draw_colour(Dice(n, 1.0, seeded())))
    torch.testing.assert_close(changed, expected)
    assert 0 < flip.mean() < 1


def test_strengths_are_the_published_ones() -> None:
    """Standard deviations: 0.2 and 0.2 octaves of scale and stretch, 0.125 sides, and so on."""
    n, side = 40_000, 64
    geometric = draw_geometric(Dice(n, 1.0, seeded()), side).double()
    octaves = geometric[:, :2, :2].det().log2() / 2
    assert octaves.std() == pytest.approx(0.2, rel=0.02)
    stretches = torch.linalg.svdvals(geometric[:, :2, :2])
    ratio = (stretches[:, 0] / stretches[:, 1]).log2() / 2
    assert ratio.square().mean().sqrt() == pytest.approx(0.2, rel=0.02)
    shifts = torch.linalg.solve(geometric[:, :2, :2], geometric[:, :2, 2]) / side
    assert shifts.std() == pytest.approx(0.125, rel=0.02)

    colour = draw_colour(Dice(n, 1.0, seeded())).double()
    luma = torch.ones(3, dtype=torch.float64) / 3
    gain = luma @ colour[:, :3, :3] @ torch.ones(3, dtype=torch.float64)
    assert gain.abs().log2().std() == pytest.approx(0.5, rel=0.02)
    assert (gain < 0).double().mean() == pytest.approx(0.5, abs=0.01)
    brightness = (colour[:, :3, 3] @ luma) / gain
    assert brightness.std() == pytest.approx(0.2, rel=0.02)
    chroma = colour[:, :3, :3] @ torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
    amount = (chroma.norm(dim=1) / math.sqrt(2) / gain.abs()).log2()
    assert amount.std() == pytest.approx(1.0, rel=0.02)


# How much is applied.


def share_changed(transforms: Tensor) -> float:
    neutral = torch.eye(transforms.shape[-1])
    return float((transforms != neutral).flatten(1).any(dim=1).float().mean())


@pytest.mark.parametrize("p", [0.0, 0.1, 0.35, 0.8, 1.0])
def test_as_many_images_are_changed_as_p_says(p: float) -> None:
    """A flip, a turn or a shift may be drawn that changes nothing: 1/2, 1/4 and 1/256 of them."""
    n, side = 20_000, 64
    kept = {
        "blit": (1 - p / 2) * (1 - p * 3 / 4) * (1 - p * 255 / 256),
        "geometric": (1 - p) ** 4,
        "colour": (1 - p) ** 4 * (1 - p / 2),
    }
    share = {
        "blit": share_changed(draw_blit(Dice(n, p, seeded()), side)),
        "geometric": share_changed(draw_geometric(Dice(n, p, seeded()), side)),
        "colour": share_changed(draw_colour(Dice(n, p, seeded()))),
    }
    for group, unchanged in kept.items():
        deviation = math.sqrt(unchanged * (1 - unchanged) / n)
        assert share[group] == pytest.approx(1 - unchanged, abs=4 * deviation), group


def test_p_shifts_no_draw() -> None:
    states = []
    for p in (0.0, 0.5, 1.0):
        generator = seeded()
        augment(colours(4), p, generator, TGANADAConfig())
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_at_p_0_images_pass_bit_for_bit() -> None:
    images = colours(8)
    assert torch.equal(augment(images, 0.0, seeded(), TGANADAConfig()), images)


def test_an_image_to_which_nothing_is_applied_passes_bit_for_bit() -> None:
    images = colours(200)
    changed = (augment(images, 0.1, seeded(), TGANADAConfig()) != images).flatten(1).any(dim=1)
    dice = [Dice(200, 0.1, generator) for generator in [seeded()] * 3]
    drawn = [draw_blit(dice[0], 5), draw_geometric(dice[1], 5), draw_colour(dice[2])]
    expected = torch.stack([(m != torch.eye(m.shape[-1])).flatten(1).any(dim=1) for m in drawn])
    assert torch.equal(changed, expected.any(dim=0))
    assert 50 < int(changed.sum()) < 195


@pytest.mark.parametrize("group", ["blit", "geometric", "colour"])
def test_a_group_alone_is_what_it_is_with_the_others(group: str) -> None:
    """Switching groups off leaves the draws of the one that stays."""
    n, side = 6, 16
    images = torch.rand(n, 3, side, side, generator=seeded(1))
    off = {name: name == group for name in ("blit", "geometric", "colour")}
    generator = seeded()
    dice = Dice(n, 1.0, generator)
    transforms = {
        "blit": (blit, draw_blit(dice, side)),
        "geometric": (resample, draw_geometric(dice, side)),
        "colour": (recolour, draw_colour(dice)),
    }
    apply, transform = transforms[group]
    changed = augment(images, 1.0, seeded(), TGANADAConfig(**off))
    torch.testing.assert_close(changed, apply(images, transform), rtol=0, atol=0)


def test_all_three_groups_follow_one_another() -> None:
    """Where both move an image, it is resampled once, by the product."""
    n, side = 6, 16
    images = torch.rand(n, 3, side, side, generator=seeded(1), dtype=torch.float64)
    dice = Dice(n, 1.0, seeded())
    blitting, geometry = draw_blit(dice, side), draw_geometric(dice, side)
    colour = draw_colour(dice)
    whole = blitting @ geometry
    expected = recolour(resample(images, whole), colour)
    changed = augment(images, 1.0, seeded(), TGANADAConfig())
    torch.testing.assert_close(changed, expected, rtol=0, atol=0)
    # A point of the target is looked up by the geometric transformation first.
    point = torch.tensor([1.0, 2.0, 1.0])
    torch.testing.assert_close(whole @ point, (blitting @ (geometry @ point)[..., None])[..., 0])


# Gradients.


def test_the_pipeline_is_differentiable_twice() -> None:
    images = torch.rand(2, 3, 5, 5, generator=seeded(), dtype=torch.float64, requires_grad=True)

    def pipeline(images: Tensor) -> Tensor:
        # Cubed, as what is linear has no second derivative.
        return augment(images, 0.9, seeded(3), TGANADAConfig()).pow(3)

    assert not torch.equal(pipeline(images), images.pow(3))
    torch.autograd.gradcheck(pipeline, (images,))
    torch.autograd.gradgradcheck(pipeline, (images,))


# The method.


def start(method: type[Method] = TGANADA, **settings: Any) -> Session:
    """A session on tiny networks before its first iteration."""
    bench = Bench(method)
    session = Session(
        method(build_config(method, settings)),
        *bench.networks,
        bench.images,
        recipe=RECIPE,
        seed=0,
        iterations=6,
    )
    session.method.setup(session)
    return session


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_to_the_contract(check: str) -> None:
    CHECKS[check](Bench(TGANADA))


def test_at_p_0_it_is_plain_fine_tuning() -> None:
    """No mean of signs exceeds a target of 1, so that p stays 0."""
    ours, plain = start(target=1.0), start(method_entries()["tgan"].load())
    expected = train(plain, 6)
    logs = train(ours, 6)
    assert {log.pop("ada_p") for log in logs} == {0.0}
    for log in logs:
        del log["ada_sign"]
    assert logs == expected
    ours_state, plain_state = state_of(ours), state_of(plain)
    for part in ("generator_side", "discriminator_side", "averaged", "generator_optimizer"):
        torch.testing.assert_close(ours_state[part], plain_state[part], rtol=0, atol=0)


def test_above_p_0_it_is_not() -> None:
    losses = [train(start(initial_p=p), 1)[0]["discriminator/adversarial"] for p in (0.0, 0.5)]
    assert losses[0] != losses[1]


def test_real_generated_and_regularised_images_are_augmented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = start(initial_p=1.0)
    seen: list[tuple[float, bool]] = []

    def watched(images: Tensor, p: float, *rest: Any) -> Tensor:
        seen.append((p, images.requires_grad))
        return augment(images, p, *rest)

    monkeypatch.setattr(tgan_ada, "augment", watched)
    train(session, 2)
    # Real, fake, and fake for the generator; the first iteration regularises on real images too.
    p = 1.0
    first = [(p, False), (p, False), (p, True), (p, True)]
    assert seen == [*first, (p, False), (p, False), (p, True)]


def test_r1_is_the_gradient_at_the_images_before_augmentation() -> None:
    """Against central differences of the logits along a random direction."""
    session = start(initial_p=1.0)
    session.discriminator.double()
    real = session.real_batch().double().requires_grad_(True)
    stream = session.streams["augmentation"]
    state = stream.get_state()

    def logits(images: Tensor) -> Tensor:
        stream.set_state(state)
        return session.method.judge(session, images).sum()

    (gradient,) = torch.autograd.grad(logits(real), real)
    step = torch.randn(real.shape, generator=seeded(), dtype=torch.float64) * 1e-6
    with torch.no_grad():
        difference = logits(real + step) - logits(real - step)
    torch.testing.assert_close(difference, 2 * (gradient * step).sum(), rtol=1e-4, atol=1e-12)


def values_of_p(session: Session, iterations: int, bias: float) -> list[float]:
    """``ada_p`` along an adaptation whose discriminator takes every image for real, or for fake."""
    session.discriminator.get_parameter("final_linear.1.bias").data.fill_(bias)
    logged = []
    for _ in range(iterations):
        session.method.discriminator_loss(session, session.real_batch())
        logged.append(float(session.reported["ada_p"]))
        session.iteration += 1
    return logged


def test_p_rises_while_real_images_are_recognised() -> None:
    """Batch 4, every 2 iterations, 24 images to full: steps of a third, up to 1 and no further."""
    logged = values_of_p(start(every=2, images_to_full=24), 10, bias=1e3)
    expected = [0.0, 0.0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1.0, 1.0, 1.0, 1.0]
    assert logged == pytest.approx(expected)


def test_p_falls_while_they_are_not() -> None:
    session = start(every=2, images_to_full=24, initial_p=0.5)
    logged = values_of_p(session, 8, bias=-1e3)
    assert logged == pytest.approx([0.5, 0.5, 1 / 6, 1 / 6, 0.0, 0.0, 0.0, 0.0])


def test_the_defaults_are_those_that_are_documented() -> None:
    """The paper's section 3, but for ``images_to_full``, which is ours."""
    config = TGANADAConfig()
    assert (config.target, config.every, config.initial_p) == (0.6, 4, 0.0)
    assert config.images_to_full == 1000
    assert config.blit and config.geometric and config.colour


def test_by_default_p_moves_every_4_iterations() -> None:
    """By 16 of 1,000 images."""
    logged = values_of_p(start(), 9, bias=1e3)
    assert logged == pytest.approx([0.0] * 4 + [0.016] * 4 + [0.032])


@pytest.mark.parametrize(("positive", "moves"), [(31, -1), (32, 0), (33, 1)])
@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_p_follows_the_mean_sign_around_its_target(
    monkeypatch: pytest.MonkeyPatch, positive: int, moves: int, size: float
) -> None:
    """Of 40 logits 32 positive ones make a mean sign of 0.6, the target, whatever their size."""
    logits = torch.where(torch.arange(40) < positive, size, -size).split(4)
    drawn = iter(batch[:, None] for batch in logits for _ in ("real", "fake"))
    monkeypatch.setattr(TGANADA, "judge", lambda *_: next(drawn, torch.zeros(4, 1)))
    logged = values_of_p(start(every=10, images_to_full=100, initial_p=0.5), 11, bias=0)
    assert logged[-1] == pytest.approx(0.5 + moves * 0.4)


def test_p_rests_at_the_target() -> None:
    assert values_of_p(start(target=1.0, initial_p=0.5), 6, bias=1e3) == [0.5] * 6


def test_what_was_counted_survives_a_resume() -> None:
    session = start(every=4, images_to_full=100)
    values_of_p(session, 3, bias=1e3)
    resumed = start(every=4, images_to_full=100)
    resumed.load_state_dict(session.state_dict())
    logged = values_of_p(resumed, 2, bias=1e3)
    assert logged == values_of_p(session, 2, bias=1e3)
    assert logged == pytest.approx([0.0, 0.16])


@pytest.mark.parametrize(
    "settings", [{"every": 0}, {"images_to_full": 0}, {"initial_p": 1.5}, {"target": 2.0}]
)
def test_bad_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        build_config(TGANADA, settings)
