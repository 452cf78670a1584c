"""FreezeD: the discriminator's high-resolution layers stay as they are (Mo et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from fsgan_bench.training.look import Look
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class FreezeDConfig:
    """Where the frozen part ends.

    Attributes:
        trains_from: blocks whose input is larger than this resolution in pixels are frozen,
            fromRGB included. 16 freezes fromRGB and 256->128 to 32->16 at 256x256, which is
            ``feature_loc=3`` of the published code. From the image's resolution on, nothing is.
    """

    trains_from: int = 16


class FreezeD(Method):
    """The generator trains in full, the discriminator from ``trains_from`` pixels down."""

    name = "freezed"
    title = "FreezeD"
    look = Look("#009e73", (0.0, (1.5, 1.0)), "^", place=3)
    version = "2"
    paper = "Mo et al. 2020, Freeze the Discriminator: a simple baseline for fine-tuning GANs"
    Config = FreezeDConfig
    accumulates = True

    def discriminator_parameters(self, session: Session) -> Iterable[nn.Parameter]:
        return self._trainable(session)

    def _trainable(self, session: Session) -> Iterator[nn.Parameter]:
        discriminator = session.discriminator
        for layer, block in enumerate(discriminator.convs):
            if discriminator.feature_resolution(max(layer - 1, 0)) <= self.config.trains_from:
                yield from block.parameters()
        yield from discriminator.final_conv.parameters()
        yield from discriminator.final_linear.parameters()
