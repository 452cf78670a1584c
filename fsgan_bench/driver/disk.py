"""How much disk a plan will take, and whether there is so much."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import nn

from fsgan_bench.driver.strips import STRIP_TILES
from fsgan_bench.driver.task import Task
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.keeping import Keep
from fsgan_bench.stylegan2.checkpoint import Source

LOG_BYTES = 30
"""Bytes of ``train.jsonl`` an iteration, about: a line of some 300 every tenth."""


def stored_bytes(cell: Cell, task: Task, keep: Keep) -> int:
    """What a finished cell keeps, about: snapshots, image strips (uncompressed) and log.

    Modules and state that a method adds to the pair are not counted.
    """
    looks = len(cell.snapshots)
    kept = {"none": 0, "last": 1}.get(keep, looks)
    strip = STRIP_TILES * 3 * task.resolution**2
    total = kept * snapshot_bytes(task.source) + looks * strip + LOG_BYTES * cell.iterations
    return total + (state_bytes(task.source) if keep == "all" else 0)


def snapshot_bytes(source: Source) -> int:
    """A snapshot: the generator's average."""
    return _size(source.generator)


def state_bytes(source: Source) -> int:
    """A training state: networks, the generator's average, and two moments of Adam for each."""
    generator, discriminator = source.pair
    return 4 * _size(generator) + 3 * _size(discriminator)


def working_bytes(task: Task) -> int:
    """What a running cell needs besides: its state, the one before, and one being written."""
    return 3 * state_bytes(task.source)


def cached_bytes(task: Task) -> int:
    """What the cache keeps at most of a task's images from files, decoded; 0 without any."""
    return 3 * task.resolution**2 * task.target.images.kept_images(task.split_sizes)


def free_bytes(folder: Path) -> int:
    """Free disk at ``folder``, or at the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())
