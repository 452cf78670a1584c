"""Generator and discriminator against each other, at first with the earlier stages' lessons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.driver.pretraining.drawing import DrawingLoss
from fsgan_bench.driver.pretraining.reading import Reader, last_features, off_path, spoil
from fsgan_bench.driver.pretraining.rebel import Rebel
from fsgan_bench.driver.pretraining.stage import HandedOn, Lesson, Stage
from fsgan_bench.stylegan2.losses import discriminator_adversarial, generator_adversarial
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.latents import Latents
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams


@dataclass(frozen=True)
class BalancingConfig:
    """Hyperparameters of the balancing stage.

    Attributes:
        iterations: length of the stage.
        recipe: of StyleGAN2's training, at two time scales.
        warm_up: first iterations, in which the discriminator trains alone.
        drawing_weight: of the drawing loss beside the adversarial one.
        feature_weight: of the perceptual part of the drawing loss.
        reading_weight: of reading attributes beside telling real from fake.
        off_path: share of the discriminator's fakes that are spoilt real images, or drawn by the
            generator off its path.
        rebel: share of its fakes that a generator drew which nothing holds.
        rebel_life: steps after which that one starts again from the average.
        generator_every: the generator trains in every so many-th iteration.
        fade: where the three weights above start to fall and where they are zero, as parts of the
            stage; from there on it is plain StyleGAN2.
    """

    iterations: int
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            batch=4,
            generator_rate=0.1,
            r1_gamma=1.0,
            path_length_every=0,
            style_mixing=0.3,
            flip=False,
            ema_half_life=500.0,
            distinct_images=False,
            zero_idle_gradients=False,
        )
    )
    warm_up: int = 100
    drawing_weight: float = 10.0
    feature_weight: float = 0.3
    reading_weight: float = 1.0
    off_path: float = 0.125
    rebel: float = 0.5
    rebel_life: int = 64
    generator_every: int = 4
    fade: tuple[float, float] = (0.8, 0.9)


class Balancing(Method):
    """StyleGAN2 training beside a drawing loss and a reading loss, which fade."""

    name = "balancing"
    title = "Balancing"
    version = "1"
    paper = "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN"
    Config = BalancingConfig

    def __init__(self, config: BalancingConfig, lesson: Lesson, weights: HandedOn) -> None:
        super().__init__(config)
        self.lesson = lesson
        embeddings = Embeddings(lesson.attributes, lesson.architecture.style_dim)
        embeddings.load_state_dict(weights["embeddings"])
        self.codes = Codes.from_embeddings(lesson.attributes, embeddings)
        self.early: list[Mapping[str, Tensor]] = list(weights.get("early", []))
        self.counts = embeddings.counts
        self.reader = weights.get("reader")
        self.rebel: Rebel | None = None

    def discriminator_modules(self, session: Session) -> dict[str, nn.Module]:
        reader = Reader(self.counts, session.architecture.channels[4])
        if self.reader is not None:
            reader.load_state_dict(self.reader)
        self.drawing_loss = DrawingLoss(self.config.feature_weight, session.device)
        return {"reader": reader}

    def kept(self, session: Session) -> float:
        """What is left of the lessons' weights, from 1 to 0."""
        start, end = (part * self.config.iterations for part in self.config.fade)
        left: float = (end - session.iteration) / max(1e-9, end - start)
        return min(1.0, max(0.0, left))

    def step(self, session: Session) -> dict[str, float]:
        recipe, kept = session.recipe, self.kept(session)
        size = (recipe.batch,)
        chosen = torch.randint(len(session.images), size, generator=session.streams["images"])
        real = to_tensor(session.images[chosen.numpy()]).to(session.device)
        values = self.lesson.values[chosen]
        session.train_only(session.generator_side, ())
        session.train_only(session.discriminator_side, session.discriminator_side.parameters())
        log = session.minimise(
            "discriminator", lambda: self._critic_terms(session, real, values, kept)
        )
        if recipe.r1_every and session.iteration % recipe.r1_every == 0:
            log |= session.minimise(
                "discriminator", lambda: {"r1": self.r1_loss(session, real)}, full_precision=True
            )
        if kept and self.config.rebel:
            session.train_only(session.discriminator_side, ())
            log["rebel/adversarial"] = self._rebel(session).step(session)
        turn = session.iteration % self.config.generator_every == 0
        if session.iteration >= self.config.warm_up and (turn or not kept):
            session.train_only(session.discriminator_side, ())
            session.train_only(session.generator_side, session.generator_side.parameters())
            log |= session.minimise("generator", lambda: self._drawing(session, real, values, kept))
            if recipe.path_length_every and session.iteration % recipe.path_length_every == 0:
                log |= self.regularise_path_length(session)
            session.update_average()
        return log

    def _critic_terms(self, session: Session, real: Tensor, values: Tensor, kept: float) -> Losses:
        discriminator = session.discriminator
        with torch.no_grad():
            fake = self._fakes(session, real, kept)
        features, of_fakes = (last_features(discriminator, each) for each in (real, fake))
        logits, fake_logits = map(discriminator.final_linear[1], (features, of_fakes))
        losses = {"adversarial": discriminator_adversarial(logits, fake_logits)}
        if kept:
            reader = cast(Reader, session.discriminator_side["reader"])
            reading = reader.loss(features, values.to(session.device))
            losses["reading"] = self.config.reading_weight * kept * reading
        return losses

    def _fakes(self, session: Session, real: Tensor, kept: float) -> Tensor:
        """As many fakes as ``real``, all of one kind: minibatch deviation compares them."""
        kind = float(torch.rand((), generator=session.streams["fakes"]))
        if kind < self.config.rebel * kept:
            return self._rebel(session).draw(session, len(real))
        if kind < (self.config.rebel + self.config.off_path) * kept:
            return self._off_path(session, real)
        return self.synthesise(session, len(real)).image

    def _rebel(self, session: Session) -> Rebel:
        if self.rebel is None:
            generator = cast(Generator, session.averaged["generator"])
            rate = session.recipe.learning_rate
            batch = session.recipe.batch
            self.rebel = Rebel(generator, rate, self.config.rebel_life, batch)
        return self.rebel

    def state_dict(self) -> dict[str, Any]:
        return {} if self.rebel is None else {"rebel": self.rebel.state_dict()}

    def restore(self, session: Session, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        if "rebel" in state:
            self._rebel(session).load_state_dict(state["rebel"])

    def _off_path(self, session: Session, real: Tensor) -> Tensor:
        """Spoilt real images, or people between two people by a generator off its path."""
        stream = session.streams["off_path"]
        way = session.iteration % 4
        if way == 3:
            return spoil(real, stream)
        w, other = session.generator.mapping(
            session.normal("off_path", 2 * len(real), self.width)
        ).chunk(2)
        between = torch.rand(len(real), 1, generator=stream).to(session.device)
        generator = off_path(session.generator, self.early, way, stream)
        styles = torch.lerp(w, other, between)[:, None].expand(
            -1, session.architecture.n_latent, -1
        )
        return generator.synthesise(styles, noise=session.noise(len(real))).image

    @property
    def width(self) -> int:
        return self.lesson.architecture.style_dim

    def _drawing(self, session: Session, real: Tensor, values: Tensor, kept: float) -> Losses:
        """Adversarial loss, and that of drawing the real images from a ``z`` of their attributes.

        Images of two mixed styles have no original, so they have the adversarial loss alone.
        """
        latents = self.latents(session, len(real))
        copies = kept > 0 and latents.mix is None
        if copies:
            z = self.codes.encode(values, self.width, session.streams["codes"])
            latents = Latents(z.to(session.device))
        fake = self.render(session, latents).image
        losses = {"adversarial": generator_adversarial(self.judge(session, fake))}
        if copies:
            losses["drawing"] = self.config.drawing_weight * kept * self.drawing_loss(fake, real)
        return losses


class BalancingStage(Stage):
    """:class:`Balancing` in a session of its own."""

    def __init__(
        self,
        name: str,
        config: BalancingConfig,
        lesson: Lesson,
        weights: HandedOn,
        streams: Streams,
        device: str,
    ) -> None:
        super().__init__(name, config.iterations, lesson, streams, device)
        generator, discriminator = (
            Generator(lesson.architecture),
            Discriminator(lesson.architecture),
        )
        generator.load_state_dict(weights["generator"])
        discriminator.load_state_dict(weights["discriminator"])
        self.session = Session(
            Balancing(config, lesson, weights),
            generator,
            discriminator,
            lesson.images,
            recipe=config.recipe,
            seed=streams.seed,
            iterations=config.iterations,
            device=device,
        )

    def step(self) -> dict[str, float]:
        losses = self.session.method.step(self.session)
        self.session.iteration += 1
        return losses

    def sample(self, count: int) -> Images:
        z = self.probe_latents(count)
        modules: Mapping[str, Any] = dict(self.session.averaged.items())
        return self.images_of(lambda part: self.session.method.sample(modules, part), z)

    def hand_on(self) -> dict[str, Any]:
        sides = self.session.averaged, self.session.discriminator_side
        return {name: network.state_dict() for side in sides for name, network in side.items()}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"session": self.session.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.session.load_state_dict(state["session"])
        cast(Balancing, self.session.method).restore(self.session, state["session"]["method"])
