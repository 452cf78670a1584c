"""Method: the base class of every adaptation method and the extension point of the harness.

The base class *is* plain adversarial fine-tuning with the shared recipe; a method overrides the
hooks in which it differs. The driver owns data, optimisers, lazy regularisation, averaging,
cadence, random streams, devices, checkpoints and logging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from fsgan_bench.stylegan2.losses import (
    discriminator_adversarial,
    generator_adversarial,
    path_lengths,
    r1_penalty,
)
from fsgan_bench.stylegan2.networks import Synthesis
from fsgan_bench.training.latents import Latents
from fsgan_bench.training.look import Look
from fsgan_bench.training.optimisation import Diverged, Losses
from fsgan_bench.training.path_length import path_length_batch, path_length_penalty
from fsgan_bench.training.session import Session

__all__ = ["Diverged", "Losses", "Method", "NoConfig"]


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
        shortened: config values that make :meth:`setup` short and leave as much in memory: for
            rehearsals and timings of iterations.
        accumulates: whether micro-batches give what the whole batch gives, to rounding. They do
            where losses are means over images that come from :meth:`synthesise`, or whose draws
            for the whole batch pass :meth:`Session.share`, and which are not compared with each
            other. ``--accumulate`` refuses a method that does not say so.
        averages_discriminator: whether the session keeps moving averages of the discriminator's
            side too.
        ablation: settings that leave out a part of the method, each to be compared with the whole.
        look: how figures draw it, and its place among the methods; None for a look that follows
            from the name.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    paper: ClassVar[str]
    Config: ClassVar[type[Any]] = NoConfig
    tiny: ClassVar[Mapping[str, Any]] = {}
    shortened: ClassVar[Mapping[str, Any]] = {}
    accumulates: ClassVar[bool] = False
    averages_discriminator: ClassVar[bool] = False
    ablation: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    look: ClassVar[Look | None] = None

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

    def generator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        """Adam's groups of the generator's side, once: all of its parameters in ``params``.

        A group that has another rate or other betas than the recipe says so in ``lr`` or ``betas``,
        as Adam takes them: the recipe's are corrected for lazy regularisation.
        """
        return [{"params": session.generator_side.parameters()}]

    def discriminator_groups(self, session: Session) -> Iterable[Mapping[str, Any]]:
        """As :meth:`generator_groups`, of the discriminator's side."""
        return [{"params": session.discriminator_side.parameters()}]

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
        """Generate ``batch`` training images from fresh latents.

        In a micro-batch they are its share of the latents drawn for the whole batch.
        """
        drawn = self.latents(session, batch * session.parts)
        return self.render(session, drawn.share(session))

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
        fake = self.synthesise(session, session.batch).image
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
        log = self.train_discriminator(session) | self.train_generator(session)
        session.update_average()
        log |= session.reported
        session.forget_reports()
        return log

    def train_discriminator(self, session: Session) -> dict[str, float]:
        """Take the discriminator's steps of one iteration; return its loss terms for the log."""
        recipe = session.recipe
        session.train_only(session.generator_side, ())
        session.train_only(session.discriminator_side, self.discriminator_parameters(session))
        real = session.real_batch()
        log = session.minimise(
            "discriminator", lambda: self.discriminator_loss(session, session.share(real))
        )
        if recipe.r1_every and session.iteration % recipe.r1_every == 0:
            log |= session.minimise(
                "discriminator",
                lambda: {"r1": self.r1_loss(session, session.share(real))},
                full_precision=True,
            )
        return log

    def train_generator(self, session: Session) -> dict[str, float]:
        """Take the generator's steps of one iteration; return its loss terms for the log."""
        recipe = session.recipe
        session.train_only(session.discriminator_side, ())
        session.train_only(session.generator_side, self.generator_parameters(session))
        log = session.minimise("generator", lambda: self.generator_loss(session))
        if recipe.path_length_every and session.iteration % recipe.path_length_every == 0:
            log |= self.regularise_path_length(session)
        return log

    def adjust_gradients(self, session: Session, side: str) -> None:
        """Change the gradients of ``side``, ``generator`` or ``discriminator``, before a step."""

    def r1_loss(self, session: Session, real: Tensor) -> Tensor:
        """R1 penalty at the real images [N, 3, R, R], weighted for its lazy schedule."""
        recipe = session.recipe
        real = real.detach().requires_grad_(True)
        penalty = r1_penalty(self.judge(session, real), real)
        return recipe.r1_gamma / 2 * recipe.r1_every * penalty

    def regularise_path_length(self, session: Session) -> dict[str, float]:
        """Take one step on path-length regularisation (Karras et al. 2020); return it for the log.

        All lengths of a batch share one target, to which each contributes. So with micro-batches a
        first sweep measures them, and the second follows the penalty's slope at each length.
        """
        batch = path_length_batch(session)

        def take_step(loss: Callable[[], Tensor]) -> dict[str, float]:
            return session.minimise(
                "generator", lambda: {"path_length": loss()}, batch=batch, full_precision=True
            )

        if session.count_parts(batch) == 1:
            return take_step(lambda: self.path_length_loss(session))
        with session.streams.taken_back(), session.computing(full_precision=True):
            parts = [self.path_lengths(session).detach() for _ in session.micro_batches(batch)]
        measured = torch.stack(parts).requires_grad_(True)
        penalty = path_length_penalty(session, measured)
        (slopes,) = torch.autograd.grad(penalty, measured)

        def linear() -> Tensor:
            change = self.path_lengths(session) - measured[session.part].detach()
            return penalty.detach() + len(parts) * (slopes[session.part] * change).sum()

        return take_step(linear)

    def path_length_loss(self, session: Session) -> Tensor:
        """Path-length regularisation of a whole batch, weighted for its lazy schedule."""
        return path_length_penalty(session, self.path_lengths(session))

    def path_lengths(self, session: Session) -> Tensor:
        """Path lengths of fresh images, of the current micro-batch."""
        batch = path_length_batch(session)
        fakes = self.render(session, self.path_length_latents(session, batch).share(session))
        noise = session.normal("path_length", batch, *fakes.image.shape[1:])
        return path_lengths(fakes.image, fakes.w, session.share(noise))


def check_sample(images: object, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``images`` are float32 of this shape, as a sampler must give."""
    if not isinstance(images, Tensor):
        given = type(images).__name__
    elif tuple(images.shape) == shape and images.dtype == torch.float32:
        return
    else:
        given = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
    raise ValueError(f"sample must give float32 {list(shape)}, not {given}")
