"""TGAN+ADA: fine-tuning whose discriminator sees everything augmented (Karras et al. 2020).

From "Training generative adversarial networks with limited data", section 3 and appendix B. Marks:
[paper] the text, [code] what the authors published, [ours] a choice that we had to make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.method import Losses, Method
from fsgan_bench.session import Session
from fsgan_bench.stylegan2.losses import discriminator_adversarial

# The orthogonal wavelet "sym6" (Daubechies' least asymmetric one with six vanishing moments).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)


@dataclass(frozen=True)
class TGANADAConfig:
    """How strongly the discriminator's images are augmented, and how that adapts.

    Attributes:
        target: the sign of the logits of real images, averaged, that ``p`` is steered to: 0.6
            [paper]. Above it the discriminator overfits and ``p`` rises.
        every: iterations between two adjustments of ``p``: 4 [paper].
        images_to_full: real images in which ``p`` can go from 0 to 1. The paper's 500,000 are 2 %
            of its training; ours [ours], 1,000, is 250 iterations of batch 4, about a third of the
            embedded suite's budget ``quick``, so that ``p`` arrives while there is overfitting
            to prevent.
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

    def applied(self, value: Tensor, neutral: float, p: float | None = None) -> Tensor:
        chosen = torch.rand(self.n, generator=self.generator) < (self.p if p is None else p)
        return torch.where(chosen, value, neutral)

    def uniform(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.n, generator=self.generator)

    def normal(self, std: float) -> Tensor:
        return std * torch.randn(self.n, generator=self.generator)


def matrix(rows: list[list[Tensor | float]], n: int) -> Tensor:
    """[n, len(rows), len(rows)] from entries that are numbers or [n]."""
    stacked = [torch.stack([torch.as_tensor(e).expand(n) for e in row], dim=1) for row in rows]
    return torch.stack(stacked, dim=1)


def rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return matrix([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], len(angle))


def scaling(x: Tensor, y: Tensor) -> Tensor:
    return matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], len(x))


def translation(x: Tensor, y: Tensor) -> Tensor:
    return matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], len(x))


def draw_blit(dice: Dice, side: int) -> Tensor:
    """[N, 3, 3] from target to source pixels (x, y, 1), measured from the image's centre."""
    flip = dice.applied(dice.uniform(0, 2).floor(), 0)
    turns = dice.applied(dice.uniform(0, 4).floor(), 0)
    shifts = [dice.applied((dice.uniform(-0.125, 0.125) * side).round(), 0) for _ in range(2)]
    flipping = scaling(1 - 2 * flip, torch.ones(dice.n))
    return flipping @ rotation(turns * (math.pi / 2)).round() @ translation(*shifts)


def draw_geometric(dice: Dice, side: int) -> Tensor:
    """As :func:`draw_blit`, for the general geometric transformations in the paper's order."""
    scale = torch.exp2(dice.applied(dice.normal(0.2), 0))
    # Either rotation happens with the probability that leaves 1 - p for neither.
    p_rotation = 1 - math.sqrt(1 - dice.p)
    before = dice.applied(dice.uniform(-math.pi, math.pi), 0, p_rotation)
    stretch = torch.exp2(dice.applied(dice.normal(0.2), 0))
    after = dice.applied(dice.uniform(-math.pi, math.pi), 0, p_rotation)
    shifts = [dice.applied(dice.normal(0.125) * side, 0) for _ in range(2)]
    linear = scaling(scale, scale) @ rotation(before) @ scaling(stretch, 1 / stretch)
    return linear @ rotation(after) @ translation(*shifts)


def draw_colour(dice: Dice) -> Tensor:
    """[N, 4, 4] that acts on (red, green, blue, 1), colours in [-1, 1]."""
    n, eye = dice.n, torch.eye(4)
    luma = torch.tensor([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)
    along = torch.outer(luma, luma)
    x, y, z = (luma[:3]).tolist()
    across = F.pad(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]), (0, 1, 0, 1))
    brightness = dice.applied(dice.normal(0.2), 0)
    contrast = torch.exp2(dice.applied(dice.normal(0.5), 0))
    flip = dice.applied(dice.uniform(0, 2).floor(), 0)
    hue = dice.applied(dice.uniform(-math.pi, math.pi), 0)[:, None, None]
    saturation = torch.exp2(dice.applied(dice.normal(1.0), 0))[:, None, None]
    brighter = eye.repeat(n, 1, 1)
    brighter[:, :3, 3] = brightness[:, None]
    contrasted = torch.diag_embed(torch.stack([contrast] * 3 + [torch.ones(n)], dim=1))
    flipped = eye - 2 * along * flip[:, None, None]
    plane = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0])) - along
    turned = eye + hue.sin() * across + (hue.cos() - 1) * plane
    saturated = eye + (saturation - 1) * plane
    return saturated @ turned @ flipped @ contrasted @ brighter


def reflected(index: Tensor, side: int) -> Tensor:
    """Indices of any size folded into [0, side) by mirrors at the image's edges."""
    folded = index.remainder(2 * side)
    return torch.minimum(folded, 2 * side - 1 - folded)


def pick(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``images[n, :, y[n], x[n]]`` for [N, P] integers, [N, C, P]; twice differentiable."""
    side = images.shape[-1]
    index = reflected(y, side) * side + reflected(x, side)
    return images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1))


def source_positions(transform: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """Where ``transform`` [N, 3, 3] takes the points of ``line`` x ``line``: x and y, [N, P]."""
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.ones(x.numel(), device=x.device)])
    return (transform @ points)[:, 0], (transform @ points)[:, 1]


def blit(images: Tensor, transform: Tensor) -> Tensor:
    """Move pixels of ``images`` [N, C, S, S] about, exactly."""
    side = images.shape[-1]
    centre = (side - 1) / 2
    x, y = source_positions(transform, torch.arange(side, device=images.device) - centre)
    moved = pick(images, (x + centre).round().long(), (y + centre).round().long())
    return moved.view_as(images)


def resample(images: Tensor, transform: Tensor) -> Tensor:
    """Transform ``images`` [N, C, S, S] between doubling and halving with a wavelet's low-pass.

    As in the paper, the filter is sym6 and interpolation at the double resolution is bilinear.
    [ours] What lies outside is mirrored at every distance, and nothing is cropped for speed.
    """
    side, taps, channels = images.shape[-1], len(SYM6), images.shape[1]
    line = torch.tensor(SYM6, dtype=images.dtype, device=images.device)
    kernel = torch.outer(line, line).expand(channels, 1, taps, taps)
    around = reflected(torch.arange(-taps // 2, side + taps // 2, device=images.device), side)
    padded = images[:, :, around][:, :, :, around]
    fine = F.conv_transpose2d(padded, 2 * kernel, stride=2, groups=channels)
    fine = fine[:, :, taps + 5 : taps + 5 + 2 * side, taps + 5 : taps + 5 + 2 * side]

    centre = side - 0.5
    positions = torch.arange(2 * side + taps - 2, device=images.device) - (taps // 2 - 1) - centre
    x, y = (2 * place + centre for place in source_positions(transform, positions / 2))
    left, top = x.floor(), y.floor()
    right, down = (x - left)[:, None].to(images.dtype), (y - top)[:, None].to(images.dtype)
    i, j = left.long(), top.long()
    upper = torch.lerp(pick(fine, i, j), pick(fine, i + 1, j), right)
    lower = torch.lerp(pick(fine, i, j + 1), pick(fine, i + 1, j + 1), right)
    moved = torch.lerp(upper, lower, down).unflatten(2, (len(positions), len(positions)))
    return F.conv2d(moved, kernel / 2, stride=2, groups=channels)


def recolour(images: Tensor, transform: Tensor) -> Tensor:
    """Apply colour matrices [N, 4, 4] to ``images`` [N, 3, S, S]."""
    mixed = transform[:, :3, :3] @ images.flatten(2) + transform[:, :3, 3:]
    return mixed.view_as(images)


def augment(images: Tensor, p: float, generator: torch.Generator, config: TGANADAConfig) -> Tensor:
    """Augment ``images`` [N, 3, S, S], each transformation with probability ``p``.

    An image to which nothing of a group is applied passes it bit for bit. Blitting is exact, apart
    from the geometric group, whereas the paper resamples both at once [ours].
    """
    dice, side = Dice(len(images), p, generator), images.shape[-1]
    for wanted, transform, apply in (
        (config.blit, draw_blit(dice, side), blit),
        (config.geometric, draw_geometric(dice, side), resample),
        (config.colour, draw_colour(dice), recolour),
    ):
        active = (transform != torch.eye(transform.shape[1])).flatten(1).any(dim=1)
        if wanted and bool(active.any()):
            changed = apply(images, transform.to(images.device))
            images = torch.where(active.to(images.device)[:, None, None, None], changed, images)
    return images


class TGANADA(Method):
    """Plain fine-tuning in which the discriminator judges augmented images only, real and fake.

    The R1 penalty is taken with respect to the images before augmentation [code]. ``p`` and the
    batch's mean sign are in the log as ``ada_p`` and ``ada_sign``.
    """

    name = "tgan_ada"
    title = "TGAN+ADA"
    version = "1"
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
        with torch.no_grad():
            fake = self.synthesise(session, len(real)).image
        logits = self.judge(session, real)
        loss = discriminator_adversarial(logits, self.judge(session, fake))
        self._adapt(session, logits.detach())
        return {"adversarial": loss}

    def _adapt(self, session: Session, real_logits: Tensor) -> None:
        """Every ``every`` iterations, take one step of ``p`` towards the target sign."""
        signs = real_logits.sign()
        self._signs, self._seen = self._signs + signs.sum(), self._seen + len(signs)
        session.report("ada_sign", signs.mean())
        session.report("ada_p", torch.tensor(self._p))
        if (session.iteration + 1) % self.config.every == 0:
            excess = float(self._signs) / self._seen - self.config.target
            direction = (excess > 0) - (excess < 0)
            moved = self._p + direction * self._seen / self.config.images_to_full
            self._p = min(1.0, max(0.0, moved))
            self._signs, self._seen = torch.zeros_like(self._signs), 0

    def state_dict(self) -> dict[str, Any]:
        return {"p": self._p, "signs": self._signs, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._p, self._signs, self._seen = state["p"], state["signs"], state["seen"]
