"""DCL: dual contrastive learning keeps what the same noise shares (Zhao et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.relaxed_realism import RelaxedRealism, RelaxedRealismConfig
from fsgan_bench.stylegan2.losses import discriminator_adversarial, generator_adversarial
from fsgan_bench.stylegan2.networks import Layer, Synthesis
from fsgan_bench.training.latents import Latents
from fsgan_bench.training.look import SOLID, Look
from fsgan_bench.training.method import Losses
from fsgan_bench.training.session import Session

L = TypeVar("L", bound=Layer)


@dataclass(frozen=True)
class DCLConfig(RelaxedRealismConfig):
    """CDC's adversarial part and the two contrastive losses.

    Attributes:
        lambda1: weight of generator contrastive learning (Eq. 8), 2 in the paper; 0 ablates it.
        lambda2: weight of discriminator contrastive learning (Eq. 8), 0.5 in the paper; 0 ablates
            it.
        tau: temperature (Eq. 6), 0.07 in the paper.
        discriminator_cl_updates: whose weights the discriminator's contrastive loss moves. Eq. 8
            leaves it open; our default is the generator's alone. Eq. 8 reads ``max_D``; where
            the discriminator takes part, it minimises Eq. 7 here, as the generator does.
        discriminator_features: layers that Eq. 7 is computed at. ``published`` is the list that
            the authors' model file returns "for contrastive learning": fromRGB, and of each block
            the first convolution and, twice, the second one, before the skip is added; in the
            patch judge's turn it ends two blocks after the first patch map's. ``block``: fromRGB
            and the outputs of all blocks, where images are more alike.
        layers_drawn: whether a step contrasts the whole ``batch`` at one layer of each network, or
            every ``sample`` at layers of its own. The paper leaves it open; one is our choice.
        max_real: most few-shot images that serve as negatives in a step (our choice), at least 1.
    """

    lambda1: float = 2.0
    lambda2: float = 0.5
    tau: float = 0.07
    discriminator_cl_updates: Literal["generator", "discriminator", "both"] = "generator"
    discriminator_features: Literal["published", "block"] = "published"
    layers_drawn: Literal["batch", "sample"] = "batch"
    max_real: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_real < 1:
            raise ValueError("max_real must be at least 1")


def generator_contrast(target: Tensor, source: Tensor, tau: float) -> Tensor:
    """Generator contrastive loss (Eq. 5) of each image, [N].

    ``target`` and ``source`` [N, ...] are features of one layer for the same N latents; the source
    features of the other latents are the N - 1 negatives.
    """
    t, s = (F.normalize(features.flatten(1), dim=1) for features in (target, source))
    similarity = t @ s.t() / tau
    same = torch.arange(len(t), device=t.device)
    return F.cross_entropy(similarity, same, reduction="none")


def discriminator_contrast(target: Tensor, source: Tensor, real: Tensor, tau: float) -> Tensor:
    """Discriminator contrastive loss (Eq. 7) of each image, [N].

    ``target`` and ``source`` [N, ...] are features of target and source fakes of the same latents,
    ``real`` [M, ...] those of real target images, the negatives.
    """
    t, s, r = (F.normalize(features.flatten(1), dim=1) for features in (target, source, real))
    same = (t * s).sum(dim=1, keepdim=True)
    similarity = torch.cat([same, t @ r.t()], dim=1) / tau
    first = torch.zeros(len(t), dtype=torch.long, device=t.device)
    return F.cross_entropy(similarity, first, reduction="none")


def mean_over_samples(losses: Mapping[L, Tensor], layers: Sequence[L]) -> Tensor:
    """The mean over the batch of each image's loss at its own of ``layers`` (N of them, or one that
    all share), given the losses [N] of every layer that occurs."""
    if len(layers) == 1:
        return losses[layers[0]].mean()
    return torch.stack([losses[layer][i] for i, layer in enumerate(layers)]).mean()


class DCL(RelaxedRealism):
    """Relaxed realism plus ``lambda1`` Eq. 5 plus ``lambda2`` Eq. 7, layers drawn at random.

    The paper leaves open which images are contrasted. Ours are those of the adversarial loss, and
    target and source share layer noise. So styles are mixed, and in the image judge's turn latents
    lie near anchors: two of one anchor are nearly equal and still count as negatives. The few-shot
    images, negatives of Eq. 7, are not flipped.

    Of the authors' code only the networks are public (``model.py`` of
    github.com/yunqing-me/A-Closer-Look-at-FSIG at commit 7b837f3); their minibatch deviation takes
    groups of up to 25 images, which at a batch of 4 is that of ours.

    The log holds the bound on mutual information, ``MI >= log N - L_CL1``.
    """

    name = "dcl"
    title = "DCL"
    look = Look("#882255", SOLID, "X", place=7)
    version = "2"
    paper = "Zhao et al. 2022, A closer look at few-shot image generation"
    Config = DCLConfig
    ablation = ({"lambda2": 0}, {"lambda1": 0})

    def generator_loss(self, session: Session) -> Losses:
        config, batch = self.config, session.recipe.batch
        latents, noise = self.latents(session, batch), session.noise(batch)
        fakes = self._paired(session, latents, noise)
        contrasts = config.lambda2 and config.discriminator_cl_updates != "discriminator"
        layers = self._discriminator_layers(session, batch) if contrasts else []
        logits, features = self.judge_with_features(session, fakes.target.image, layers)
        terms = {"adversarial": generator_adversarial(logits)}
        if config.lambda1:
            target, source = fakes.target.features, fakes.source.features
            drawn = self._draw(session, "generator_layer", range(len(target)), batch)
            losses = {at: generator_contrast(target[at], source[at], config.tau) for at in {*drawn}}
            loss = mean_over_samples(losses, drawn)
            session.report("mutual_information_bound", math.log(batch) - loss.detach())
            terms["generator_contrast"] = config.lambda1 * loss
        if layers:
            terms["discriminator_contrast"] = config.lambda2 * self._discriminator_contrast(
                session, layers, features, fakes.source.image
            )
        return terms

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        config = self.config
        if not config.lambda2 or config.discriminator_cl_updates == "generator":
            return super().discriminator_loss(session, real)
        latents, noise = self.latents(session, len(real)), session.noise(len(real))
        with torch.no_grad():
            fakes = self._paired(session, latents, noise)
        layers = self._discriminator_layers(session, len(real))
        logits, features = self.judge_with_features(session, fakes.target.image, layers)
        contrast = self._discriminator_contrast(session, layers, features, fakes.source.image)
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

    def contrasted_layers(self, session: Session) -> list[Layer]:
        """Layers of the discriminator that Eq. 7 may be computed at in this iteration."""
        blocks = session.discriminator.n_features - 1
        if self.config.discriminator_features == "block":
            return list(range(blocks + 1))
        if not self.judges_images(session):
            blocks = min(blocks, min(self.patch_blocks(session.architecture)) + 2)
        layers: list[Layer] = [0]
        for block in range(1, blocks + 1):
            layers += [(block, "conv1"), (block, "conv2"), (block, "conv2")]
        return layers

    def _discriminator_layers(self, session: Session, batch: int) -> list[Layer]:
        return self._draw(session, "discriminator_layer", self.contrasted_layers(session), batch)

    def _draw(self, session: Session, stream: str, layers: Sequence[L], batch: int) -> list[L]:
        """One of ``layers`` for the batch, or one for every sample of it."""
        count = batch if self.config.layers_drawn == "sample" else 1
        return [layers[session.streams.integer(stream, 0, len(layers))] for _ in range(count)]

    def _discriminator_contrast(
        self,
        session: Session,
        layers: Sequence[Layer],
        target: Mapping[Layer, Tensor],
        source_image: Tensor,
    ) -> Tensor:
        real = session.few_shot
        if len(real) > self.config.max_real:
            order = torch.randperm(len(real), generator=session.streams["contrast_images"])
            real = real[order[: self.config.max_real]]
        images, n, tau = torch.cat([source_image, real]), len(source_image), self.config.tau
        features = session.discriminator(images, layers, logits=False).features
        losses = {
            layer: discriminator_contrast(target[layer], found[:n], found[n:], tau)
            for layer, found in features.items()
        }
        return mean_over_samples(losses, layers)


@dataclass(frozen=True)
class _Pair:
    target: Synthesis
    source: Synthesis
