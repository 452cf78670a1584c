"""Learning to look: a discriminator that reads attributes off drawings and sees what is spoilt."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench.data.attributes import ABSENT
from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.driver.pretraining.stage import HandedOn, Lesson, Stage, render
from fsgan_bench.stylegan2.losses import discriminator_adversarial, r1_penalty
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

WAYS_TO_SPOIL = 5


class Reader(nn.Module):
    """Scores of all attribute values [N, values] from a discriminator's last features."""

    def __init__(self, counts: Sequence[int], width: int) -> None:
        super().__init__()
        self.counts = tuple(counts)
        self.scores = nn.Linear(width, sum(counts))

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.scores(features))

    def loss(self, features: Tensor, values: Tensor) -> Tensor:
        """Mean cross-entropy of ``values`` [N, attributes], those that are there."""
        terms = []
        for column, scores in enumerate(self(features).split(self.counts, dim=1)):
            wanted = values[:, column]
            terms.append(F.cross_entropy(scores, wanted, ignore_index=ABSENT, reduction="sum"))
        return torch.stack(terms).sum() / values.numel()

    @torch.no_grad()
    def accuracy(self, features: Tensor, values: Tensor) -> float:
        """Share of the attributes that are read right, among those that are there."""
        parts = self(features).split(self.counts, dim=1)
        read = torch.stack([scores.argmax(dim=1) for scores in parts], dim=1)
        known = values != ABSENT
        return float((read == values)[known].float().mean())


def last_features(discriminator: Discriminator, images: Tensor) -> Tensor:
    """What the logits are a linear function of, [N, width], for images [N, 3, R, R]."""
    x = discriminator.convs(images.contiguous(memory_format=torch.channels_last))
    x = discriminator.final_conv(discriminator.minibatch_stddev(x))
    return cast(Tensor, discriminator.final_linear[0](x.flatten(1)))


@dataclass(frozen=True)
class ReadingConfig:
    """Hyperparameters of the reading stage.

    Attributes:
        iterations: length of the stage.
        batch: real images a step, and as many fakes.
        learning_rate: Adam's.
        r1_gamma, r1_every: weight and period of the R1 penalty.
        drawn: share of the fakes that a generator drew; the others are spoilt real images.
        pool: drawn fakes at a time; they are replaced every ``pool_every`` iterations.
        pool_every: see ``pool``.
    """

    iterations: int
    batch: int = 8
    learning_rate: float = 0.002
    r1_gamma: float = 1.0
    r1_every: int = 16
    drawn: float = 0.5
    pool: int = 768
    pool_every: int = 500


class ReadingStage(Stage):
    """A discriminator learns from real drawings, spoilt ones, and what the generator draws.

    The generator draws as it does now and as it did earlier, with its weights perturbed, and
    people between two people, so that the discriminator knows what lies off the path as well.
    """

    def __init__(
        self,
        name: str,
        config: ReadingConfig,
        lesson: Lesson,
        weights: HandedOn,
        streams: Streams,
        device: str,
    ) -> None:
        super().__init__(name, config.iterations, lesson, streams, device)
        self.config = config
        shape = lesson.architecture
        with streams.initialising(name):
            self.generator = Generator(shape)
            self.embeddings = Embeddings(lesson.attributes, shape.style_dim)
            discriminator = Discriminator(shape)
            reader = Reader(self.embeddings.counts, shape.channels[4])
        self.generator.load_state_dict(weights["generator"])
        self.embeddings.load_state_dict(weights["embeddings"])
        self.generator.to(self.device).requires_grad_(False)
        self.embeddings.to(self.device).requires_grad_(False)
        self.early: list[dict[str, Tensor]] = list(weights.get("early", []))
        self.networks = nn.ModuleDict({"discriminator": discriminator, "reader": reader})
        self.networks.to(self.device)
        ratio = config.r1_every / (config.r1_every + 1)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(), config.learning_rate * ratio, (0.0, 0.99**ratio)
        )
        self.pool = torch.empty(0, 3, shape.resolution, shape.resolution, dtype=torch.uint8)

    def step(self) -> dict[str, float]:
        config = self.config
        if self.iteration % config.pool_every == 0:
            self.pool = self._draw_pool()
        chosen = self.choose(config.batch)
        real = to_tensor(self.lesson.images[chosen.numpy()]).to(self.device)
        values = self.lesson.values[chosen].to(self.device)
        fake = spoil(real, self.streams["spoil"])
        drawn = round(config.drawn * config.batch)
        fake[:drawn] = self._from_pool(drawn)
        discriminator = cast(Discriminator, self.networks["discriminator"])
        reader = cast(Reader, self.networks["reader"])
        # Apart, as in adaptation: minibatch deviation must not compare real images with fakes.
        features, of_fakes = (last_features(discriminator, each) for each in (real, fake))
        logits, fake_logits = map(discriminator.final_linear[1], (features, of_fakes))
        adversarial = discriminator_adversarial(logits, fake_logits)
        reading = reader.loss(features, values)
        self._minimise(adversarial + reading)
        if self.iteration % config.r1_every == 0:
            real.requires_grad_(True)
            penalty = r1_penalty(discriminator(real).logits, real)
            self._minimise(config.r1_gamma / 2 * config.r1_every * penalty)
        return {"adversarial": float(adversarial.detach()), "reading": float(reading.detach())}

    def sample(self, count: int) -> Images:
        """The generator's drawings: it stays as it is in this stage."""
        values = Codes.in_order(self.lesson.attributes).decode(self.probe_latents(count))
        return self.images_of(lambda part: render(self.generator, self.embeddings(part)), values)

    def hand_on(self) -> dict[str, Any]:
        return {name: network.state_dict() for name, network in self.networks.items()}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pool": self.pool,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.pool = state["pool"]

    def _minimise(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _from_pool(self, count: int) -> Tensor:
        chosen = torch.randint(len(self.pool), (count,), generator=self.streams["pool"])
        return (self.pool[chosen].float() / 127.5 - 1).to(self.device)

    @torch.no_grad()
    def _draw_pool(self, batch: int = 32) -> Tensor:
        stream = self.streams["pool"]
        codes = Codes.in_order(self.lesson.attributes)
        parts = []
        for part in range(-(-self.config.pool // batch)):
            z = torch.randn(2 * batch, self.lesson.architecture.style_dim, generator=stream)
            w, other = self.embeddings(codes.decode(z).to(self.device)).split(batch)
            if part % 2:
                w = torch.lerp(w, other, torch.rand(batch, 1, generator=stream).to(self.device))
            generator = off_path(self.generator, self.early, part % 3, stream)
            noise = generator.fresh_noise(batch, stream)
            images = render(generator, w, noise).clamp(-1, 1)
            parts.append(((images + 1) * 127.5).round().to(torch.uint8).cpu())
        return torch.cat(parts)[: self.config.pool]


def off_path(
    generator: Generator,
    early: Sequence[Mapping[str, Tensor]],
    way: int,
    stream: torch.Generator,
    most: float = 0.25,
) -> Generator:
    """The generator itself (``way`` 0), on its way back to an early state (1), or perturbed (2).

    A perturbed one has noise of up to ``most`` standard deviations on each weight.
    """
    if way == 0 or (way == 1 and not early):
        return generator
    other = copy.deepcopy(generator)
    share = float(torch.rand((), generator=stream))
    chosen = early[int(torch.randint(len(early), (), generator=stream))] if way == 1 else {}
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if name.startswith("style."):
                continue
            if way == 1 and name in chosen:
                weight.lerp_(chosen[name].to(weight.device), share)
            elif way == 2 and weight.dim() > 1:
                noise = torch.randn(weight.shape, generator=stream).to(weight.device)
                weight.add_(noise, alpha=most * share**2 * float(weight.std()))
    return other


def spoil(images: Tensor, stream: torch.Generator) -> Tensor:
    """Each of the images [N, 3, R, R] spoilt, in one of five ways picked at random.

    It is mixed with another, blurred, covered with a texture, given a part of another, or bent.
    """
    count, side, device = len(images), images.shape[2], images.device
    others = images[torch.randperm(count, generator=stream).to(device)]
    ways = torch.randint(WAYS_TO_SPOIL, (count,), generator=stream).tolist()
    spoilt = images.clone()
    for index, way in enumerate(ways):
        image, other = images[index : index + 1], others[index : index + 1]
        u = torch.rand(4, generator=stream)
        if way == 0:
            image = torch.lerp(image, other, float(0.25 + 0.5 * u[0]))
        elif way == 1:
            small = F.avg_pool2d(image, 2 if u[0] < 0.6 else 4)
            image = F.interpolate(small, size=side, mode="bilinear")
        elif way == 2:
            grain = torch.randn(1, 3, *(2 * [side >> int(4 * u[0])]), generator=stream).to(device)
            grain = F.interpolate(grain, size=side, mode="bilinear")
            image = image + float(0.05 + 0.45 * u[1]) * grain
        elif way == 3:
            top, left = (u[:2] * 0.6 * side).long().tolist()
            bottom, right = (u[:2] * 0.6 * side + (0.2 + 0.4 * u[2:]) * side).long().tolist()
            image = image.clone()
            image[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        else:
            flow = torch.randn(1, 2, 6, 6, generator=stream) * (0.03 + 0.12 * u[0])
            flow = F.interpolate(flow, size=side, mode="bicubic").permute(0, 2, 3, 1)
            grid = F.affine_grid(torch.eye(2, 3)[None], [1, 3, side, side], align_corners=False)
            where = (grid + flow).to(device)
            image = F.grid_sample(image, where, padding_mode="border", align_corners=False)
        spoilt[index] = image[0]
    return spoilt.clamp(-1, 1)
