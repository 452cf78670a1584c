"""The machine: processor threads, the C allocator, and what a report says about the hardware."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 2**24


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_device() -> str:
    """The device that is meant where none is named: $FSGAN_BENCH_DEVICE, or ``cpu``."""
    return os.environ.get("FSGAN_BENCH_DEVICE") or "cpu"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads inside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare(threads: int, device: str = "cpu") -> None:
    """Give this process ``threads`` threads and let it keep the memory it has freed.

    On a GPU (``cuda[:N]``) the same computation gives the same bits from here on.
    """
    import torch

    torch.set_num_threads(threads)
    if device != "cpu":
        _repeatable_on_gpus()
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let this process keep the memory it has freed.

    glibc returns every large block to the system and asks for it again at the next allocation,
    which costs page faults in every training iteration on a CPU. Blocks of ``_KEPT`` and more go
    back all the same: kept, they leave gaps that the next ones don't fit into, which at 256x256
    costs gigabytes, and the faults are nothing beside the convolutions of such tensors.
    """
    _allocator("mallopt", _M_MMAP_THRESHOLD, _KEPT)
    _allocator("mallopt", _M_TRIM_THRESHOLD, (1 << 31) - 1)


def _allocator(function: str, *arguments: int) -> None:
    """Call a function of glibc's allocator; nothing where there is none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL("libc.so.6"), function)(*arguments)


def resident() -> int:
    """Bytes of memory that this process uses now; 0 where the system does not say.

    What it has freed goes back to the system first. Linux counts when asked in this way; what
    it has at hand lags behind by up to 64 pages a thread, which are 128 MiB if they are huge.
    """
    _allocator("malloc_trim", 0)
    return _stated("smaps_rollup", "Rss")


def peak_resident() -> int:
    """The most bytes of memory that this process has used; 0 where the system does not say.

    Only Linux does. ``ru_maxrss``, which others have too, is no less than what the process held
    that this one was forked from.
    """
    return _stated("status", "VmHWM")


def _stated(file: str, name: str) -> int:
    """Bytes that Linux gives for ``name`` of this process, 0 elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self", file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def free_memory(device: str) -> int | None:
    """Bytes that ``device`` (``cpu`` or ``cuda[:N]``) has left, None where the system hides it.

    On a CPU that is what the system can give without swapping, or what the limit of the control
    group leaves, if that is less.
    """
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    left = []
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        left.append(int(available.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        left.append(max(0, limit - used))
    return min(left, default=None)


def description(device: str = "cpu") -> dict[str, Any]:
    """Platform, processor, cores, package versions and, unless ``device`` is ``cpu``, the GPU."""
    packages = ("torch", "numpy", "timm", "scikit-learn", "dicebear-core", "dicebear-styles")
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        **({} if device == "cpu" else {"accelerator": accelerators([device])}),
    }


def accelerators(devices: Iterable[int | str]) -> str:
    """The names of GPUs, by number or as ``cuda[:N]``, and their CUDA version."""
    import torch

    return f"{', '.join(map(torch.cuda.get_device_name, devices))}; CUDA {torch.version.cuda}"


def check_device_name(device: str) -> None:
    """Refuse what cannot be a device on any machine.

    Raises:
        UserError: it is neither ``cpu`` nor ``cuda[:N]``.
    """
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UserError(f"--device must be cpu or cuda[:N], not '{device[:40]}'.")


def _repeatable_on_gpus() -> None:
    """Choose deterministic kernels, and float32 products that are not rounded to TF32.

    An operation that has no deterministic kernel, which only a plugin can bring along, warns.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def check_device(device: str) -> None:
    """Refuse a device that is not there, and let this process compute on it, as :func:`prepare`.

    Raises:
        UserError: it is unknown or absent.
    """
    import torch

    check_device_name(device)
    _keep_freed_memory()
    if device == "cpu":
        return
    index = int(device.partition(":")[2] or 0)
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise UserError(f"--device {device}: this machine has no such GPU; use --device cpu.")
    _repeatable_on_gpus()
