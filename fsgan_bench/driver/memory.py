"""Memory that a cell will need: its iterations rehearsed on tensors that have shapes but no data.

Every tensor that a method makes, in its own losses, is counted for as long as it lives. What the
libraries take for themselves comes on top.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from fsgan_bench.driver.probe import sample_batch
from fsgan_bench.driver.shapes import evaluate
from fsgan_bench.driver.task import Task
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.pair_means import sums_bytes
from fsgan_bench.metrics.scorer import HELD_BYTES
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.cell import Cell
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.machine import resident
from fsgan_bench.training.method import Method
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.session import Session

ALLOWANCE = 1.15
"""What allocators and convolutions take beside the tensors: between 1.05 and 1.17 of them was
measured at 256x256, see ``benchmarks/README.md``."""
LONGEST_SETUP = 20_000
"""Operations of a method's set-up beyond which its rehearsal is given up."""


class TooLong(Exception):
    """More operations than allowed."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of the tensors that live at once while a cell runs.

    Attributes:
        training: at the peak of an iteration.
        sampling: while a snapshot is sampled.
        kept: between iterations.
        own: whether the method itself was rehearsed; else it was plain fine-tuning.
    """

    training: int
    sampling: int
    kept: int
    own: bool


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside while they live; ``peak`` is the most so far.

    A number read from a tensor without data is 1. After ``most_operations`` it raises ``TooLong``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.operations = 0
        self.most_operations: float = math.inf
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 1.0 if args[0].is_floating_point() else 1
        self.operations += 1
        if self.operations > self.most_operations:
            raise TooLong
        result = evaluate(func, args, kwargs or {})
        for tensor in (result,) if isinstance(result, Tensor) else tree_iter(result):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def rehearse(
    cell: Cell, method: type[Method], architecture: Architecture, sample_batch: int
) -> Footprint:
    """Rehearse the most demanding iteration of ``cell``, both regularisers in it, and a sampling.

    A method that needs data for its decisions, or takes too long, is stood in for by plain
    fine-tuning.

    Args:
        cell: what is to be trained.
        method: its method.
        architecture: of the source's networks.
        sample_batch: images that are sampled at a time.
    """
    try:
        config = build_config(method, {**cell.config, **method.shortened})
        return _rehearse(cell, method(config), architecture, sample_batch)
    except (Exception, SystemExit):
        plain = _rehearse(cell, Method(), architecture, sample_batch)
        return replace(plain, own=False)


def _rehearse(
    cell: Cell, method: Method, architecture: Architecture, sample_batch: int
) -> Footprint:
    side = architecture.resolution
    # All micro-batches take the same, so that two will do. So do float16 and bfloat16, and loss
    # scales need data.
    parts = min(2, cell.numerics.accumulate)
    recipe = replace(cell.recipe, batch=cell.recipe.batch // cell.numerics.accumulate * parts)
    precision = cell.numerics.precision.replace("fp16", "bf16")
    with LiveBytes() as live:
        with torch.device("meta"):
            networks = Generator(architecture), Discriminator(architecture)
        session = Session(
            method,
            *networks,
            np.zeros((cell.shots, side, side, 3), dtype=np.uint8),
            recipe=recipe,
            seed=cell.seed,
            iterations=cell.iterations,
            device="meta",
            numerics=Numerics(precision, parts),
        )
        live.most_operations = live.operations + LONGEST_SETUP
        session.prepare()
        live.most_operations = math.inf
        _fill_optimizers(session)
        period = math.lcm(recipe.r1_every or 1, recipe.path_length_every or 1)
        session.iteration = (cell.iterations - 1) // period * period
        live.peak = live.now
        method.step(session)
        training, kept = live.peak, live.now
        live.peak = kept
        z = torch.empty(sample_batch, architecture.style_dim, device="meta")
        with torch.inference_mode():
            method.sample(dict(session.averaged.items()), z)
        return Footprint(training, live.peak, kept, own=True)


def _fill_optimizers(session: Session) -> None:
    """Give every weight the gradient and the moments that earlier iterations leave behind."""
    for optimizer in (session.generator_optimizer, session.discriminator_optimizer):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()


@dataclass(frozen=True)
class Need:
    """Bytes that a cell's process, or its GPU, holds at its peaks in training and in scoring.

    ``own`` is that of :class:`Footprint`.
    """

    training: int
    scoring: int
    own: bool

    @property
    def peak(self) -> int:
        return max(self.training, self.scoring)


def needs(
    cells: Sequence[tuple[Task, Cell]], methods: Mapping[str, type[Method]], device: str
) -> list[Need]:
    """What each cell will need on ``device``, which may be one of another host.

    On a CPU that is on top of what this process holds now: the libraries and the source.
    """
    rehearsed: dict[str, Footprint] = {}
    found: dict[tuple[Path, str], Need] = {}
    all_needs = []
    for task, cell in cells:
        fields = (cell.method, cell.config, cell.recipe, cell.numerics, cell.shots, task.resolution)
        training = repr(fields)
        if training not in rehearsed:
            batch = min(sample_batch(task.resolution), len(task.probe))
            shape = task.source.generator.architecture
            rehearsed[training] = rehearse(cell, methods[cell.method], shape, batch)
        key = (task.folder, training)
        if key not in found:
            seen = rehearsed[training]
            scoring = max(seen.sampling, seen.kept + scoring_bytes(task))
            base = resident() if device == "cpu" else 0
            found[key] = Need(
                base + round(ALLOWANCE * seen.training),
                base + round(ALLOWANCE * scoring),
                seen.own,
            )
        all_needs.append(found[key])
    return all_needs


@functools.lru_cache(maxsize=8)
def scoring_bytes(task: Task) -> int:
    """Bytes that scoring a probe batch holds at once beside the networks.

    The pass over the first batch of each network is run and counted. The rest is what
    :meth:`fsgan_bench.metrics.scorer.Scorer.score` and the metrics say that they keep.
    """
    suite, count = task.suite, len(task.probe)
    images = np.zeros((count, task.resolution, task.resolution, 3), dtype=np.uint8)
    passes, widths = [], {}
    for name in suite.backbones:
        backbone = load_backbone(name, task.request.device)
        with LiveBytes() as live:
            features = next(backbone.batches(images))
        passes.append(live.peak)
        widths[name] = features.lpips.shape[1], features.pooled.shape[1]
    lpips = 4 * widths[suite.lpips_backbone][0]
    few_shot = task.request.shots * lpips
    held = count * lpips if count * lpips <= HELD_BYTES else 0
    # The source's images, and the ideal ones if there are any, stay beside those that are scored.
    sets = 2 if task.target.images.ideal is None else 3
    held *= sets - 1
    # In float32, and in float64 once the distance is computed.
    compared = suite.sampled + suite.reference_size
    pooled = (4 + 8) * compared * widths[suite.frechet_backbone][1]
    sums = sums_bytes(task.request.shots, widths[suite.lpips_backbone][0])
    return int(sets * images.nbytes + max(passes) + held + few_shot + sums + pooled)
