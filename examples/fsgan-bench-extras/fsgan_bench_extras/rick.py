"""RICK: filters are frozen, fine-tuned or removed as their importance changes (Zhao et al. 2023).

From "Exploring incompatible knowledge transfer in few-shot image generation", CVPR 2023. Marks:
[code] github.com/yunqing-me/RICK at commit 44d65c1, [ours] a choice that we had to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fsgan_bench import (
    Discriminator,
    Generator,
    Method,
    Session,
    diagonal_fisher,
    discriminator_adversarial,
    generator_adversarial,
)

Masks = dict[str, Tensor]
"""Which filters of a parameter are meant, [filters], by the parameter's name."""


@dataclass(frozen=True)
class RICKConfig:
    """When filters are looked at, and what becomes of them.

    Attributes:
        warmup_fraction: share of the iterations, at the beginning, in which only the
            discriminator's last layers train: 1/7, as 250 of 1,750 for Babies [code]; a share
            scales with the budget [ours].
        fisher_every: iterations between two estimates of importance: 50 [code].
        fisher_samples: generated images of each estimate, the same in all: 10 [code].
        freeze_quantile: filters whose importance is above this quantile of their group are frozen
            until the next estimate. 0.4 for the near target Babies, 0.85 for the far one Cats
            [code]; 0.75 is the published script's default.
        zero_quantile: filters up to this quantile become zero for good: 0.001, as for Babies
            [code]; 0.00075 for Cats.
    """

    warmup_fraction: float = 1 / 7
    fisher_every: int = 50
    fisher_samples: int = 10
    freeze_quantile: float = 0.75
    zero_quantile: float = 0.001

    def __post_init__(self) -> None:
        if self.fisher_every < 1 or self.fisher_samples < 1:
            raise ValueError("fisher_every and fisher_samples must be at least 1")
        if not 0 <= self.warmup_fraction < 1:
            raise ValueError("warmup_fraction lies in [0, 1)")
        if not 0 <= self.zero_quantile <= self.freeze_quantile <= 1:
            raise ValueError("0 <= zero_quantile <= freeze_quantile <= 1")


@dataclass(frozen=True)
class Filters:
    """The filters of a layer: the name of its weight, and of its bias if that counts with it."""

    weight: str
    bias: str | None = None

    @property
    def names(self) -> list[str]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def importance(self, fisher: Mapping[str, Tensor]) -> Tensor:
        """[filters]: the mean over a filter's weights, averaged with that of its bias [code]."""
        own = filters_first(fisher[self.weight]).flatten(1).mean(dim=1)
        return own if self.bias is None else (own + fisher[self.bias]) / 2


def filters_first(parameter: Tensor) -> Tensor:
    """A view [filters, ...]; a modulated convolution's weight has a leading axis of length 1."""
    return parameter[0] if parameter.ndim == 5 else parameter


def filter_groups(generator: Generator, discriminator: Discriminator) -> list[list[Filters]]:
    """Filters that are ranked together, from 8x8 pixels on [code].

    They are the generator's convolutions, the affine layers of their styles, and the convolutions
    of the discriminator's residual blocks.
    """
    styled = [f"convs.{i}.conv" for i in range(len(generator.convs))]
    judging = []
    for block in range(1, len(discriminator.convs)):
        judging += [
            Filters(f"convs.{block}.conv1.0.weight", f"convs.{block}.conv1.1.bias"),
            Filters(f"convs.{block}.conv2.1.weight", f"convs.{block}.conv2.2.bias"),
            Filters(f"convs.{block}.skip.1.weight"),
        ]
    return [
        [Filters(f"{name}.weight") for name in styled],
        [Filters(f"{name}.modulation.weight", f"{name}.modulation.bias") for name in styled],
        judging,
    ]


def select(
    group: list[Filters], fisher: Mapping[str, Tensor], config: RICKConfig
) -> tuple[Masks, Masks]:
    """Which filters of a group are to be frozen, and which are to become zero."""
    scores = [filters.importance(fisher) for filters in group]
    together = torch.cat(scores)
    highest = torch.quantile(together, config.freeze_quantile)
    lowest = torch.quantile(together, config.zero_quantile)
    frozen, zeroed = {}, {}
    for filters, score in zip(group, scores, strict=True):
        for name in filters.names:
            frozen[name], zeroed[name] = score > highest, score <= lowest
    return frozen, zeroed


class RICK(Method):
    """Estimates every ``fisher_every`` iterations which filters matter, and acts on it.

    The generator's convolutions and their styles from 8x8 on train, with their biases and noise
    strengths, and the discriminator's blocks and last layers; all else is fixed [code].
    """

    name = "rick"
    title = "RICK"
    version = "1"
    paper = (
        "Zhao et al. 2023, Exploring incompatible knowledge transfer in few-shot image generation"
    )
    Config = RICKConfig
    averages_discriminator = True
    tiny = {
        "warmup_fraction": 0.2,
        "fisher_every": 2,
        "fisher_samples": 2,
        "freeze_quantile": 0.9,
        "zero_quantile": 0.01,
    }
    shortened = {"fisher_samples": 1}

    def setup(self, session: Session) -> None:
        shape = (self.config.fisher_samples, 1, session.architecture.style_dim)
        self._latents = session.normal("fisher", *shape)
        self._frozen: dict[str, Masks] = {"generator": {}, "discriminator": {}}
        self._zeroed: dict[str, Masks] = {"generator": {}, "discriminator": {}}

    def since_warmup(self, session: Session) -> int:
        """Iterations since the warm-up's end; below 0 in it."""
        warmup: int = round(self.config.warmup_fraction * session.iterations)
        return session.iteration - warmup

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        return session.generator.convs.parameters() if self.since_warmup(session) >= 0 else ()

    def discriminator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        network = session.discriminator
        yield from network.final_conv.parameters()
        yield from network.final_linear.parameters()
        if self.since_warmup(session) >= 0:
            yield from network.convs[1:].parameters()

    def step(self, session: Session) -> dict[str, float]:
        since = self.since_warmup(session)
        if since >= 0 and since % self.config.fisher_every == 0:
            with session.computing(full_precision=True):
                self.choose(session)
        return super().step(session)

    def train_generator(self, session: Session) -> dict[str, float]:
        return {} if self.since_warmup(session) < 0 else super().train_generator(session)

    def choose(self, session: Session) -> None:
        """Choose the filters to freeze until the next choice, and set those to zero that join."""
        groups = filter_groups(session.generator, session.discriminator)
        information = self.fisher(session)
        sides = ("generator", "generator", "discriminator")
        self._frozen = {"generator": {}, "discriminator": {}}
        for side, group in zip(sides, groups, strict=True):
            frozen, zeroed = select(group, information[side], self.config)
            before = self._zeroed[side]
            self._frozen[side] |= frozen
            self._zeroed[side] |= {n: z | before.get(n, z) for n, z in zeroed.items()}
        for side, masks in self._zeroed.items():
            blank(dict(getattr(session, side).named_parameters()), masks)

    def fisher(self, session: Session) -> dict[str, dict[str, Tensor]]:
        """Fisher information of the weights of both averaged networks, one image at a time [code].

        The generator's comes from its adversarial loss, the discriminator's from its own with a
        few-shot image beside each generated one; those are not flipped [ours].
        """
        assert session.averaged_discriminator is not None
        generator = session.averaged["generator"]
        discriminator = session.averaged_discriminator["discriminator"]
        few_shot = session.few_shot

        def judged(weights: Mapping[str, Tensor] | None, images: Tensor) -> Tensor:
            found = torch.func.functional_call(discriminator, dict(weights or {}), (images,))
            return cast(Tensor, found.logits)

        def generator_loss(weights: Mapping[str, Tensor], index: int) -> Tensor:
            made = torch.func.functional_call(generator, dict(weights), (self._latents[index],))
            return generator_adversarial(judged(None, made.image))

        def discriminator_loss(weights: Mapping[str, Tensor], index: int) -> Tensor:
            with torch.no_grad():
                fake = generator(self._latents[index]).image
            real = few_shot[index % len(few_shot), None]
            return discriminator_adversarial(judged(weights, real), judged(weights, fake))

        return {
            "generator": self.information(generator, generator_loss),
            "discriminator": self.information(discriminator, discriminator_loss),
        }

    def information(
        self, network: nn.Module, loss: Callable[[Mapping[str, Tensor], int], Tensor]
    ) -> dict[str, Tensor]:
        """Fisher information of the weights in ``convs``, by name."""
        weights = {
            name: parameter.detach().requires_grad_(True)
            for name, parameter in network.named_parameters()
            if name.startswith("convs.")
        }
        found = diagonal_fisher(
            lambda index: loss(weights, index), range(len(self._latents)), list(weights.values())
        )
        return dict(zip(weights, found, strict=True))

    def adjust_gradients(self, session: Session, side: str) -> None:
        parameters = dict(getattr(session, side).named_parameters())
        gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
        for masks in (self._frozen[side], self._zeroed[side]):
            blank(gradients, masks)

    def state_dict(self) -> dict[str, Any]:
        return {"latents": self._latents, "frozen": self._frozen, "zeroed": self._zeroed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._latents = state["latents"]
        self._frozen, self._zeroed = dict(state["frozen"]), dict(state["zeroed"])


@torch.no_grad()
def blank(tensors: Mapping[str, Tensor], masks: Masks) -> None:
    """Set the masked filters of ``tensors`` to zero, as far as they are there."""
    for name, mask in masks.items():
        if name in tensors:
            rows = filters_first(tensors[name])
            rows.masked_fill_(mask.view(-1, *(1,) * (rows.ndim - 1)), 0.0)
