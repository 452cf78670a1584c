"""AdAM: kernels that matter to the adaptation are modulated, the others fine-tuned.

From Zhao et al. 2022, "Few-shot image generation via adaptation-aware kernel modulation", section
4. A kernel is what makes one output channel of a convolution or one output of a linear layer.
Marks: [paper] the text, [code] what the authors published, [ours] a choice that we had to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fsgan_bench import (
    Discriminator,
    EqualConv2d,
    EqualLinear,
    Generator,
    Method,
    ModulatedConv2d,
    Session,
    diagonal_fisher,
    discriminator_adversarial,
    generator_adversarial,
)

# [code] Their product is below the rounding of 1, so that training starts at the source exactly,
# and neither is 0, or neither would have a gradient.
INITIAL_SCALE = 1e-7


@dataclass(frozen=True)
class AdAMConfig:
    """The importance probing, and how many kernels are preserved.

    Attributes:
        probing_fraction: length of the probing as a share of the adaptation that follows it, which
            it does not shorten. 0.2: the published scripts probe for 500 iterations and adapt
            for 1,500 (Babies) or 2,500 (Cats) [code]; a share scales with the budget [ours].
        fisher_samples: generated images that the Fisher information is averaged over. 1,000 [code];
            200 [ours], as after them another 100 change the fate of 1 kernel in 40 at most in the
            embedded suite, whereas another seed of the probing changes that of 1 in 6.
        quantile: kernels whose Fisher information is above this quantile of their group are
            preserved. 0.5 for the near target Babies, 0.75 for the far one Cats [code]; 0.5 is
            the published script's default.
    """

    probing_fraction: float = 0.2
    fisher_samples: int = 200
    quantile: float = 0.5

    def __post_init__(self) -> None:
        if self.probing_fraction <= 0 or self.fisher_samples < 1:
            raise ValueError("probing_fraction must be positive and fisher_samples at least 1")
        if not 0 <= self.quantile <= 1:
            raise ValueError("quantile lies in [0, 1]")


class Modulation(nn.Module):
    """``W * (1 + outer(v, u))`` with ``W`` fixed for preserved kernels, ``W``, trained, for others.

    ``W`` has a row a kernel; ``v`` [kernels] is a kernel's own factor and ``u`` [weights of a
    kernel] is shared by those of a layer: a modulation of rank 1 [paper]. (The published code has
    ``outer(u, v)``, reshaped, in convolutions, whose factors belong to no kernel.)

    Attributes:
        preserved: [kernels], which of them are; all, until told otherwise.
    """

    preserved: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        # A modulated convolution's weight has a leading axis of length 1.
        kernels = weight.shape[1] if weight.ndim == 5 else weight.shape[0]
        self.u, self.v = (
            nn.Parameter(INITIAL_SCALE * torch.randn(n).to(weight.detach()))
            for n in (weight.numel() // kernels, kernels)
        )
        preserved = torch.ones(kernels, dtype=torch.bool, device=weight.device)
        self.register_buffer("preserved", preserved)

    def forward(self, weight: Tensor) -> Tensor:
        kernels = weight.reshape(len(self.v), -1)
        modulated = kernels.detach() * (1 + torch.outer(self.v, self.u))
        return torch.where(self.preserved[:, None], modulated, kernels).view_as(weight)


def modulation(layer: nn.Module) -> Modulation:
    return cast(Modulation, layer.get_submodule("parametrizations.weight.0"))


def trainable(network: nn.Module) -> Iterator[nn.Parameter]:
    """All parameters but those that a layer whose kernels are all alike does not train.

    Biases and noise strengths always train [ours]. The published script stops the gradients of the
    generator's noise strengths and activation biases, and of the other biases of preserved kernels,
    for which it trains offsets instead [code]; a trained offset is the same as a trained bias.
    """
    idle: set[nn.Parameter] = set()
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            preserved = modulation(layer).preserved
            if preserved.all():
                idle.add(layer.get_parameter("parametrizations.weight.original"))
            elif not preserved.any():
                idle.update(modulation(layer).parameters())
    return (parameter for parameter in network.parameters() if parameter not in idle)


def kernel_groups(generator: Generator, discriminator: Discriminator) -> list[list[Modulation]]:
    """Modulations whose kernels are ranked together, from 8x8 pixels on [code].

    They are the generator's convolutions, the affine layers of their styles, and the convolutions
    of the discriminator's residual blocks.
    """
    styled = [m for m in generator.convs.modules() if isinstance(m, ModulatedConv2d)]
    affines = [conv.modulation for conv in styled]
    judging = [m for m in discriminator.convs[1:].modules() if isinstance(m, EqualConv2d)]
    return [[modulation(layer) for layer in layers] for layers in (styled, affines, judging)]


def importance(
    modulations: Sequence[Modulation], loss: Callable[[int], Tensor], samples: int
) -> list[Tensor]:
    """Fisher information of every kernel, [kernels] a layer, from the factors of its modulation.

    A kernel's is that of its own factor plus the mean over the shared one [code]. Where a layer has
    a bias, the published code adds the bias's and halves the sum; we leave out both [ours]. Halving
    matters in the discriminator, whose convolutions with and without bias are ranked together.

    Args:
        modulations: of the layers asked for.
        loss: negative log-likelihood of the sample with an index from 0.
        samples: how many there are.
    """
    factors = [factor.requires_grad_(True) for m in modulations for factor in (m.u, m.v)]
    fisher = diagonal_fisher(loss, range(samples), factors)
    return [shared.mean() + own for shared, own in zip(fisher[::2], fisher[1::2], strict=True)]


def importance_to_both(session: Session, samples: int) -> list[list[Tensor]]:
    """Importance of the kernels of :func:`kernel_groups` after a probing, for one image at a time.

    Both networks are the averaged ones. The generator's importance comes from its adversarial loss,
    the discriminator's from its own with a few-shot image beside each generated one [code]; each
    few-shot image serves equally often, and noise and images are not redrawn or flipped [ours].
    """
    assert session.averaged_discriminator is not None
    discriminator = cast(Discriminator, session.averaged_discriminator["discriminator"])
    generator = cast(Generator, session.averaged["generator"])
    few_shot = session.few_shot
    latents = session.normal("fisher", samples, 1, session.architecture.style_dim)

    def generator_loss(index: int) -> Tensor:
        fake = generator(latents[index]).image
        return generator_adversarial(discriminator(fake).logits)

    def discriminator_loss(index: int) -> Tensor:
        with torch.no_grad():
            fake = generator(latents[index]).image
        real = few_shot[index % len(few_shot), None]
        return discriminator_adversarial(discriminator(real).logits, discriminator(fake).logits)

    styled, affines, judging = kernel_groups(generator, discriminator)
    scores = importance([*styled, *affines], generator_loss, samples)
    return [
        scores[: len(styled)],
        scores[len(styled) :],
        importance(judging, discriminator_loss, samples),
    ]


def most_important(scores: Sequence[Tensor], quantile: float) -> list[Tensor]:
    """Which kernels of the layers score above ``quantile`` of all: a mask [kernels] a layer."""
    threshold = torch.quantile(torch.cat(list(scores)), quantile)
    return [score > threshold for score in scores]


class AdAM(Method):
    """Probes which kernels the target needs from the source, and preserves them by modulation.

    The probing is an adaptation of its own in which every kernel of both networks is preserved.
    The adaptation proper starts at the source again. Kernels outside the groups that are ranked
    (mapping network, 4x4 block, toRGB, fromRGB) are always preserved, and the generator's
    constant does not train; the discriminator's last block is fine-tuned [code].
    """

    name = "adam"
    title = "AdAM"
    version = "3"
    paper = "Zhao et al. 2022, Few-shot image generation via adaptation-aware kernel modulation"
    Config = AdAMConfig
    tiny = {"probing_fraction": 0.5, "fisher_samples": 3}
    shortened = {"probing_fraction": 1e-6, "fisher_samples": 1}

    def prepare_networks(self, session: Session) -> None:
        for layer in [*session.generator.modules(), *session.discriminator.convs.modules()]:
            if isinstance(layer, EqualLinear | ModulatedConv2d | EqualConv2d):
                parametrize.register_parametrization(layer, "weight", Modulation(layer.weight))

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        constant = session.generator.input.input
        return (p for p in trainable(session.generator) if p is not constant)

    def discriminator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        return trainable(session.discriminator)

    def setup(self, session: Session) -> None:
        scores = importance_to_both(self.probe(session), self.config.fisher_samples)
        groups = kernel_groups(session.generator, session.discriminator)
        for modulations, ranked in zip(groups, scores, strict=True):
            masks = most_important(ranked, self.config.quantile)
            for modulated, mask in zip(modulations, masks, strict=True):
                modulated.preserved.copy_(mask)

    def probe(self, session: Session) -> Session:
        """Adapt the source with every kernel preserved, as it is before :meth:`setup`.

        In float32 and not compiled, whatever the session's numerics, as every set-up is.
        """
        iterations = max(1, round(self.config.probing_fraction * session.iterations))
        probe = Session(
            Probing(self.config),
            session.source_generator,
            session.source_discriminator,
            session.images,
            recipe=session.recipe,
            seed=session.streams.integer("probing", 0, 2**62),
            iterations=iterations,
            device=str(session.device),
            average=session.source_average,
        )
        # Before any set-up, in which a probing would start another.
        probe.start_averages()
        for _ in range(iterations):
            probe.method.step(probe)
            probe.iteration += 1
        return probe


class Probing(AdAM):
    """The probing of :meth:`AdAM.probe`."""

    averages_discriminator = True
