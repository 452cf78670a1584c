"""CDC's and DCL's losses: published values, plain loops over the formulas, finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.cdc import CDCConfig, distance_consistency
from baselines.dcl import DCLConfig, discriminator_contrast, generator_contrast

TAU = DCLConfig().tau


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    """Features of five layers and the losses that CDC's code and the formulas give for them."""
    with np.load(Path(__file__).parent / "golden" / "losses.npz") as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file}


def layers(golden: dict[str, Tensor], network: str) -> list[Tensor]:
    return [golden[f"{network}_{i}"] for i in range(5)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distance_consistency_is_the_published_one(
    golden: dict[str, Tensor], dtype: torch.dtype
) -> None:
    """The published value is float32's, in which the divergence of two close distributions loses
    digits: it lies 7e-5 from the exact one, and other processors round otherwise."""
    source, target = ([f.to(dtype) for f in layers(golden, n)] for n in ("source", "target"))
    loss = distance_consistency(source, target, golden["layer_of_anchor"])
    weighted = CDCConfig().distance_weight * float(loss)
    assert weighted == pytest.approx(float(golden["cdc_loss"]), rel=1e-4)


def test_generator_contrast_is_eq_5(golden: dict[str, Tensor]) -> None:
    layer = int(golden["dcl_layer"])
    loss = generator_contrast(golden[f"target_{layer}"], golden[f"source_{layer}"], TAU).mean()
    assert float(loss) == pytest.approx(float(golden["dcl_generator_cl"]), rel=1e-5)


def test_discriminator_contrast_is_eq_7(golden: dict[str, Tensor]) -> None:
    layer = int(golden["dcl_layer"])
    target, source = golden[f"target_{layer}"], golden[f"source_{layer}"]
    loss = discriminator_contrast(target, source, golden["real"], TAU).mean()
    assert float(loss) == pytest.approx(float(golden["dcl_discriminator_cl"]), rel=1e-5)


def features(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.flatten(), b.flatten()
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_distance_consistency_is_pytorchs_kl_divergence(n: int) -> None:
    source = [features(n, 3, side, side, seed=side) for side in (2, 4)]
    target = [features(n, 3, side, side, seed=side + 1) for side in (2, 4)]
    drawn = torch.arange(n) % 2
    rows: dict[str, list[list[float]]] = {"source": [], "target": []}
    for i in range(n):
        for name, maps in (("source", source), ("target", target)):
            layer = maps[int(drawn[i])]
            rows[name].append([cosine(layer[i], layer[j]) for j in range(n) if j != i])
    p, q = (torch.tensor(rows[name]).double().softmax(dim=1) for name in ("target", "source"))
    with pytest.warns(UserWarning, match="batchmean"):
        expected = torch.nn.KLDivLoss(reduction="mean")(p.log(), q)
    assert float(distance_consistency(source, target, drawn)) == pytest.approx(float(expected))


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_generator_contrast_by_a_loop(n: int, tau: float) -> None:
    target, source = features(n, 3, 4, 4), features(n, 3, 4, 4, seed=1)
    expected = []
    for i in range(n):
        f = [math.exp(cosine(target[i], source[j]) / tau) for j in range(n)]
        expected.append(-math.log(f[i] / sum(f)))
    assert generator_contrast(target, source, tau).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("m", [1, 3, 10])
@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_discriminator_contrast_by_a_loop(m: int, tau: float) -> None:
    n = 4
    target, source, real = (features(k, 3, 4, 4, seed=s) for s, k in enumerate((n, n, m)))
    expected = []
    for i in range(n):
        same = math.exp(cosine(target[i], source[i]) / tau)
        away = sum(math.exp(cosine(target[i], real[j]) / tau) for j in range(m))
        expected.append(-math.log(same / (same + away)))
    assert discriminator_contrast(target, source, real, tau).tolist() == pytest.approx(expected)


def test_features_that_agree_cost_nothing() -> None:
    source = [features(4, 3, 2, 2)]
    same_direction = [3 * source[0]]
    drawn = torch.zeros(4, dtype=torch.long)
    assert float(distance_consistency(source, same_direction, drawn)) == pytest.approx(0, abs=1e-15)
    apart = torch.eye(4).double()
    assert float(generator_contrast(apart, 2 * apart, 0.01).mean()) == pytest.approx(0, abs=1e-12)
    assert float(generator_contrast(apart, apart.roll(1, 0), 0.01).mean()) == pytest.approx(100)
    one, other = torch.eye(2).double()[:1], torch.eye(2).double()[1:]
    assert float(discriminator_contrast(one, one, other, 0.01).mean()) == pytest.approx(
        0, abs=1e-12
    )
    assert float(discriminator_contrast(one, other, one, 0.01).mean()) == pytest.approx(100)


def test_indistinguishable_features_cost_the_logarithm_of_the_choices() -> None:
    same = features(1, 3, 2, 2).expand(4, -1, -1, -1)
    assert float(generator_contrast(same, same, TAU).mean()) == pytest.approx(math.log(4))
    assert float(discriminator_contrast(same, same, same[:3], TAU).mean()) == pytest.approx(
        math.log(4)
    )


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.mark.parametrize(
    "loss",
    [
        lambda t, s, r: distance_consistency([s, s], [t, 2 * t], torch.tensor([0, 1, 1])),
        lambda t, s, r: generator_contrast(t, s, TAU).mean(),
        lambda t, s, r: discriminator_contrast(t, s, r, TAU).mean(),
    ],
    ids=["distance", "generator", "discriminator"],
)
def test_gradients_are_those_of_finite_differences(loss: Loss) -> None:
    inputs = [features(3, 2, 2, 2, seed=s).requires_grad_() for s in range(3)]
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-7, rtol=1e-5)


def test_golden_gradients_are_those_of_finite_differences(golden: dict[str, Tensor]) -> None:
    source = [layer.double() for layer in layers(golden, "source")]
    target = [layer.double().requires_grad_() for layer in layers(golden, "target")]
    real, layer = golden["real"].double(), int(golden["dcl_layer"])
    losses: dict[str, Callable[[list[Tensor]], Tensor]] = {
        "distance": lambda t: distance_consistency(source, t, golden["layer_of_anchor"]),
        "generator": lambda t: generator_contrast(t[layer], source[layer], TAU).mean(),
        "discriminator": lambda t: discriminator_contrast(
            t[layer], source[layer], real, TAU
        ).mean(),
    }
    step = 1e-5
    for name, loss in losses.items():
        gradients = torch.autograd.grad(loss(target), target, allow_unused=True)
        directions = [features(*t.shape, seed=i) for i, t in enumerate(target)]
        slope = sum(
            float((g * d).sum())
            for g, d in zip(gradients, directions, strict=True)
            if g is not None
        )
        pairs = list(zip((t.detach() for t in target), directions, strict=True))
        ahead, behind = (float(loss([t + sign * step * d for t, d in pairs])) for sign in (1, -1))
        assert slope != 0
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5), name
