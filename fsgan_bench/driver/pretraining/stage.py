"""What the stages of a pretraining have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fsgan_bench.data.attributes import Attribute
from fsgan_bench.data.images import Images
from fsgan_bench.driver.pretraining.runs import sample_images
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.training.streams import Streams

HandedOn: TypeAlias = Mapping[str, Any]
"""What stages hand on to each other: state dicts by network, and ``early``, a list of them."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learnt from.

    Attributes:
        images: training images, uint8 [N, R, R, 3].
        values: the values of their attributes, int64 [N, attributes].
        attributes: which attributes these are.
        architecture: shape of the pair.
    """

    images: Images
    values: Tensor
    attributes: tuple[Attribute, ...]
    architecture: Architecture


class Stage(ABC):
    """One stage: it starts from what the ones before handed on, and takes steps.

    Attributes:
        name: as users and cards call it.
        iterations: its length.
        iteration: steps taken.
    """

    def __init__(
        self, name: str, iterations: int, lesson: Lesson, streams: Streams, device: str
    ) -> None:
        self.name = name
        self.iterations = iterations
        self.iteration = 0
        self.lesson = lesson
        self.streams = streams
        self.device = torch.device(device)

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Take one step; return its losses by name."""

    @abstractmethod
    def sample(self, count: int) -> Images:
        """Always the same ``count`` people as the model draws them now, uint8 [count, R, R, 3]."""

    @abstractmethod
    def hand_on(self) -> dict[str, Any]:
        """The weights that later stages start from."""

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs; tensors and plain containers only."""
        return {"iteration": self.iteration, "streams": self.streams.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.iteration = state["iteration"]
        self.streams.load_state_dict(state["streams"])

    def choose(self, count: int) -> Tensor:
        """Indices [count] of training images, drawn with replacement."""
        return torch.randint(len(self.lesson.images), (count,), generator=self.streams["images"])

    def images_of(self, network: Callable[[Tensor], Tensor], inputs: Tensor) -> Images:
        """What ``network`` makes of ``inputs``, uint8 [N, R, R, 3]."""
        return sample_images(network, inputs, self.device)

    def probe_latents(self, count: int) -> Tensor:
        """Always the same latents [count, style_dim]."""
        stream = Streams(self.streams.seed)["probe"]
        return torch.randn(count, self.lesson.architecture.style_dim, generator=stream)


def render(generator: Generator, w: Tensor, noise: list[Tensor] | None = None) -> Tensor:
    """The images [N, 3, R, R] of ``w`` [N, style_dim], the same for every layer."""
    styles = w[:, None].expand(-1, generator.architecture.n_latent, -1)
    return generator.synthesise(styles, noise=noise).image
