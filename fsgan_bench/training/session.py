"""The state of one adaptation: networks, optimisers, moving averages and random streams."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from fsgan_bench.data.images import to_tensor
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.machine import default_device
from fsgan_bench.training.averages import follow, frozen_copy, load_plain
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.optimisation import Losses, adam, minimise
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.state import restore, session_state
from fsgan_bench.training.streams import Streams

if TYPE_CHECKING:
    from fsgan_bench.training.method import Method


class Session:
    """What a method sees and the driver owns while a generator is adapted.

    Attributes:
        generator, discriminator: the networks that train; they start as copies of the source's.
        source_generator, source_discriminator: the frozen source.
        source_average: the moving average that the averages start from; the source generator
            itself where that is one.
        generator_side, discriminator_side: the network and the method's extra modules by name; the
            first key is ``generator`` or ``discriminator``.
        averaged: moving averages of the modules on the generator's side, by the same names.
        averaged_discriminator: those on the discriminator's side, if the method asks for them.
        images: the few-shot images, uint8 [M, H, W, 3]; a view that cannot be written to.
        few_shot: the same as a tensor on the device, [M, 3, H, W] in [-1, 1]; not to be changed.
        recipe: the shared hyperparameters.
        numerics: precision, micro-batches, compiled networks.
        streams: named random streams of the cell's seed.
        iteration: iterations done; ``iterations`` is the planned total.
        length_matters: whether anybody has asked for ``iterations`` so far; if nobody has, the
            training is the beginning of any longer one.
        path_length_mean: running target of path-length regularisation.
        parts: micro-batches that the current pass's batch is computed in; 1 outside of a pass.
        part: which of them this is, from 0.
    """

    def __init__(
        self,
        method: Method,
        generator: Generator,
        discriminator: Discriminator,
        images: NDArray[Any],
        *,
        recipe: Recipe,
        seed: int,
        iterations: int,
        device: str | None = None,
        numerics: Numerics | None = None,
        average: Generator | None = None,
    ) -> None:
        self.method = method
        self.recipe = recipe
        self.numerics = numerics or Numerics()
        self.streams = Streams(seed)
        self.iteration = 0
        self._iterations = iterations
        self.length_matters = False
        self.device = torch.device(device or default_device())
        self.images = images.view()
        self.images.flags.writeable = False
        self.few_shot = to_tensor(self.images).to(self.device)
        self.source_generator: Generator = frozen_copy(generator).to(self.device)
        self.source_discriminator: Discriminator = frozen_copy(discriminator).to(self.device)
        self.source_average: Generator = (
            self.source_generator
            if average is None or average is generator
            else frozen_copy(average).to(self.device)
        )
        self.generator = copy.deepcopy(generator).to(self.device).train()
        self.discriminator = copy.deepcopy(discriminator).to(self.device).train()
        with self.streams.initialising("modules"):
            method.prepare_networks(self)
            generator_extras = method.generator_modules(self)
            discriminator_extras = method.discriminator_modules(self)
        self.generator_side = nn.ModuleDict({"generator": self.generator, **generator_extras})
        self.discriminator_side = nn.ModuleDict(
            {"discriminator": self.discriminator, **discriminator_extras}
        )
        self.generator_side.to(self.device)
        self.discriminator_side.to(self.device)
        self.averaged: nn.ModuleDict = frozen_copy(self.generator_side)
        self.averaged_discriminator: nn.ModuleDict | None = (
            frozen_copy(self.discriminator_side) if method.averages_discriminator else None
        )
        self.path_length_mean = torch.zeros((), device=self.device)
        if self.numerics.compile:
            self.generator.compile()
            self.discriminator.compile()
        self.parts, self.part = 1, 0
        self._reported: dict[str, dict[int, Tensor]] = {}
        self.generator_optimizer = adam(
            self.generator_side,
            method.generator_groups(self),
            *recipe.adam(recipe.path_length_every, recipe.generator_rate),
        )
        self.discriminator_optimizer = adam(
            self.discriminator_side,
            method.discriminator_groups(self),
            *recipe.adam(recipe.r1_every),
        )
        scales = self.numerics.precision == "fp16"
        self.scalers = {
            side: GradScaler(self.device.type, enabled=scales)
            for side in ("generator", "discriminator")
        }

    @property
    def iterations(self) -> int:
        """The planned total. A method that asks for it trains otherwise at another length."""
        self.length_matters = True
        return self._iterations

    @property
    def architecture(self) -> Architecture:
        return self.generator.architecture

    @property
    def batch(self) -> int:
        """Images of the recipe's batch that the current micro-batch holds."""
        return self.recipe.batch // self.parts

    def report(self, name: str, value: Tensor) -> None:
        """Add a scalar to the log of the current iteration; it is not minimised."""
        self._reported.setdefault(name, {})[self.part] = value

    @property
    def reported(self) -> dict[str, float]:
        """What was reported in the current iteration, averaged over micro-batches."""
        return {
            name: sum(float(value) for value in values.values()) / len(values)
            for name, values in self._reported.items()
        }

    def forget_reports(self) -> None:
        """Start the log of another iteration."""
        self._reported.clear()

    def normal(self, stream: str, *shape: int) -> Tensor:
        """Draw N(0, I) of ``shape`` from a named stream."""
        return torch.randn(*shape, generator=self.streams[stream]).to(self.device)

    def noise(self, batch: int) -> list[Tensor]:
        """Draw fresh per-layer noise for a training pass over ``batch`` images."""
        whole = self.generator.fresh_noise(batch * self.parts, self.streams["noise"])
        return [self.share(layer) for layer in whole]

    def share(self, rows: Tensor) -> Tensor:
        """Of ``rows`` [N, ...], one an image of the whole batch, those of this micro-batch."""
        return rows if self.parts == 1 else rows[self.part :: self.parts]

    def real_batch(self) -> Tensor:
        """Draw ``recipe.batch`` few-shot images, flipped at random."""
        batch = self.few_shot[self.draw_images().to(self.device)]
        if not self.recipe.flip:
            return batch
        flipped = torch.rand(len(batch), generator=self.streams["flips"]) < 0.5
        return torch.where(flipped.to(self.device)[:, None, None, None], batch.flip(3), batch)

    def draw_images(self) -> Tensor:
        """Draw the indices [``recipe.batch``] of few-shot images, as the recipe says."""
        count, size = len(self.images), self.recipe.batch
        if self.recipe.distinct_images:
            return self.streams.distinct("images", count, size)
        return torch.randint(count, (size,), generator=self.streams["images"])

    def prepare(self) -> None:
        """Set the method up for a fresh training.

        The averages start from what it leaves in the modules, buffers included, and that of the
        generator from the source's, if that is another than the source.
        """
        with self.computing(full_precision=True):
            self.method.setup(self)
        self.start_averages()

    def start_averages(self) -> None:
        """Let the averages start from the modules as they are now, and from the source's."""
        self.averaged.load_state_dict(self.generator_side.state_dict())
        if self.source_average is not self.source_generator:
            load_plain(self.averaged["generator"], self.source_average)
        if self.averaged_discriminator is not None:
            self.averaged_discriminator.load_state_dict(self.discriminator_side.state_dict())

    def micro_batches(self, batch: int) -> Iterator[None]:
        """Go through the micro-batches of ``batch`` images.

        All start from the same state of the random streams. So what is drawn for the whole batch
        and handed to :meth:`share` is divided among them, and any other draw is the same in each.
        """
        parts = self.count_parts(batch)
        if parts == 1:
            yield
            return
        start = self.streams.state_dict()
        try:
            for part in range(parts):
                self.streams.load_state_dict(start)
                self.parts, self.part = parts, part
                yield
        finally:
            self.parts, self.part = 1, 0

    def count_parts(self, batch: int) -> int:
        """Number of micro-batches of ``batch`` images: ``accumulate``, or as many as divide it."""
        return math.gcd(self.numerics.accumulate, batch)

    def minimise(
        self,
        side: str,
        losses: Callable[[], Losses],
        *,
        batch: int | None = None,
        full_precision: bool = False,
    ) -> dict[str, float]:
        """Take one optimiser step on a side's losses.

        Args:
            side: ``generator`` or ``discriminator``.
            losses: computes the named terms of the current micro-batch.
            batch: images in all; the recipe's by default.
            full_precision: whether the networks compute in float32, and not compiled, whatever the
                numerics: for losses that differentiate twice.

        Raises:
            Diverged: a term or the gradient is not finite; no weight has been changed then.
        """
        batch = self.recipe.batch if batch is None else batch
        optimizers = {
            "generator": self.generator_optimizer,
            "discriminator": self.discriminator_optimizer,
        }
        scaler = GradScaler(enabled=False) if full_precision else self.scalers[side]
        with self.computing(full_precision=full_precision):
            return minimise(
                side,
                (losses() for _ in self.micro_batches(batch)),
                optimizers[side],
                scaler,
                parts=self.count_parts(batch),
                zero_idle=self.recipe.zero_idle_gradients,
                adjust=lambda: self.method.adjust_gradients(self, side),
            )

    @contextmanager
    def computing(self, *, full_precision: bool) -> Iterator[None]:
        """Let the networks compute as the numerics say, or in float32 and not compiled, inside."""
        networks = (
            *(self.generator, self.discriminator),
            *(self.source_generator, self.source_discriminator),
        )
        eager = self.numerics.compile and full_precision
        for network in networks:
            network.compute_dtype = None if full_precision else self.numerics.dtype
        try:
            with torch.compiler.set_stance("force_eager") if eager else nullcontext():
                yield
        finally:
            for network in networks:
                network.compute_dtype = None

    def update_average(self) -> None:
        """Move the averages towards the current weights."""
        follow(self.averaged, self.generator_side, self.recipe.ema_weight)
        if self.averaged_discriminator is not None:
            follow(self.averaged_discriminator, self.discriminator_side, self.recipe.ema_weight)

    def train_only(self, side: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
        """Let ``parameters`` of ``side``, and no others, train as far as the recipe lets them."""
        chosen = {id(parameter) for parameter in parameters}
        if not self.recipe.train_noise:
            chosen -= set(map(id, self.generator.noise_strengths()))
        for parameter in side.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs; tensors and plain containers only."""
        return session_state(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        restore(self, state)
