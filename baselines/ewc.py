"""EWC: weights that mattered to the source are held in place (Li et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fsgan_bench.stylegan2.losses import generator_adversarial
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.fisher import diagonal_fisher
from fsgan_bench.training.look import Look
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class EWCConfig:
    """The penalty, with everything that the paper's ``lambda`` depends on.

    Attributes:
        strength: ``lambda``; 5e8 is the paper's.
        fisher_samples: source images that the Fisher information is averaged over (our choice).
        reduction: whether ``F_i (theta_i - theta_S,i)^2`` is averaged over the weights or summed,
            as the paper writes it. At 5e8 and the embedded suite the mean is 0.1 to 0.8 of the
            adversarial term in the first 25 iterations, the sum 1e4 to 1e6 of it, which freezes the
            generator. So the mean is our default. ``mean_per_tensor`` averages within each tensor
            and sums over tensors, so that a small one counts as much as a large one, as Sony's port
            does (``EWC_loss.py`` of github.com/sony/nnabla-examples at commit 983f8ae; there for
            convolution weights alone, with the gradient in place of its square and a strength of
            1e2). The authors' own code is not public.
    """

    strength: float = 5e8
    fisher_samples: int = 200
    reduction: Literal["mean", "sum", "mean_per_tensor"] = "mean"

    def __post_init__(self) -> None:
        if self.fisher_samples < 1:
            raise ValueError("fisher_samples must be at least 1")


def fisher_information(
    generator: Generator, discriminator: Discriminator, latents: Tensor
) -> dict[str, Tensor]:
    """Diagonal Fisher information of the generator's weights, by parameter name.

    The mean over samples of the squared gradient of ``log sigmoid(D(G(z)))``, one image at a time.

    Args:
        generator: evaluated with its fixed noise.
        discriminator: the source's.
        latents: [N, style_dim], N >= 1.
    """
    trained = {name: p.detach().requires_grad_(True) for name, p in generator.named_parameters()}

    def loss(z: Tensor) -> Tensor:
        image = torch.func.functional_call(generator, trained, z).image
        return generator_adversarial(discriminator(image).logits)

    fisher = diagonal_fisher(loss, latents.split(1), list(trained.values()))
    return dict(zip(trained, fisher, strict=True))


class EWC(Method):
    """Adds ``lambda`` times the reduced ``F_i (theta_i - theta_S,i)^2`` to the generator's loss.

    The log holds the penalty's ratio to the adversarial term, ``ewc_to_adversarial``.
    """

    name = "ewc"
    title = "EWC"
    look = Look("#0072b2", (0.0, (7.0, 1.5, 1.5, 1.5)), "D", place=5)
    version = "2"
    paper = "Li et al. 2020, Few-shot image generation with elastic weight consolidation"
    Config = EWCConfig
    shortened = {"fisher_samples": 1}
    accumulates = True
    tiny = {"fisher_samples": 2}

    def setup(self, session: Session) -> None:
        n = self.config.fisher_samples
        latents = session.normal("fisher", n, session.architecture.style_dim)
        self._fisher = fisher_information(
            session.source_generator, session.source_discriminator, latents
        )

    def generator_loss(self, session: Session) -> Losses:
        terms = super().generator_loss(session)
        if self.config.strength:
            terms["ewc"] = self.config.strength * self.penalty(session)
            ratio = terms["ewc"].detach() / terms["adversarial"].detach()
            session.report("ewc_to_adversarial", ratio)
        return terms

    def penalty(self, session: Session) -> Tensor:
        """``F_i (theta_i - theta_S,i)^2``, reduced as the config says."""
        source = dict(session.source_generator.named_parameters())
        current = dict(session.generator.named_parameters())
        terms = [f * (current[n] - source[n]).square() for n, f in self._fisher.items()]
        if self.config.reduction == "mean_per_tensor":
            return torch.stack([term.mean() for term in terms]).sum()
        total = torch.stack([term.sum() for term in terms]).sum()
        if self.config.reduction == "mean":
            return total / sum(term.numel() for term in terms)
        return total

    def state_dict(self) -> dict[str, Any]:
        return {"fisher": self._fisher}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._fisher = dict(state["fisher"])
