"""WeditGAN: a constant offset of ``w`` moves the source to the target (Duan et al. 2024).

From "WeditGAN: few-shot image generation via latent space relocation", AAAI 2024. Marks: [code]
github.com/Ldhlwh/WeditGAN at commit 8c87a36, [ours] a choice that we had to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench import (
    Architecture,
    Generator,
    Latents,
    Losses,
    Method,
    Session,
    Synthesis,
    discriminator_adversarial,
    generator_adversarial,
)


@dataclass(frozen=True)
class WeditGANConfig:
    """The plain method by default; the paper's variants are weights above 0.

    Attributes:
        perpendicular_weight: of the squared product of the offset with the difference of two
            latents: 1e-4 in the variant with perpendicular regularisation [code].
        contrast_weight: of the contrasts of features of both networks with those of the source's
            image of the same latent: 0.5 in the variant with contrastive loss [code].
        tau: temperature of the contrasts: 0.07 [code].
        intensity_fraction: share of the iterations, at the end, in which the offset is fixed and
            modules learn how much of it each ``w`` takes. The variant with editing intensities
            trains them for as long as the offset [code], which is 0.5.
        intensity_weight: of their squared output: 0.1 [code].
        intensity_rate: their learning rate over the recipe's: 0.2, as 0.0005 to 0.0025 [code].
    """

    perpendicular_weight: float = 0.0
    contrast_weight: float = 0.0
    tau: float = 0.07
    intensity_fraction: float = 0.0
    intensity_weight: float = 0.1
    intensity_rate: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.intensity_fraction < 1:
            raise ValueError("intensity_fraction lies in [0, 1)")


class Offsets(nn.Module):
    """Adds an offset of its own to the ``w`` of every convolution and of every toRGB.

    Offsets start at draws of N(0, 1) [code]. The intensities, one module a resolution, start at 0,
    where an offset is added as it is [ours]; in the published code they start at random.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        dim, resolutions = architecture.style_dim, len(architecture.resolutions)
        self.convolutions = nn.Parameter(torch.randn(architecture.n_latent - 1, dim))
        self.rgb = nn.Parameter(torch.randn(resolutions, dim))
        self.intensities = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1), nn.Tanh())
            for _ in range(resolutions)
        )
        for module in self.intensities:
            for parameter in cast(nn.Sequential, module)[2].parameters():
                nn.init.zeros_(parameter)

    def intensity(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """What ``w`` [N, n_latent, d] asks for beside 1: [N, n_latent - 1, 1] and [N, R, 1]."""
        sides = [(layer + 1) // 2 for layer in range(w.shape[1] - 1)]
        convolutions = [self.intensities[side](w[:, i]) for i, side in enumerate(sides)]
        rgb = [module(w[:, 2 * i + 1]) for i, module in enumerate(self.intensities)]
        return torch.stack(convolutions, dim=1), torch.stack(rgb, dim=1)

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The ``w`` of the convolutions [N, n_latent, d] (the last is unused) and of toRGBs."""
        convolutions, rgb = self.intensity(w)
        moved = w[:, :-1] + (1 + convolutions) * self.convolutions
        return torch.cat([moved, w[:, -1:]], dim=1), w[:, 1::2] + (1 + rgb) * self.rgb


def relocated(
    generator: Generator, offsets: nn.Module, w: Tensor, noise: list[Tensor] | None, **options: bool
) -> Synthesis:
    """What ``generator`` makes of ``w`` [N, n_latent, d] and its offsets; ``w`` is kept as it is.

    Under autograd path lengths are those along ``w`` before the offset [code].
    """
    if torch.is_grad_enabled():
        w = w.detach().requires_grad_(True)
    convolutions, rgb = offsets(w)
    made = generator.synthesise(convolutions, rgb=rgb, noise=noise, **options)
    return replace(made, w=w)


def perpendicularity(offsets: Offsets, w: Tensor) -> Tensor:
    """Squared products of each layer's offset with ``w`` [N, n_latent, d] minus the next image's,
    summed over layers, the mean over images [code]."""
    gaps = w - w.roll(-1, 0)
    along = [
        (gaps[:, :-1] * offsets.convolutions).sum(dim=2),
        (gaps[:, 1::2] * offsets.rgb).sum(dim=2),
    ]
    return torch.cat(along, dim=1).square().sum(dim=1).mean()


def contrast(target: Sequence[Tensor], source: Sequence[Tensor], tau: float) -> Tensor:
    """How little each target feature [N, ...] resembles the source's of its latent, rather than
    those of the others: Eq. 5 of Zhao et al. 2022, summed over layers, the mean over images."""
    terms = []
    for layers in zip(target, source, strict=True):
        ours, theirs = (F.normalize(features.flatten(1), dim=1) for features in layers)
        same = torch.arange(len(ours), device=ours.device)
        terms.append(F.cross_entropy(ours @ theirs.T / tau, same))
    return torch.stack(terms).sum()


class WeditGAN(Method):
    """The generator is frozen; what trains is an offset of ``w`` for every layer, and the
    discriminator.

    It trains with the shared recipe [ours], where the published code is StyleGAN2-ADA's with its
    augmentation. The contrasts take the outputs of the generator's resolutions and of the
    discriminator's residual blocks, all of them, and both networks minimise theirs [code]; target
    and source share layer noise [ours].
    """

    name = "weditgan"
    title = "WeditGAN"
    version = "1"
    paper = "Duan et al. 2024, WeditGAN: few-shot image generation via latent space relocation"
    Config = WeditGANConfig
    tiny = {
        "perpendicular_weight": 1e-4,
        "contrast_weight": 0.5,
        "intensity_fraction": 0.5,
    }

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"offsets": Offsets(session.architecture)}

    def moves_offset(self, session: Session) -> bool:
        """Whether this is an iteration of the first stage."""
        if self.config.intensity_fraction == 0:
            return True
        first = 1 - self.config.intensity_fraction
        return bool(session.iteration < first * session.iterations)

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        offsets = self.offsets(session)
        if self.moves_offset(session):
            return [offsets.convolutions, offsets.rgb]
        return offsets.intensities.parameters()

    def generator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        intensities = list(self.offsets(session).intensities.parameters())
        slow = {id(parameter) for parameter in intensities}
        others = [p for p in session.generator_side.parameters() if id(p) not in slow]
        recipe = session.recipe
        rate, _ = recipe.adam(recipe.path_length_every, recipe.generator_rate)
        return [
            {"params": others},
            {"params": intensities, "lr": self.config.intensity_rate * rate},
        ]

    def offsets(self, session: Session) -> Offsets:
        return cast(Offsets, session.generator_side["offsets"])

    def render(self, session: Session, latents: Latents) -> Synthesis:
        return self.relocate(session, latents, session.noise(len(latents.z)))

    def relocate(
        self, session: Session, latents: Latents, noise: list[Tensor], **options: bool
    ) -> Synthesis:
        w = session.generator.styles(latents.z, latents.mix, latents.crossover)
        return relocated(session.generator, self.offsets(session), w, noise, **options)

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        generator = cast(Generator, modules["generator"])
        return relocated(generator, modules["offsets"], generator.styles(z), None).image

    def generator_loss(self, session: Session) -> Losses:
        config, batch = self.config, session.recipe.batch
        latents, noise = self.latents(session, batch), session.noise(batch)
        contrasts = bool(config.contrast_weight)
        fakes = self.relocate(session, latents, noise, features=contrasts)
        terms = {"adversarial": generator_adversarial(self.judge(session, fakes.image))}
        if config.perpendicular_weight and self.moves_offset(session):
            loss = perpendicularity(self.offsets(session), fakes.w.detach())
            terms["perpendicular"] = config.perpendicular_weight * loss
        if contrasts:
            with torch.no_grad():
                w = fakes.w.detach()
                source = session.source_generator.synthesise(w, noise=noise, features=True)
            # The last convolution of each resolution.
            loss = contrast(fakes.features[::2], source.features[::2], config.tau)
            terms["generator_contrast"] = config.contrast_weight * loss
        if not self.moves_offset(session):
            asked = torch.cat(self.offsets(session).intensity(fakes.w.detach()), dim=1)
            terms["intensity"] = config.intensity_weight * asked.square().sum(dim=(1, 2)).mean()
        return terms

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        config = self.config
        if not config.contrast_weight:
            return super().discriminator_loss(session, real)
        latents, noise = self.latents(session, len(real)), session.noise(len(real))
        with torch.no_grad():
            fakes = self.relocate(session, latents, noise)
            source = session.source_generator.synthesise(fakes.w, noise=noise)
        layers = range(1, session.discriminator.n_features)
        judged = session.discriminator(fakes.image, layers)
        compared = session.discriminator(source.image, layers, logits=False)
        ours, theirs = ([each.features[layer] for layer in layers] for each in (judged, compared))
        return {
            "adversarial": discriminator_adversarial(self.judge(session, real), judged.logits),
            "discriminator_contrast": config.contrast_weight * contrast(ours, theirs, config.tau),
        }
