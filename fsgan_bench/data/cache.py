"""Arrays kept on disk between runs, and mapped into memory rather than read."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.images import Images


def cache_dir() -> Path:
    """Where drawn images are kept: $FSGAN_BENCH_CACHE, or ``~/.cache/fsgan-bench``."""
    configured = os.environ.get("FSGAN_BENCH_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "fsgan-bench"


def cached_images(path: Path, shape: tuple[int, ...], make: Callable[[], Images]) -> Images:
    """:func:`cached_array` of what ``make`` returns at once."""
    return cached_array(path, shape, lambda: [make()])


def cached_array(
    path: Path, shape: tuple[int, ...], make: Callable[[], Iterable[NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    """The uint8 array of ``shape`` at ``path`` (.npy), made and stored there if it is missing.

    It cannot be written to, and its pages are read as they are used, so that memory does not grow
    with it. ``make`` gives its rows in blocks. A file that is damaged or has another shape is made
    again. Writing goes through a temporary file in the same folder, so two processes at once each
    see a whole file. A folder that cannot be written to only costs the time to make the array
    again, and its memory.
    """
    with contextlib.suppress(OSError, ValueError, EOFError):
        return _mapped(path, shape)
    with contextlib.suppress(OSError):
        return _stored(path, shape, make)
    whole = np.empty(shape, dtype=np.uint8)
    start = 0
    for block in make():
        whole[start : start + len(block)] = block
        start += len(block)
    whole.flags.writeable = False
    return whole


def release(images: NDArray[np.uint8]) -> None:
    """Let go of the memory of a mapped array; its pages are read again when they are used."""
    base: object = images
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not on every system
            base.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    stored = np.load(path, allow_pickle=False, mmap_mode="r" if 0 not in shape else None)
    if not isinstance(stored, np.ndarray) or stored.dtype != np.uint8 or stored.shape != shape:
        raise ValueError(f"{path} holds another array")
    whole = np.asarray(stored)
    whole.flags.writeable = False
    return whole


def _stored(
    path: Path, shape: tuple[int, ...], make: Callable[[], Iterable[NDArray[np.uint8]]]
) -> NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in make():
                file.write(np.ascontiguousarray(block).data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return _mapped(path, shape)
