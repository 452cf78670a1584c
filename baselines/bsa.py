"""BSA: only the scales and shifts of the generator's features adapt (Noguchi & Harada 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench.features.networks import load_backbone
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.session import Session

SCALES_AND_SHIFTS = ("modulation.weight", "modulation.bias", "activate.bias")


@dataclass(frozen=True)
class BSAConfig:
    """What is minimised.

    Attributes:
        objective: ``adversarial``, as the few-shot literature applies the method, or the original's
            ``supervised``: no discriminator, a learnable latent for each few-shot image.
        perceptual_backbone: feature network of the supervised perceptual distance.
        perceptual_weight: its weight beside the mean absolute pixel error (our choice).
        latent_weight: weight of the regulariser that keeps the latents normal (our choice).
        latent_noise: standard deviation of the noise added to a latent in training.
    """

    objective: Literal["adversarial", "supervised"] = "adversarial"
    perceptual_backbone: str = "lite0"
    perceptual_weight: float = 1.0
    latent_weight: float = 0.1
    latent_noise: float = 0.1


class BSA(Method):
    """Modulation affines (scale) and activation biases (shift) train.

    Convolutions, mapping network, constant input and noise strengths stay fixed (our reading of
    batch statistics for StyleGAN2).
    """

    name = "bsa"
    title = "BSA"
    version = "2"
    paper = "Noguchi & Harada 2019, Image generation from small datasets via batch statistics"
    Config = BSAConfig
    accumulates = True

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        if self.config.objective == "adversarial":
            return {}
        start = session.normal("codes", len(session.images), session.architecture.style_dim)
        return {"codes": Codes(start)}

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        for name, parameter in session.generator.named_parameters():
            if name.endswith(SCALES_AND_SHIFTS):
                yield parameter
        if self.config.objective == "supervised":
            yield from session.generator_side["codes"].parameters()

    def generator_loss(self, session: Session) -> Losses:
        if self.config.objective == "adversarial":
            return super().generator_loss(session)
        config, recipe = self.config, session.recipe
        codes = cast(Codes, session.generator_side["codes"]).z
        size = (recipe.batch,)
        drawn = torch.randint(len(codes), size, generator=session.streams["images"])
        chosen = session.share(drawn).to(session.device)
        real = session.few_shot[chosen]
        offset = session.share(session.normal("latent_noise", recipe.batch, codes.shape[1]))
        z = codes[chosen] + config.latent_noise * offset
        fake = session.generator(z, noise=session.noise(len(z))).image
        backbone = load_backbone(config.perceptual_backbone, str(session.device))
        with torch.no_grad():
            wanted = backbone.forward(real).lpips
        perceptual = (backbone.forward(fake).lpips - wanted).square().sum(dim=1).mean()
        prior = session.normal("latent_prior", len(codes), codes.shape[1])
        return {
            "pixels": F.l1_loss(fake, real),
            "perceptual": config.perceptual_weight * perceptual,
            "latents": config.latent_weight * matching_distance(codes, prior),
        }

    def step(self, session: Session) -> dict[str, float]:
        if self.config.objective == "adversarial":
            return super().step(session)
        session.train_only(session.generator_side, self.generator_parameters(session))
        log = session.minimise("generator", lambda: self.generator_loss(session))
        session.update_average()
        return log


class Codes(nn.Module):
    """One learnable latent for each few-shot image, ``z`` [M, style_dim]."""

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = nn.Parameter(z)


def matching_distance(codes: Tensor, prior: Tensor) -> Tensor:
    """How far latents [M, d] are from draws of the prior [M, d], per dimension: the mean squared
    distance to the nearest of the other set, both ways."""
    distances: Any = torch.cdist(codes, prior).square() / codes.shape[1]
    return cast(Tensor, distances.amin(dim=1).mean() + distances.amin(dim=0).mean())
