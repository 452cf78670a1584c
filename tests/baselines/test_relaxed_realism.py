"""The judges of CDC and DCL take turns: whole images near anchors, patches elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.cdc import CDC, CDCConfig
from baselines.relaxed_realism import PatchHeads, RelaxedRealism, RelaxedRealismConfig
from fsgan_bench.errors import UserError
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.layers import ResBlock
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]

both = pytest.mark.parametrize("name", ["cdc", "dcl"])
MIXED = Recipe(style_mixing=1.0)


def realism(session: Session) -> RelaxedRealism:
    assert isinstance(session.method, RelaxedRealism)
    return session.method


def anchors(session: Session) -> Tensor:
    state: Tensor = session.method.state_dict()["anchors"]
    return state


@both
def test_there_is_an_anchor_for_each_shot(start: Start, train: Train, name: str) -> None:
    session = start(name, images=np.zeros((7, 16, 16, 3), np.uint8))
    drawn = anchors(session).clone()
    assert drawn.shape == (7, 8)
    assert not torch.equal(drawn, anchors(start(name, seed=1, images=session.images)))
    train(session, 2)
    assert torch.equal(anchors(session), drawn)


@both
@pytest.mark.parametrize("period", [1, 3, 4])
def test_turns_are_taken_by_the_iteration(start: Start, name: str, period: int) -> None:
    session = start(name, anchor_every=period)
    turns = []
    for session.iteration in range(9):
        turns.append(realism(session).judges_images(session))
    assert turns == [iteration % period == 0 for iteration in range(9)]


@both
def test_latents_lie_near_anchors_in_the_image_judges_turn(start: Start, name: str) -> None:
    session = start(name, recipe=MIXED, anchor_noise=0.01)
    for session.iteration in (0, 4, 8):
        latents = session.method.latents(session, 50)
        assert latents.mix is None
        assert latents.crossover is None
        distances = torch.cdist(latents.z, anchors(session))
        nearest = distances.argmin(dim=1)
        offsets = latents.z - anchors(session)[nearest]
        assert 0.005 < offsets.std() < 0.015
        assert len(nearest.unique()) > 5


@both
def test_the_noise_around_an_anchor_is_a_tenth_by_default(start: Start, name: str) -> None:
    noisy, exact = start(name), start(name, anchor_noise=0)
    offsets = noisy.method.latents(noisy, 500).z - exact.method.latents(exact, 500).z
    assert float(offsets.std()) == pytest.approx(0.1, rel=0.1)
    assert float(offsets.mean()) == pytest.approx(0, abs=0.01)


@both
def test_latents_are_free_in_the_patch_judges_turn(start: Start, name: str) -> None:
    session, plain = start(name, recipe=MIXED), start("tgan", recipe=MIXED)
    for session.iteration in (1, 2, 3, 5):
        latents, expected = (s.method.latents(s, 5) for s in (session, plain))
        assert torch.equal(latents.z, expected.z)
        assert latents.mix is not None
        assert torch.cdist(latents.z, anchors(session)).min() > 0.3


@both
def test_path_lengths_are_those_of_free_latents_in_every_turn(start: Start, name: str) -> None:
    session, plain = start(name, recipe=MIXED), start("tgan", recipe=MIXED)
    for session.iteration in range(5):
        latents, expected = (s.method.path_length_latents(s, 2) for s in (session, plain))
        assert torch.equal(latents.z, expected.z)
        assert latents.mix is not None
    session.iteration = 0
    lengths = [s.method.path_length_loss(s) for s in (session, plain)]
    assert torch.equal(*lengths)


@both
def test_images_are_judged_whole_or_by_patches(start: Start, name: str) -> None:
    session = start(name)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(
        session.device
    )
    whole = session.method.judge(session, images)
    assert whole.shape == (4, 1)
    assert torch.equal(whole, session.discriminator(images).logits)

    session.iteration = 1
    patches = session.method.judge(session, images)
    assert patches.shape == (4, 1, 8, 8)
    heads = session.discriminator_side["patch_heads"]
    assert isinstance(heads, PatchHeads)
    first, block = session.discriminator.convs[:2]
    assert isinstance(block, ResBlock)
    before_the_skip = block.conv2(block.conv1(first(images)))
    bias = heads.get_parameter("1.1.bias")
    expected = F.leaky_relu(convolved(before_the_skip, heads) + bias, 0.2) * 2**0.5
    torch.testing.assert_close(patches, expected)


def convolved(features: Tensor, heads: nn.Module) -> Tensor:
    """What the convolution of the first patch head makes of [N, C, h, w]: [N, 1, h, w]."""
    weight = heads.get_parameter("1.0.weight")
    return F.conv2d(features, weight / (9 * features.shape[1]) ** 0.5, padding=1)


@both
def test_patches_can_be_judged_after_the_skip_and_linearly(start: Start, name: str) -> None:
    session = start(name, patch_features="block", patch_head="linear")
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(
        session.device
    )
    session.iteration = 1
    features = session.discriminator.convs[:2](images)
    patches = session.method.judge(session, images)
    heads = session.discriminator_side["patch_heads"]
    torch.testing.assert_close(patches, convolved(features, heads))
    assert patches.min() < 0 < patches.max()


@both
def test_the_published_head_learns_a_bias(start: Start, train: Train, name: str) -> None:
    session = start(name)
    train(session, 2)
    assert session.discriminator_side.get_parameter("patch_heads.1.1.bias").abs() > 0


@both
def test_several_heads_take_turns_at_random(start: Start, name: str) -> None:
    session = start(name, patch_downscales=(2, 4))
    images = torch.zeros(1, 3, 16, 16, device=session.device)
    session.iteration = 1
    sides = [session.method.judge(session, images).shape[-1] for _ in range(40)]
    assert 10 < sides.count(8) < 30
    assert 10 < sides.count(4) < 30
    assert len(sides) == sides.count(8) + sides.count(4)


@both
def test_each_judge_trains_in_its_turn_only(
    start: Start, train: Train, weights: Weights, changed: Changed, name: str
) -> None:
    session = start(name)
    patch = {"discriminator.convs.0", "discriminator.convs.1", "patch_heads.1"}
    image = {
        "discriminator.convs.0",
        "discriminator.convs.1",
        "discriminator.convs.2",
        "discriminator.final_conv.0",
        "discriminator.final_conv.1",
        "discriminator.final_linear.0",
        "discriminator.final_linear.1",
    }
    for turn in (image, patch, patch, patch, image):
        before = weights(session)["discriminator_side"]
        train(session, 1)
        moved = changed(before, weights(session)["discriminator_side"])
        parts = {part for part in patch | image for n in moved if n.startswith(f"{part}.")}
        assert parts == turn


@both
@pytest.mark.parametrize("downscale", [8, 16, 32, 1, 3, 0, -2])
def test_a_patch_size_without_a_feature_map_is_refused(
    start: Start, name: str, downscale: int
) -> None:
    with pytest.raises(UserError) as refusal:
        start(name, patch_downscales=(2, downscale))
    message = str(refusal.value)
    assert message.startswith(f"{name}.patch_downscales: at 16x16 the discriminator has no feature")
    assert message.endswith(f"for {downscale}; possible are 2, 4.")


@both
def test_no_patch_size_at_all_is_refused(start: Start, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}.patch_downscales must name at least one"):
        start(name, patch_downscales=())


@pytest.mark.parametrize(("resolution", "side"), [(256, 32), (64, 8), (1024, 128), (32, 4)])
def test_the_default_patch_size_follows_the_resolution(resolution: int, side: int) -> None:
    resolutions = [2**i for i in range(2, 11) if 2**i <= resolution]
    architecture = Architecture(resolution, 4, 1, dict.fromkeys(resolutions, 2))
    pair = Generator(architecture), Discriminator(architecture)
    images = np.zeros((1, resolution, resolution, 3), np.uint8)
    session = Session(CDC(), *pair, images, recipe=Recipe(batch=1), seed=0, iterations=2)
    heads = session.discriminator_side["patch_heads"]
    assert isinstance(heads, PatchHeads)
    (layer,) = heads
    assert session.discriminator.feature_resolution(int(layer)) == side


def test_only_exact_downscales_name_a_feature_map(start: Start) -> None:
    """32 // 7 is a side that exists, but no map is a seventh of the image."""
    architecture = Architecture(32, 8, 1, {4: 4, 8: 4, 16: 4, 32: 4})
    pair = Generator(architecture), Discriminator(architecture)
    images = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(UserError, match="for 7; possible are 2, 4, 8"):
        start("cdc", networks=pair, images=images, patch_downscales=(7,))


def test_patch_sizes_can_be_given_as_text() -> None:
    config = build_config(CDC, {"patch_downscales": "8, 16"})
    assert config == replace(CDCConfig(), patch_downscales=(8, 16))


@both
@pytest.mark.parametrize("value", [0, -1])
def test_a_period_below_one_is_refused(start: Start, name: str, value: int) -> None:
    with pytest.raises(UserError, match="anchor_every must be at least 1"):
        start(name, anchor_every=value)
    with pytest.raises(ValueError, match="anchor_every must be at least 1"):
        RelaxedRealismConfig(anchor_every=value)


def test_a_head_is_one_convolution_on_its_layer() -> None:
    architecture = Architecture(32, 8, 1, {4: 7, 8: 6, 16: 5, 32: 4})
    heads = PatchHeads(architecture, (1, 2, 3), activate=True)
    for layer, (width, side) in {"1": (5, 16), "2": (6, 8), "3": (7, 4)}.items():
        assert isinstance(heads[layer], nn.Module)
        assert heads[layer](torch.zeros(2, width, side, side)).shape == (2, 1, side, side)
