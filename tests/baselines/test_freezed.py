"""FreezeD: which part of the discriminator stays as it was."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.freezed import FreezeD, FreezeDConfig
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]

identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)

HEAD = {"final_conv", "final_linear"}


def session_at(resolution: int, **settings: int) -> Session:
    resolutions = [2**i for i in range(2, 11) if 2**i <= resolution]
    architecture = Architecture(resolution, 4, 1, dict.fromkeys(resolutions, 2))
    return Session(
        FreezeD(FreezeDConfig(**settings)),
        Generator(architecture),
        Discriminator(architecture),
        np.zeros((1, resolution, resolution, 3), np.uint8),
        recipe=Recipe(batch=1),
        seed=0,
        iterations=1,
    )


def training_parts(session: Session) -> set[str]:
    """Blocks and heads with a parameter that trains; all of their parameters have to."""
    chosen = {id(p) for p in session.method.discriminator_parameters(session)}
    training: dict[str, set[bool]] = {}
    for name, parameter in session.discriminator.named_parameters():
        words = name.split(".")
        part = ".".join(words[:2]) if words[0] == "convs" else words[0]
        training.setdefault(part, set()).add(id(parameter) in chosen)
    assert all(len(values) == 1 for values in training.values())
    return {part for part, values in training.items() if values == {True}}


def test_at_256_the_published_layers_are_frozen() -> None:
    session = session_at(256)
    sides = {}
    x = torch.zeros(1, 3, 256, 256)
    for index, block in enumerate(session.discriminator.convs):
        out = block(x)
        sides[f"convs.{index}"] = (x.shape[-1], out.shape[-1])
        x = out
    training = training_parts(session)
    frozen = [sides[part] for part in sides if part not in training]
    assert frozen == [(256, 256), (256, 128), (128, 64), (64, 32), (32, 16)]
    assert [sides[part] for part in sides if part in training] == [(16, 8), (8, 4)]
    assert training >= HEAD


@pytest.mark.parametrize(
    ("resolution", "trains_from", "first"),
    [
        (64, 16, 3),  # 16 -> 8
        (64, 64, 0),
        (64, 32, 2),
        (64, 8, 4),
        (64, 4, 5),  # the head alone
        (32, 16, 2),
        (1024, 16, 7),
    ],
)
def test_the_boundary_is_a_resolution(resolution: int, trains_from: int, first: int) -> None:
    session = session_at(resolution, trains_from=trains_from)
    blocks = len(session.discriminator.convs)
    expected = HEAD | {f"convs.{index}" for index in range(first, blocks)}
    assert training_parts(session) == expected


@pytest.mark.parametrize(("trains_from", "frozen"), [(8, 2), (4, 3)])
def test_frozen_blocks_stay_bit_for_bit(
    start: Start, train: Train, weights: Weights, changed: Changed, trains_from: int, frozen: int
) -> None:
    session = start("freezed", trains_from=trains_from)
    before = weights(session)
    train(session, 4)
    after = weights(session)
    still = tuple(f"discriminator.convs.{index}." for index in range(frozen))
    parameters = {f"discriminator.{name}" for name, _ in session.discriminator.named_parameters()}
    moved = changed(before["discriminator_side"], after["discriminator_side"])
    assert moved == {name for name in parameters if not name.startswith(still)}
    generator = {f"generator.{name}" for name, _ in session.generator.named_parameters()}
    assert changed(before["generator_side"], after["generator_side"]) == generator


@pytest.mark.parametrize("trains_from", [16, 64])
def test_without_a_frozen_part_it_is_plain_fine_tuning(
    start: Start, train: Train, weights: Weights, trains_from: int
) -> None:
    ours, plain = start("freezed", trains_from=trains_from), start("tgan")
    assert train(ours, 4) == train(plain, 4)
    identical(weights(ours), weights(plain))
