"""The published size: 256x256, and the widths of the rosinality layout, one of them at a time."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from baselines.tgan import TGAN
from fsgan_bench.contract.trial import train
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams

WIDTHS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}

SHAPES = {
    "all widths at 8x8": Architecture(
        8, style_dim=512, mapping_layers=8, channels={side: WIDTHS[side] for side in (4, 8)}
    ),
    "256x256 at an eighth of the widths": Architecture(
        256,
        style_dim=64,
        mapping_layers=8,
        channels={side: width // 8 for side, width in WIDTHS.items()},
    ),
}


def trained(shape: Architecture) -> tuple[list[dict[str, float]], dict[str, str]]:
    """Logs and the digest of each tensor of two iterations with synthetic weights and images."""
    with Streams(0).initialising("networks"):
        networks = Generator(shape), Discriminator(shape)
    size = (2, shape.resolution, shape.resolution, 3)
    images = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    recipe = Recipe(batch=1)
    session = Session(TGAN(), *networks, images, recipe=recipe, seed=0, iterations=2)
    session.prepare()
    logs = train(session, 2)
    sides = {"G": session.generator_side, "D": session.discriminator_side, "A": session.averaged}
    return logs, {
        f"{side} {name}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
        for side, module in sides.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("name", SHAPES)
def test_two_iterations_at_full_size_give_the_same_bytes(name: str) -> None:
    """Both regularisers run in the first."""
    (first_log, first), (second_log, second) = trained(SHAPES[name]), trained(SHAPES[name])
    assert set(first_log[0]) == {
        *("discriminator/adversarial", "discriminator/r1"),
        *("generator/adversarial", "generator/path_length"),
    }
    assert np.isfinite([value for log in first_log for value in log.values()]).all()
    assert second_log == first_log
    assert second == first
