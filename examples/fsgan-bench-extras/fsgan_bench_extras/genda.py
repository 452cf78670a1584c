"""GenDA: a light adaptor before, a light classifier behind frozen networks (Yang et al. 2023).

From "One-shot generative domain adaptation", ICCV 2023, arXiv 2111.09876. The authors' repository,
github.com/genforce/genda at commit e00f61a, holds no code, and of the text we could read the
abstract: that an attribute adaptor enters the frozen generator, that an attribute classifier sits
on the frozen backbone of the discriminator, and that the diversity of generated images is
constrained in training. Marks: [paper] the abstract, [ours] a choice that we had to make.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fsgan_bench import Generator, Latents, Method, Session, Synthesis


@dataclass(frozen=True)
class GenDAConfig:
    """How far training images may vary, and how fast the two modules learn.

    Attributes:
        truncation: how far the ``w`` of training images lie from their mean, as a share; 1 for no
            constraint. Samples are not truncated. 0.7 [ours].
        adaptor_rate: learning rate of the adaptor over the recipe's: 1 [ours].
        classifier_rate: that of the classifier: 1 [ours].
    """

    truncation: float = 0.7
    adaptor_rate: float = 1.0
    classifier_rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.truncation <= 1:
            raise ValueError("truncation lies above 0 and up to 1")
        if min(self.adaptor_rate, self.classifier_rate) <= 0:
            raise ValueError("the rates must be positive")


class Adaptor(nn.Module):
    """``w`` [..., style_dim] scaled and shifted, the same for all layers [ours]; at first as is.

    Attributes:
        mean: buffer [style_dim], what the truncation pulls towards.
    """

    mean: Tensor

    def __init__(self, style_dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(style_dim))
        self.shift = nn.Parameter(torch.zeros(style_dim))
        self.register_buffer("mean", torch.zeros(style_dim))

    def forward(self, w: Tensor, truncation: float = 1.0) -> Tensor:
        return self.scale * torch.lerp(self.mean, w, truncation) + self.shift


class GenDA(Method):
    """Trains an adaptor of ``w`` and a classifier on the discriminator's last features, no more.

    The classifier is one linear layer in place of the discriminator's last one [ours], which starts
    as that one was [ours].
    """

    name = "genda"
    title = "GenDA"
    version = "1"
    paper = "Yang et al. 2023, One-shot generative domain adaptation"
    Config = GenDAConfig
    accumulates = True

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"adaptor": Adaptor(session.architecture.style_dim)}

    def discriminator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"classifier": copy.deepcopy(session.discriminator.final_linear[1])}

    def setup(self, session: Session) -> None:
        z = session.normal("mean_w", 5120, session.architecture.style_dim)
        with torch.no_grad():
            mean = session.source_generator.mean_w(z)[0]
        cast(Adaptor, session.generator_side["adaptor"]).mean.copy_(mean)

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        return session.generator_side["adaptor"].parameters()

    def discriminator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        return session.discriminator_side["classifier"].parameters()

    def generator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        recipe = session.recipe
        rate, _ = recipe.adam(recipe.path_length_every, recipe.generator_rate)
        return [
            {"params": session.generator.parameters()},
            {
                "params": session.generator_side["adaptor"].parameters(),
                "lr": self.config.adaptor_rate * rate,
            },
        ]

    def discriminator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        rate, _ = session.recipe.adam(session.recipe.r1_every)
        return [
            {"params": session.discriminator.parameters()},
            {
                "params": session.discriminator_side["classifier"].parameters(),
                "lr": self.config.classifier_rate * rate,
            },
        ]

    def render(self, session: Session, latents: Latents) -> Synthesis:
        w = session.generator.styles(latents.z, latents.mix, latents.crossover)
        w = session.generator_side["adaptor"](w, self.config.truncation)
        return session.generator.synthesise(w, noise=session.noise(len(latents.z)))

    def judge(self, session: Session, images: Tensor) -> Tensor:
        features = session.discriminator(images).penultimate
        return cast(Tensor, session.discriminator_side["classifier"](features))

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        generator = cast(Generator, modules["generator"])
        return generator.synthesise(modules["adaptor"](generator.styles(z))).image
