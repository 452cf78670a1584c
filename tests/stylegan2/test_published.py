"""Agreement with values that the published StyleGAN2 in PyTorch computed; see golden/."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.stylegan2.checkpoint import Source, load_source
from fsgan_bench.stylegan2.losses import path_lengths, r1_penalty

GOLDEN = Path(__file__).parent / "golden"
LAYOUT: dict[str, Any] = json.loads((GOLDEN / "rosinality16.json").read_text())
RELATIVE = 1e-4


def formula_weights(network: str) -> dict[str, Tensor]:
    """The weights that the reference values were computed with: a function of each key."""
    return {key: _weight(key, shape, network) for key, shape in LAYOUT[network].items()}


def _weight(key: str, shape: list[int], network: str) -> Tensor:
    if key.endswith(".kernel"):
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        gain = 4.0 if network == "generator" else 1.0
        return torch.outer(taps, taps) / 64 * gain
    x = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.endswith("modulation.bias"):
        return 1 + 0.1 * x
    if key.endswith((".bias", "noise.weight")):
        return 0.1 * x
    if key.startswith("style.") and key.endswith("weight"):
        return 100 * x
    return x


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("checkpoint") / "rosinality16.pt"
    torch.save({"g_ema": formula_weights("generator"), "d": formula_weights("discriminator")}, path)
    loaded = load_source(path)
    path.unlink()
    return loaded


@pytest.fixture(scope="module")
def golden() -> Mapping[str, NDArray[np.float32]]:
    with np.load(GOLDEN / "rosinality16.npz") as arrays:
        return dict(arrays)


def assert_agrees(actual: Tensor, expected: NDArray[np.float32]) -> None:
    """Each entry to 1e-4 of its own size, or of the array's root mean square where it is small."""
    scale = float(np.sqrt(np.mean(np.square(expected))))
    np.testing.assert_allclose(
        actual.detach().numpy(), expected, rtol=RELATIVE, atol=RELATIVE * scale
    )


def test_layout(source: Source) -> None:
    for network, shapes in (
        (source.generator, LAYOUT["generator"]),
        (source.pair[1], LAYOUT["discriminator"]),
    ):
        assert {k: list(v.shape) for k, v in network.state_dict().items()} == shapes


def test_architecture_is_read_off_the_tensors(source: Source) -> None:
    architecture = source.generator.architecture
    assert architecture.resolution == LAYOUT["size"]
    assert architecture.style_dim == LAYOUT["style_dim"]
    assert architecture.mapping_layers == LAYOUT["n_mlp"]
    assert architecture.channels == {4: 512, 8: 512, 16: 512}


def test_mapping(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    assert_agrees(source.generator.mapping(normal(1, 4, 64)), golden["w"])


def test_image(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    assert_agrees(source.generator(normal(1, 4, 64)).image, golden["image"])


def test_style_mixing(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    mixed = source.generator(normal(1, 4, 64), normal(2, 4, 64), crossover=3)
    assert_agrees(mixed.image, golden["image_mixed"])


def test_truncation(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    mean = source.generator.mean_w(normal(2, 4, 64))
    assert_agrees(mean, golden["truncation_latent"])
    truncated = source.generator(normal(1, 4, 64), truncation=0.7, truncation_mean=mean)
    assert_agrees(truncated.image, golden["image_truncated"])


def test_discriminator(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    real = normal(3, 4, 3, 16, 16)
    np.testing.assert_array_equal(real.numpy(), golden["d_input"])
    assert_agrees(source.pair[1](real).logits, golden["d_logits"])
    fake = torch.from_numpy(golden["image"])
    assert_agrees(source.pair[1](fake).logits, golden["d_logits_fake"])


def test_r1_penalty(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    real = torch.from_numpy(golden["d_input"]).requires_grad_(True)
    assert_agrees(r1_penalty(source.pair[1](real).logits, real), golden["r1"])


def test_path_lengths(source: Source, golden: Mapping[str, NDArray[np.float32]]) -> None:
    made = source.generator(normal(1, 4, 64))
    lengths = path_lengths(made.image, made.w, normal(4, *made.image.shape))
    assert_agrees(lengths, golden["path_lengths"])
