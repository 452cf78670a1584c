"""The GPUs of this machine, each of which one run at a time uses."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fsgan_bench.system.locks import Taken, owned

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process sees.

    Attributes:
        name: what ``CUDA_VISIBLE_DEVICES`` calls it.
        identity: of the hardware, whatever processes call it.
    """

    name: str
    identity: str


def visible_gpus(device: str) -> list[Gpu]:
    """What ``cuda`` (all) or ``cuda:N`` (one) stands for; the device has been checked."""
    import torch

    listed = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    indices = [int(device.partition(":")[2])] if ":" in device else range(count)
    return [
        Gpu(
            listed[index] if index < len(listed) else str(index),
            str(torch.cuda.get_device_properties(index).uuid),
        )
        for index in indices
    ]


@dataclass
class GpuShare:
    """The GPUs that cells of this run are on; each is taken with its first cell.

    Attributes:
        gpus: those that may be used.
        per_gpu: cells at a time on each.
    """

    gpus: list[Gpu]
    per_gpu: int = 1
    cells: dict[Gpu, int] = field(default_factory=dict)
    taken_by: str = ""
    _locks: dict[Gpu, ExitStack] = field(default_factory=dict)

    def room(self) -> int:
        """Cells that could start now; GPUs that have room are taken."""
        for gpu in self.gpus:
            if gpu not in self._locks:
                self._take(gpu)
        return sum(self.per_gpu - self.cells[gpu] for gpu in self._locks)

    def start(self) -> Gpu:
        """The GPU for another cell: of those taken, one with the fewest."""
        gpu = min(self._locks, key=lambda each: self.cells[each])
        self.cells[gpu] += 1
        return gpu

    def end(self, gpu: Gpu) -> None:
        """A cell has left ``gpu``."""
        self.cells[gpu] -= 1

    def release(self) -> None:
        """Leave the GPUs without cells to other runs."""
        for gpu in [gpu for gpu in self._locks if not self.cells[gpu]]:
            self._locks.pop(gpu).close()
            del self.cells[gpu]

    def close(self) -> None:
        """Leave all of them."""
        while self._locks:
            self._locks.popitem()[1].close()

    def _take(self, gpu: Gpu) -> None:
        lock = ExitStack()
        try:
            lock.enter_context(owned(_folder(gpu)))
        except Taken as taken:
            self.taken_by = f"GPU {gpu.name}: {taken}"
            return
        self._locks[gpu] = lock
        self.cells[gpu] = 0


def _folder(gpu: Gpu) -> Path:
    """Where the lock of a GPU is: on this machine, not on what hosts share."""
    name = re.sub(r"[^A-Za-z0-9-]", "-", gpu.identity)
    return Path(tempfile.gettempdir(), f"fsgan-bench-{os.getuid()}", f"gpu-{name}")
