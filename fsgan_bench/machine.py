"""The machine: processor threads, the C allocator, and what a report says about the hardware."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
from importlib import metadata
from typing import Any

from fsgan_bench.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(threads: int) -> None:
    """Give this process ``threads`` threads and let it keep the memory it has freed.

    glibc returns every large block to the system and asks for it again at the next allocation,
    which costs page faults in every training iteration on a CPU.
    """
    import torch

    torch.set_num_threads(threads)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def description() -> dict[str, Any]:
    """Platform, processor, cores and package versions, for provenance."""
    packages = ("torch", "numpy", "timm", "scikit-learn", "dicebear-core", "dicebear-styles")
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
    }


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UserError: it is unknown or absent.
    """
    import torch

    if device == "cpu":
        return
    if not re.fullmatch(r"cuda(:[0-9]{1,3})?", device):
        raise UserError(f"--device must be cpu or cuda[:N], not '{device[:40]}'.")
    index = int(device.partition(":")[2] or 0)
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise UserError(f"--device {device}: this machine has no such GPU; use --device cpu.")
