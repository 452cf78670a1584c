"""MineGAN: a miner before the generator, and two stages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from baselines.minegan import MineGAN, Miner
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]

identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)


class IdentityMiner(MineGAN):
    """A miner that hands the latents on, which Linear - ReLU - Linear cannot."""

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"miner": nn.Identity()}


def test_with_an_identity_for_a_miner_it_is_plain_fine_tuning(
    start: Start, train: Train, weights: Weights
) -> None:
    mining, plain = start(IdentityMiner, mining_fraction=0), start("tgan")
    assert train(mining, 6) == train(plain, 6)
    identical(weights(mining), weights(plain))
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).to(plain.device)
    images = [s.method.sample(dict(s.averaged.items()), z) for s in (mining, plain)]
    identical(*images)


@pytest.mark.parametrize(("fraction", "mined"), [(0, 0), (0.5, 3), (0.4, 3), (1, 6)])
def test_the_generator_is_frozen_while_mining(
    start: Start, train: Train, weights: Weights, changed: Changed, fraction: float, mined: int
) -> None:
    session = start("minegan", mining_fraction=fraction, iterations=6)
    first = weights(session)
    for iteration in range(6):
        before = weights(session)
        log = train(session, 1)[0]
        after = weights(session)
        moved = {side: changed(before[side], after[side]) for side in before}
        miner = {name for name in moved["generator_side"] if name.startswith("miner.")}
        assert miner == {"miner.0.weight", "miner.0.bias", "miner.2.weight", "miner.2.bias"}
        assert (moved["generator_side"] == miner) == (iteration < mined)
        assert moved["discriminator_side"] == {
            f"discriminator.{name}" for name, _ in session.discriminator.named_parameters()
        }
        if iteration < mined:
            generator = {n for n in first["averaged"] if n.startswith("generator.")}
            for side in ("generator_side", "averaged"):
                assert not generator & changed(first[side], after[side])
        assert ("generator/path_length" in log) == (iteration % 3 == 0)


def test_both_styles_are_mined(start: Start) -> None:
    mining, plain = (start(name, recipe=Recipe(style_mixing=1)) for name in ("minegan", "tgan"))
    mined, drawn = (s.method.latents(s, 3) for s in (mining, plain))
    miner = mining.generator_side["miner"]
    assert drawn.mix is not None
    assert mined.mix is not None
    identical(mined.z, miner(drawn.z))
    identical(mined.mix, miner(drawn.mix))
    assert mined.crossover == drawn.crossover
    unmixed = start("minegan", recipe=Recipe(style_mixing=0))
    assert unmixed.method.latents(unmixed, 3).mix is None


def test_the_sampler_is_the_averaged_miner_and_generator(start: Start, train: Train) -> None:
    session = start("minegan")
    train(session, 5)
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    images = session.method.sample(dict(session.averaged.items()), z)
    identical(images, session.averaged["generator"](session.averaged["miner"](z)).image)
    assert not torch.equal(images, session.averaged["generator"](z).image)
    assert not torch.equal(images, session.method.sample(dict(session.generator_side.items()), z))


def test_the_miner_is_as_wide_as_the_latent() -> None:
    miner = Miner(8)
    assert [list(p.shape) for p in miner.parameters()] == [[8, 8], [8], [8, 8], [8]]
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    first, second = (layer for layer in miner if isinstance(layer, nn.Linear))
    hidden = (z @ first.weight.t() + first.bias).clamp(min=0)
    torch.testing.assert_close(miner(z), hidden @ second.weight.t() + second.bias)
