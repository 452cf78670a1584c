"""BSA: only the scales and shifts of the generator's features adapt (Noguchi & Harada 2019).

"Published" is the authors' code, github.com/nogu-atsu/small-dataset-image-generation at commit
d4a5de2, with its settings for SNGAN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench.features.networks import load_backbone
from fsgan_bench.training.look import Look
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.session import Session

SCALES_AND_SHIFTS = ("modulation.weight", "modulation.bias", "activate.bias")


@dataclass(frozen=True)
class BSAConfig:
    """What is minimised. All but ``objective`` is about the supervised one.

    Attributes:
        objective: ``adversarial``, as the few-shot literature applies the method, or the original's
            ``supervised``: no discriminator, a learnable latent for each few-shot image.
        perceptual_backbone: feature network of the perceptual distance (ours; VGG is published).
        perceptual_weight: its weight beside the mean absolute pixel error. Ours, as is the form of
            the distance, LPIPS on the backbone: the published one is 0.001 on the mean absolute
            differences of ten of VGG's maps.
        latent_weight: weight of the regulariser that keeps the latents normal, as published. That
            of the scales and shifts themselves (0.02) is left out: it draws them towards 1 and 0,
            where a StyleGAN2 does not start.
        latent_noise: standard deviation of the noise added to a latent in training, as published.
        prior_draws: draws of the prior for each latent of the batch, in the regulariser, as
            published.
        learning_rate: Adam's, with its usual betas of 0.9 and 0.999, as published.
        decay_every: iterations after which the rate is multiplied by ``decay``, as published.
        decay: what the rate is multiplied by, as published.
    """

    objective: Literal["adversarial", "supervised"] = "adversarial"
    perceptual_backbone: str = "lite0"
    perceptual_weight: float = 1.0
    latent_weight: float = 0.1
    latent_noise: float = 0.01
    prior_draws: int = 10
    learning_rate: float = 0.03
    decay_every: int = 3000
    decay: float = 0.2

    def __post_init__(self) -> None:
        if self.prior_draws < 1 or self.decay_every < 1:
            raise ValueError("prior_draws and decay_every must be at least 1")


class BSA(Method):
    """Modulation affines (scale) and activation biases (shift) train.

    Convolutions, mapping network, constant input and noise strengths stay fixed (our reading of
    batch statistics for StyleGAN2). The supervised latents start at draws of the prior (ours): the
    published ones start at 0, where StyleGAN2's normalisation of ``z`` has no direction.
    """

    name = "bsa"
    title = "BSA"
    look = Look("#e69f00", (0.0, (5.0, 1.5)), "s", place=2)
    version = "2"
    paper = "Noguchi & Harada 2019, Image generation from small datasets via batch statistics"
    Config = BSAConfig
    accumulates = True

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        if self.config.objective == "adversarial":
            return {}
        start = session.normal("codes", len(session.images), session.architecture.style_dim)
        return {"codes": ImageCodes(start)}

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        for name, parameter in session.generator.named_parameters():
            if name.endswith(SCALES_AND_SHIFTS):
                yield parameter
        if self.config.objective == "supervised":
            yield from session.generator_side["codes"].parameters()

    def generator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        (group,) = super().generator_groups(session)
        if self.config.objective == "adversarial":
            return [group]
        return [{**group, "lr": self.config.learning_rate, "betas": (0.9, 0.999)}]

    def generator_loss(self, session: Session) -> Losses:
        if self.config.objective == "adversarial":
            return super().generator_loss(session)
        config, recipe = self.config, session.recipe
        codes = cast(ImageCodes, session.generator_side["codes"]).z
        drawn = session.draw_images().to(session.device)
        chosen = session.share(drawn)
        real = session.few_shot[chosen]
        offset = session.share(session.normal("latent_noise", recipe.batch, codes.shape[1]))
        z = codes[chosen] + config.latent_noise * offset
        fake = session.generator(z, noise=session.noise(len(z))).image
        backbone = load_backbone(config.perceptual_backbone, str(session.device))
        with torch.no_grad():
            wanted = backbone.forward(real).lpips
        perceptual = (backbone.forward(fake).lpips - wanted).square().sum(dim=1).mean()
        prior = session.normal("latent_prior", config.prior_draws * len(drawn), codes.shape[1])
        return {
            "pixels": F.l1_loss(fake, real),
            "perceptual": config.perceptual_weight * perceptual,
            "latents": config.latent_weight * matching_distance(codes[drawn], prior),
        }

    def step(self, session: Session) -> dict[str, float]:
        if self.config.objective == "adversarial":
            return super().step(session)
        session.train_only(session.generator_side, self.generator_parameters(session))
        shrinkings = (session.iteration + 1) // self.config.decay_every
        for group in session.generator_optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self.config.decay**shrinkings
        log = session.minimise("generator", lambda: self.generator_loss(session))
        session.update_average()
        return log


class ImageCodes(nn.Module):
    """One learnable latent for each few-shot image, ``z`` [M, style_dim]."""

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = nn.Parameter(z)


def matching_distance(codes: Tensor, prior: Tensor) -> Tensor:
    """How far latents [M, d] are from draws of the prior [K, d]: the mean squared distance to the
    nearest of the other set, both ways."""
    distances: Any = torch.cdist(codes, prior).square()
    return cast(Tensor, distances.amin(dim=1).mean() + distances.amin(dim=0).mean())
