"""CDC: distances between images correspond across source and target (Ojha et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.relaxed_realism import RelaxedRealism, RelaxedRealismConfig
from fsgan_bench.training.look import Look
from fsgan_bench.training.method import Losses
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class CDCConfig(RelaxedRealismConfig):
    """Relaxed realism, and the weight of distance consistency.

    Attributes:
        distance_weight: weight of the KL term, 1000 in the paper; 0 leaves relaxed realism alone.
        distance_batch: latents that are compared with each other, 4 in the published code; of
            fewer than 3, no distance could change.
    """

    distance_weight: float = 1000.0
    distance_batch: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distance_batch < 3:
            raise ValueError("distance_batch must be at least 3: of two, each has one other")


def distance_consistency(
    source: Sequence[Tensor], target: Sequence[Tensor], layer_of_anchor: Tensor
) -> Tensor:
    """Ojha et al. 2021, Eq. 2: each image keeps its similarities to the others, a scalar.

    Image ``i`` is compared with the others by the cosine similarity of their features at layer
    ``layer_of_anchor[i]``; a softmax makes the similarities a distribution. Reduced as published:
    the mean over all N (N - 1) entries of ``KL(source || target)``, where Eq. 2 has the sum over an
    image's entries of ``KL(target || source)``.

    Args:
        source, target: features of every layer for the same N latents, [N, C_l, H_l, W_l].
        layer_of_anchor: [N] indices of layers.
    """
    similarities: list[Tensor] = []
    for anchor, layer in enumerate(layer_of_anchor.tolist()):
        others = [i for i in range(len(layer_of_anchor)) if i != anchor]
        for features in (source[layer], target[layer]):
            flat = features.flatten(1)
            similarities.append(F.cosine_similarity(flat[anchor : anchor + 1], flat[others]))
    q, p = torch.stack(similarities).softmax(dim=1).unflatten(0, (-1, 2)).unbind(1)
    divergence: Tensor = torch.xlogy(q, q) - q * p.log()
    return divergence.mean()


class CDC(RelaxedRealism):
    """Relaxed realism plus ``distance_weight`` times distance consistency.

    Source and target see the same layer noise, so that distances differ by the weights alone (our
    choice). The coarsest layer, 4x4, is never drawn, as in the published code.
    """

    name = "cdc"
    title = "CDC"
    look = Look("#d55e00", (0.0, (3.0, 1.0)), "P", place=6)
    version = "2"
    paper = "Ojha et al. 2021, Few-shot image generation via cross-domain correspondence"
    Config = CDCConfig
    accumulates = True

    def generator_loss(self, session: Session) -> Losses:
        terms = super().generator_loss(session)
        if self.config.distance_weight:
            terms["distance"] = self.config.distance_weight * self.distance(session)
        return terms

    def distance(self, session: Session) -> Tensor:
        """Distance consistency of fresh, unmixed latents."""
        batch = self.config.distance_batch
        z = session.normal("distance_latents", batch, session.architecture.style_dim)
        noise = session.generator.fresh_noise(batch, session.streams["distance_noise"])
        layers = torch.randint(
            1, session.generator.n_features, (batch,), generator=session.streams["distance_layers"]
        )
        with torch.no_grad():
            source = session.source_generator(z, noise=noise, features=True).features
        target = session.generator(z, noise=noise, features=True).features
        return distance_consistency(source, target, layers)
