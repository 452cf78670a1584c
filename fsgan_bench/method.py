"""Method: the base class of every adaptation method and the extension point of the harness.

The base class *is* plain adversarial fine-tuning with the shared recipe; a method overrides the
hooks in which it differs. The driver owns data, optimisers, lazy regularisation, averaging,
cadence, random streams, devices, checkpoints and logging.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from fsgan_bench.session import Session
from fsgan_bench.stylegan2.losses import (
    discriminator_adversarial,
    generator_adversarial,
    path_lengths,
    r1_penalty,
)
from fsgan_bench.stylegan2.networks import Synthesis

Losses = dict[str, Tensor]


class Diverged(RuntimeError):
    """A loss or its gradient is no longer finite; names the term."""


@dataclass(frozen=True)
class Latents:
    """What one generator pass starts from.

    Attributes:
        z: [N, style_dim].
        mix: [N, style_dim] of a second style, or None.
        crossover: first layer that takes ``mix``.
    """

    z: Tensor
    mix: Tensor | None = None
    crossover: int | None = None


@dataclass(frozen=True)
class NoConfig:
    """Config of a method without hyperparameters of its own."""


class Method:
    """An adaptation method. Subclass, name it, override what differs from plain fine-tuning.

    Class attributes:
        name: identifier on the command line and in run directories.
        title: name in figures and tables.
        version: raised whenever results change.
        paper: citation.
        Config: a frozen dataclass; its fields are what ``--set NAME.FIELD=VALUE`` accepts.
        tiny: config values that make the contract test run in seconds.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    paper: ClassVar[str]
    Config: ClassVar[type[Any]] = NoConfig
    tiny: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    # What there is, and what of it trains.

    def prepare_networks(self, session: Session) -> None:
        """Change what the weights of the session's generator and discriminator are made of.

        Called before averages and optimisers are built on them, so that what
        ``torch.nn.utils.parametrize`` adds to a network trains, is averaged and is stored with it.
        """

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        """Extra modules trained, averaged and stored with the generator (MineGAN's miner)."""
        return {}

    def discriminator_modules(self, session: Session) -> dict[str, nn.Module]:
        """Extra modules trained with the discriminator (CDC's patch heads)."""
        return {}

    def setup(self, session: Session) -> None:
        """Prepare what the method needs before the first iteration of a fresh training.

        What :meth:`sample` needs of it belongs into the generator's extra modules, as a buffer.
        """

    def generator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        """What trains on the generator's side at the current iteration."""
        return session.generator_side.parameters()

    def discriminator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        """What trains on the discriminator's side at the current iteration."""
        return session.discriminator_side.parameters()

    # How images come about and how they are judged.

    def latents(self, session: Session, batch: int) -> Latents:
        """Draw latents for a training pass, with style mixing as the recipe says."""
        z = session.normal("latents", batch, session.architecture.style_dim)
        mixing = torch.rand((), generator=session.streams["mixing"])
        if mixing >= session.recipe.style_mixing:
            return Latents(z)
        mix = session.normal("latents", batch, session.architecture.style_dim)
        crossover = session.streams.integer("mixing", 1, session.architecture.n_latent)
        return Latents(z, mix, crossover)

    def path_length_latents(self, session: Session, batch: int) -> Latents:
        """Draw latents for path-length regularisation; by default as for any other pass."""
        return self.latents(session, batch)

    def synthesise(self, session: Session, batch: int) -> Synthesis:
        """Generate ``batch`` training images from fresh latents."""
        return self.render(session, self.latents(session, batch))

    def render(self, session: Session, latents: Latents) -> Synthesis:
        """Generate the training images of ``latents`` with fresh noise."""
        noise = session.noise(len(latents.z))
        return cast(
            Synthesis,
            session.generator(latents.z, latents.mix, latents.crossover, noise=noise),
        )

    def judge(self, session: Session, images: Tensor) -> Tensor:
        """Discriminator logits of ``images`` [N, 3, R, R]: [N, 1], or a map [N, 1, h, w]."""
        return cast(Tensor, session.discriminator(images).logits)

    # What is minimised.

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        """Named terms of the discriminator's loss for the real batch [N, 3, R, R]."""
        with torch.no_grad():
            fake = self.synthesise(session, len(real)).image
        loss = discriminator_adversarial(self.judge(session, real), self.judge(session, fake))
        return {"adversarial": loss}

    def generator_loss(self, session: Session) -> Losses:
        """Named terms of the generator's loss."""
        fake = self.synthesise(session, session.recipe.batch).image
        return {"adversarial": generator_adversarial(self.judge(session, fake))}

    # What is scored and what is stored.

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        """Images [N, 3, R, R] for latents ``z``, from the averaged modules of a snapshot."""
        return cast(Tensor, modules["generator"](z).image)

    def state_dict(self) -> dict[str, Any]:
        """State beyond the modules and streams; tensors and plain containers only."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""

    # One iteration. Override only where no hook above fits.

    def step(self, session: Session) -> dict[str, float]:
        """Train for one iteration; return every loss term by name for the log."""
        recipe = session.recipe
        log: dict[str, float] = {}
        session.train_only(session.generator_side, ())
        session.train_only(session.discriminator_side, self.discriminator_parameters(session))
        real = session.real_batch()
        terms = self.discriminator_loss(session, real)
        log |= minimise("discriminator", terms, session.discriminator_optimizer)
        if recipe.r1_every and session.iteration % recipe.r1_every == 0:
            real.requires_grad_(True)
            penalty = r1_penalty(self.judge(session, real), real)
            terms = {"r1": recipe.r1_gamma / 2 * recipe.r1_every * penalty}
            log |= minimise("discriminator", terms, session.discriminator_optimizer)

        session.train_only(session.discriminator_side, ())
        session.train_only(session.generator_side, self.generator_parameters(session))
        log |= minimise("generator", self.generator_loss(session), session.generator_optimizer)
        if recipe.path_length_every and session.iteration % recipe.path_length_every == 0:
            terms = {"path_length": self.path_length_loss(session)}
            log |= minimise("generator", terms, session.generator_optimizer)
        session.update_average()
        log |= {name: float(value) for name, value in session.reported.items()}
        session.reported.clear()
        return log

    def path_length_loss(self, session: Session) -> Tensor:
        """Path-length regularisation (Karras et al. 2020), weighted for its lazy schedule."""
        recipe = session.recipe
        batch = max(1, recipe.batch // recipe.path_length_batch_shrink)
        fakes = self.render(session, self.path_length_latents(session, batch))
        lengths = path_lengths(
            fakes.image, fakes.w, session.normal("path_length", *fakes.image.shape)
        )
        mean = torch.lerp(session.path_length_mean, lengths.mean(), recipe.path_length_decay)
        session.path_length_mean = mean.detach()
        penalty = (lengths - mean).square().mean()
        return recipe.path_length_weight * recipe.path_length_every * penalty


def minimise(side: str, terms: Losses, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Take one optimiser step on the sum of ``terms``; return them as floats, named after ``side``.

    Raises:
        Diverged: a term or the gradient is not finite; no weight has been changed then.
    """
    values = {f"{side}/{name}": float(term.detach()) for name, term in terms.items()}
    for name, value in values.items():
        if not torch.isfinite(torch.tensor(value)):
            raise Diverged(f"the loss term {name} is {value}")
    optimizer.zero_grad(set_to_none=True)
    torch.stack([term.reshape(()) for term in terms.values()]).sum().backward()
    gradients = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
    if not torch.nn.utils.get_total_norm(gradients).isfinite():
        raise Diverged(f"the gradient of the {side}'s loss is not finite")
    optimizer.step()
    return values
