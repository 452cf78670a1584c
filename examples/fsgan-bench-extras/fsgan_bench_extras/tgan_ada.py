"""TGAN+ADA: fine-tuning whose discriminator sees everything augmented (Karras et al. 2020).

From "Training generative adversarial networks with limited data", section 3 and appendix B. Marks:
[paper] the text, [code] what the authors published, [ours] a choice that we had to make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench import Losses, Method, Session, discriminator_adversarial

# The orthogonal wavelet "sym6" (Daubechies' least asymmetric one with six vanishing moments).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)

# Parts of a colour (red, green, blue, 1): along the luma axis (1, 1, 1), across it, and across it
# turned by 90 degrees.
LUMA = F.pad(torch.full((3, 3), 1 / 3), (0, 1, 0, 1))
CHROMA = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0])) - LUMA
QUARTER_TURN = torch.tensor(
    [[0.0, -1.0, 1.0, 0.0], [1.0, 0.0, -1.0, 0.0], [-1.0, 1.0, 0.0, 0.0], [0.0] * 4]
) / math.sqrt(3)


@dataclass(frozen=True)
class TGANADAConfig:
    """How strongly the discriminator's images are augmented, and how that adapts.

    Attributes:
        target: the sign of the logits of real images, averaged, that ``p`` is steered to: 0.6
            [paper]. Above it the discriminator overfits and ``p`` rises.
        every: iterations between two adjustments of ``p``: 4 [paper].
        images_to_full: real images in which ``p`` can go from 0 to 1. The paper's 500,000, which
            the paper suites take as CDC's code does, are 2 % of its training; ours [ours], 1,000,
            is 250 iterations of batch 4: less than half of the embedded suite's ``standard``, so
            that ``p`` arrives while there is overfitting to prevent, and more than its ``quick``.
        initial_p: ``p`` at the start: 0 [paper].
        blit: flips, rotations by 90 degrees and integer translations.
        geometric: scaling, rotation and fractional translation.
        colour: brightness, contrast, luma flip, hue and saturation. These three groups are the
            paper's recommended ones; its filtering and corruption are not here.
    """

    target: float = 0.6
    every: int = 4
    images_to_full: int = 1000
    initial_p: float = 0.0
    blit: bool = True
    geometric: bool = True
    colour: bool = True

    def __post_init__(self) -> None:
        if self.every < 1 or self.images_to_full < 1:
            raise ValueError("every and images_to_full must be at least 1")
        if not (0 <= self.initial_p <= 1 and -1 <= self.target <= 1):
            raise ValueError("initial_p lies in [0, 1] and target in [-1, 1]")


class Dice:
    """Draws for the N images of a batch; whatever is not applied keeps its neutral value.

    Everything is drawn whether it is applied or not, so that ``p`` shifts no other draw.
    """

    def __init__(self, n: int, p: float, generator: torch.Generator) -> None:
        self.n, self.p, self.generator = n, p, generator

    def applied(self, values: Tensor, neutral: float, p: float | None = None) -> Tensor:
        """``values`` [..., N] for the images that are chosen; one choice an image."""
        chosen = torch.rand(self.n, generator=self.generator) < (self.p if p is None else p)
        return torch.where(chosen, values, neutral)

    def uniform(self, low: float, high: float, *leading: int) -> Tensor:
        return low + (high - low) * torch.rand(*leading, self.n, generator=self.generator)

    def normal(self, std: float, *leading: int) -> Tensor:
        return std * torch.randn(*leading, self.n, generator=self.generator)


def matrix(*rows: Sequence[Tensor | float]) -> Tensor:
    """[N, len(rows), len(rows)] from entries that are numbers or [N]."""
    entries = torch.broadcast_tensors(*(torch.as_tensor(entry) for row in rows for entry in row))
    return torch.stack(entries, dim=-1).reshape(-1, len(rows), len(rows))


def rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return matrix([c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0])


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return matrix([x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0])


def translation(x: Tensor, y: Tensor) -> Tensor:
    return matrix([1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0])


def draw_blit(dice: Dice, side: int) -> Tensor:
    """[N, 3, 3] from target to source pixels (x, y, 1), measured from the image's centre.

    An image is flipped, then turned by 90 degrees, then shifted. Each factor is the inverse of its
    step; every draw is distributed as its own inverse, so that none needs inverting.
    """
    flip = dice.applied(dice.uniform(0, 2).floor(), 0)
    turns = dice.applied(dice.uniform(0, 4).floor(), 0)
    x, y = dice.applied((dice.uniform(-0.125, 0.125, 2) * side).round(), 0)
    flipping = scaling(1 - 2 * flip, torch.ones(dice.n))
    return flipping @ rotation(turns * (math.pi / 2)).round() @ translation(x, y)


def draw_geometric(dice: Dice, side: int) -> Tensor:
    """As :func:`draw_blit`: scaling, rotation, stretching, rotation, then translation."""
    scale = torch.exp2(dice.applied(dice.normal(0.2), 0))
    # Either rotation happens with the probability that leaves 1 - p for neither.
    p_rotation = 1 - math.sqrt(1 - dice.p)
    before = dice.applied(dice.uniform(-math.pi, math.pi), 0, p_rotation)
    stretch = torch.exp2(dice.applied(dice.normal(0.2), 0))
    after = dice.applied(dice.uniform(-math.pi, math.pi), 0, p_rotation)
    x, y = dice.applied(dice.normal(0.125, 2) * side, 0)
    linear = scaling(scale, scale) @ rotation(before) @ scaling(stretch, 1 / stretch)
    return linear @ rotation(after) @ translation(x, y)


def brightness_and_contrast(b: Tensor, c: Tensor) -> Tensor:
    shift, rest = b * c, [0.0, 0.0, 0.0, 1.0]
    return matrix([c, 0.0, 0.0, shift], [0.0, c, 0.0, shift], [0.0, 0.0, c, shift], rest)


def luma_flip(flip: Tensor) -> Tensor:
    return torch.eye(4) - 2 * flip[:, None, None] * LUMA


def hue(angle: Tensor) -> Tensor:
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return torch.eye(4) + s * QUARTER_TURN + (c - 1) * CHROMA


def saturation(s: Tensor) -> Tensor:
    return torch.eye(4) + (s[:, None, None] - 1) * CHROMA


def draw_colour(dice: Dice) -> Tensor:
    """[N, 4, 4] that acts on (red, green, blue, 1), colours in [-1, 1]; brightness comes first."""
    shift, factor = (dice.applied(dice.normal(std), 0) for std in (0.2, 0.5))
    drawn = brightness_and_contrast(shift, torch.exp2(factor))
    drawn = luma_flip(dice.applied(dice.uniform(0, 2).floor(), 0)) @ drawn
    drawn = hue(dice.applied(dice.uniform(-math.pi, math.pi), 0)) @ drawn
    return saturation(torch.exp2(dice.applied(dice.normal(1.0), 0))) @ drawn


def reflected(index: Tensor, side: int) -> Tensor:
    """Indices of any size folded into [0, side) by mirrors in the middle of the outermost pixels.

    Published code pads by at most one side and takes grey beyond; here mirrors go on [ours].
    """
    folded = index.remainder(2 * side - 2)
    return torch.minimum(folded, 2 * side - 2 - folded)


def pick(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``images[n, :, y[n], x[n]]`` for [N, P] integers, [N, C, P]; differentiable twice."""
    index = y * images.shape[-1] + x
    return images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1))


def source_positions(transform: Tensor, line: Tensor) -> Tensor:
    """Where ``transform`` [N, 3, 3] takes the points of ``line`` x ``line``: (x, y), [2, N, P]."""
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.ones_like(x).flatten()])
    return torch.matmul(transform, points)[:, :2].transpose(0, 1)


def blit(images: Tensor, transform: Tensor) -> Tensor:
    """Move whole pixels of ``images`` [N, C, S, S] about; what lies outside is mirrored."""
    side = images.shape[-1]
    centre = (side - 1) / 2
    places = source_positions(transform.to(images), torch.arange(side).to(images) - centre)
    x, y = reflected((places + centre).round().long(), side)
    return pick(images, x, y).view_as(images)


def wavelet(fine: Tensor, coarse: Tensor) -> Tensor:
    """[F, C]: the share of pixel ``coarse`` of an image in pixel ``fine`` of its double."""
    tap = fine[:, None] - 2 * coarse + len(SYM6) // 2 - 1
    shares = torch.tensor([*SYM6, 0.0], dtype=torch.float64)
    return shares[torch.where((tap >= 0) & (tap < len(SYM6)), tap, len(SYM6))]


def on_both_axes(weights: Tensor, images: Tensor) -> Tensor:
    """Apply [T, S] to the columns and rows of [N, C, S, S], which gives [N, C, T, T]."""
    weights = weights.to(images)
    return torch.matmul(weights @ images, weights.T)


def resample(images: Tensor, transform: Tensor) -> Tensor:
    """Transform ``images`` [N, C, S, S]; what lies outside is mirrored.

    The image is doubled and the result halved with a wavelet's low-pass (appendix B), in between
    interpolation is bilinear. The wavelet is not quite symmetric: an image turned by 180 degrees
    also moves by 0.4 pixels [code].
    """
    side, beyond = images.shape[-1], len(SYM6) // 2 - 1
    centre = side - 0.5
    target = torch.arange(-beyond, 2 * side + beyond)
    places = source_positions(transform.to(images), (target.to(images) - centre) / 2)
    places = 2 * places + centre
    corner = places.floor().long()
    first, last = int(corner.min()), int(corner.max())

    fine, coarse = torch.arange(first, last + 2), torch.arange(first // 2 - 3, last // 2 + 4)
    shares = math.sqrt(2) * wavelet(fine, coarse)
    double = shares.new_zeros(len(fine), side).index_add_(1, reflected(coarse, side), shares)
    doubled = on_both_axes(double, images)

    right, down = (places - corner)[:, :, None]
    x, y = corner - first
    upper = torch.lerp(pick(doubled, x, y), pick(doubled, x + 1, y), right)
    lower = torch.lerp(pick(doubled, x, y + 1), pick(doubled, x + 1, y + 1), right)
    moved = torch.lerp(upper, lower, down).unflatten(2, (len(target), len(target)))
    return on_both_axes(wavelet(target, torch.arange(side)).T / math.sqrt(2), moved)


def recolour(images: Tensor, transform: Tensor) -> Tensor:
    """Apply colour matrices [N, 4, 4] to ``images`` [N, 3, S, S]."""
    transform = transform.to(images)
    mixed = transform[:, :3, :3] @ images.flatten(2) + transform[:, :3, 3:]
    return mixed.view_as(images)


def augment(images: Tensor, p: float, generator: torch.Generator, config: TGANADAConfig) -> Tensor:
    """Augment ``images`` [N, 3, S, S], each transformation with probability ``p``.

    Pixels that move by blitting alone are copied exactly [ours]; published code resamples them too.
    An image to which nothing is applied passes bit for bit.
    """
    side = images.shape[-1]
    groups = (config.blit, config.geometric, config.colour)
    first, second, third = (Dice(len(images), p if on else 0.0, generator) for on in groups)
    blitting, geometry = draw_blit(first, side), draw_geometric(second, side)
    colour = draw_colour(third)
    general = differs(geometry)
    for active, apply, transform in (
        (differs(blitting) & ~general, blit, blitting),
        (general, resample, blitting @ geometry),
        (differs(colour), recolour, colour),
    ):
        if bool(active.any()):
            changed = apply(images, transform)
            images = torch.where(active.to(images.device)[:, None, None, None], changed, images)
    return images


def differs(transforms: Tensor) -> Tensor:
    """[N]: which of the matrices [N, K, K] are not the identity."""
    return (transforms != torch.eye(transforms.shape[-1])).flatten(1).any(dim=1)


class TGANADA(Method):
    """Plain fine-tuning in which the discriminator judges augmented images only, real and fake.

    The R1 penalty is taken with respect to the images before augmentation [code]. ``p`` and the
    batch's mean sign are in the log as ``ada_p`` and ``ada_sign``.
    """

    name = "tgan_ada"
    title = "TGAN+ADA"
    version = "2"
    paper = "Karras et al. 2020, Training generative adversarial networks with limited data"
    Config = TGANADAConfig
    tiny = {"initial_p": 0.7, "images_to_full": 100, "every": 2}

    def setup(self, session: Session) -> None:
        self._p = float(self.config.initial_p)
        self._signs = torch.zeros((), device=session.device)
        self._seen = 0

    def judge(self, session: Session, images: Tensor) -> Tensor:
        stream = session.streams["augmentation"]
        return super().judge(session, augment(images, self._p, stream, self.config))

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        if session.iteration % self.config.every == 0:
            self._adapt()
        with torch.no_grad():
            fake = self.synthesise(session, len(real)).image
        logits = self.judge(session, real)
        signs = logits.detach().sign()
        self._signs, self._seen = self._signs + signs.sum(), self._seen + len(real)
        session.report("ada_sign", signs.mean())
        session.report("ada_p", torch.tensor(self._p))
        return {"adversarial": discriminator_adversarial(logits, self.judge(session, fake))}

    def _adapt(self) -> None:
        """Move ``p`` by the images seen since the last time; it ends at 1 [ours]."""
        if not self._seen:
            return
        excess = float(self._signs) / self._seen - self.config.target
        direction = (excess > 0) - (excess < 0)
        moved = self._p + direction * self._seen / self.config.images_to_full
        self._p = min(1.0, max(0.0, moved))
        self._signs, self._seen = torch.zeros_like(self._signs), 0

    def state_dict(self) -> dict[str, Any]:
        return {"p": self._p, "signs": self._signs, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._p, self._signs, self._seen = state["p"], state["signs"], state["seen"]
