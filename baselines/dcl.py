"""DCL: dual contrastive learning keeps what the same noise shares (Zhao et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.relaxed_realism import RelaxedRealism, RelaxedRealismConfig
from fsgan_bench.stylegan2.losses import discriminator_adversarial, generator_adversarial
from fsgan_bench.stylegan2.networks import Synthesis
from fsgan_bench.training.method import Latents, Losses
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class DCLConfig(RelaxedRealismConfig):
    """CDC's adversarial part and the two contrastive losses.

    Attributes:
        lambda1: weight of generator contrastive learning (Eq. 8); 0 ablates it.
        lambda2: weight of discriminator contrastive learning (Eq. 8); 0 ablates it.
        tau: temperature (Eq. 6).
        discriminator_cl_updates: whose weights the discriminator's contrastive loss moves. Eq. 8
            leaves it open; our default is the generator's alone. Eq. 8 reads ``max_D``; where
            the discriminator takes part, it minimises Eq. 7 here, as the generator does.
        max_real: most few-shot images that serve as negatives in a step (our choice).
    """

    lambda1: float = 2.0
    lambda2: float = 0.5
    tau: float = 0.07
    discriminator_cl_updates: Literal["generator", "discriminator", "both"] = "generator"
    max_real: int = 10


def generator_contrast(target: Tensor, source: Tensor, tau: float) -> Tensor:
    """Generator contrastive loss (Eq. 5), the mean over the batch.

    ``target`` and ``source`` [N, ...] are features of one layer for the same N latents; the source
    features of the other latents are the N - 1 negatives.
    """
    t, s = (F.normalize(features.flatten(1), dim=1) for features in (target, source))
    similarity = t @ s.t() / tau
    return F.cross_entropy(similarity, torch.arange(len(t), device=t.device))


def discriminator_contrast(target: Tensor, source: Tensor, real: Tensor, tau: float) -> Tensor:
    """Discriminator contrastive loss (Eq. 7), the mean over the batch.

    ``target`` and ``source`` [N, ...] are features of target and source fakes of the same latents,
    ``real`` [M, ...] those of real target images, the negatives.
    """
    t, s, r = (F.normalize(features.flatten(1), dim=1) for features in (target, source, real))
    same = (t * s).sum(dim=1, keepdim=True)
    similarity = torch.cat([same, t @ r.t()], dim=1) / tau
    return F.cross_entropy(similarity, torch.zeros(len(t), dtype=torch.long, device=t.device))


class DCL(RelaxedRealism):
    """Relaxed realism plus ``lambda1`` Eq. 5 plus ``lambda2`` Eq. 7, layers drawn at random.

    The paper leaves open which images are contrasted. Ours are those of the adversarial loss, and
    target and source share layer noise. So styles are mixed, and in the image judge's turn latents
    lie near anchors: two of one anchor are nearly equal and still count as negatives. The few-shot
    images, negatives of Eq. 7, are not flipped.

    The log holds the bound on mutual information, ``MI >= log N - L_CL1``.
    """

    name = "dcl"
    title = "DCL"
    version = "2"
    paper = "Zhao et al. 2022, A closer look at few-shot image generation"
    Config = DCLConfig

    def generator_loss(self, session: Session) -> Losses:
        config, batch = self.config, session.recipe.batch
        latents, noise = self.latents(session, batch), session.noise(batch)
        fakes = self._paired(session, latents, noise)
        contrasts = config.lambda2 and config.discriminator_cl_updates != "discriminator"
        layer = self._discriminator_layer(session) if contrasts else None
        logits, features = self.judge_with_features(
            session, fakes.target.image, () if layer is None else (layer,)
        )
        terms = {"adversarial": generator_adversarial(logits)}
        if config.lambda1:
            drawn = session.streams.integer("generator_layer", 0, session.generator.n_features)
            loss = generator_contrast(
                fakes.target.features[drawn], fakes.source.features[drawn], config.tau
            )
            session.report("mutual_information_bound", math.log(batch) - loss.detach())
            terms["generator_contrast"] = config.lambda1 * loss
        if layer is not None:
            terms["discriminator_contrast"] = config.lambda2 * self._discriminator_contrast(
                session, layer, features[layer], fakes.source.image
            )
        return terms

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        config = self.config
        if not config.lambda2 or config.discriminator_cl_updates == "generator":
            return super().discriminator_loss(session, real)
        latents, noise = self.latents(session, len(real)), session.noise(len(real))
        with torch.no_grad():
            fakes = self._paired(session, latents, noise)
        layer = self._discriminator_layer(session)
        logits, features = self.judge_with_features(session, fakes.target.image, (layer,))
        contrast = self._discriminator_contrast(session, layer, features[layer], fakes.source.image)
        return {
            "adversarial": discriminator_adversarial(self.judge(session, real), logits),
            "discriminator_contrast": config.lambda2 * contrast,
        }

    def _paired(self, session: Session, latents: Latents, noise: list[Tensor]) -> _Pair:
        """Target and source fakes with their features, for the same latents and layer noise."""
        styles = (latents.z, latents.mix, latents.crossover)
        with torch.no_grad():
            source = session.source_generator(*styles, noise=noise, features=True)
        return _Pair(session.generator(*styles, noise=noise, features=True), source)

    def _discriminator_layer(self, session: Session) -> int:
        return session.streams.integer("discriminator_layer", 0, session.discriminator.n_features)

    def _discriminator_contrast(
        self, session: Session, layer: int, target: Tensor, source_image: Tensor
    ) -> Tensor:
        real = session.few_shot
        if len(real) > self.config.max_real:
            order = torch.randperm(len(real), generator=session.streams["contrast_images"])
            real = real[order[: self.config.max_real]]
        images = torch.cat([source_image, real])
        features = session.discriminator(images, (layer,), logits=False).features[layer]
        n = len(source_image)
        return discriminator_contrast(target, features[:n], features[n:], self.config.tau)


@dataclass(frozen=True)
class _Pair:
    target: Synthesis
    source: Synthesis
