"""MineGAN: a miner steers the latents before the generator adapts (Wang et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn

from fsgan_bench.training.latents import Latents
from fsgan_bench.training.look import Look
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class MineGANConfig:
    """Length of the mining stage.

    Attributes:
        mining_fraction: share of the iterations in which the generator is frozen and only miner and
            discriminator train. The published code mines for 1,000 iterations at 256x256; a share
            scales with the budget.
    """

    mining_fraction: float = 0.2


class Miner(nn.Sequential):
    """Two fully connected layers on ``z`` [N, d] -> [N, d], as wide as the latent."""

    def __init__(self, style_dim: int) -> None:
        super().__init__(
            nn.Linear(style_dim, style_dim), nn.ReLU(), nn.Linear(style_dim, style_dim)
        )


class MineGAN(Method):
    """Stage 1 trains miner and discriminator, stage 2 the generator too; miner + G is scored.

    The miner is averaged like the generator (our choice). Only the paper's miner of ``z`` is built:
    the published StyleGAN2 branch also trains a convolutional miner whose output replaces the
    generator's constant input, which the paper does not describe.
    """

    name = "minegan"
    title = "MineGAN"
    look = Look("#cc79a7", (0.0, (4.0, 1.2, 1.0, 1.2)), "v", place=4)
    version = "2"
    paper = "Wang et al. 2020, MineGAN: effective knowledge transfer from GANs to target domains"
    Config = MineGANConfig
    accumulates = True
    tiny = {"mining_fraction": 0.5}

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"miner": Miner(session.architecture.style_dim)}

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        fraction = self.config.mining_fraction
        if fraction and session.iteration < fraction * session.iterations:
            return session.generator_side["miner"].parameters()
        return session.generator_side.parameters()

    def latents(self, session: Session, batch: int) -> Latents:
        drawn = super().latents(session, batch)
        miner = session.generator_side["miner"]
        mix = None if drawn.mix is None else miner(drawn.mix)
        return replace(drawn, z=miner(drawn.z), mix=mix)

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        return super().sample(modules, cast(Tensor, modules["miner"](z)))
