"""Arrays kept on disk between runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fsgan_bench.data.images import Images


def cache_dir() -> Path:
    """Where drawn images are kept: $FSGAN_BENCH_CACHE, or ``~/.cache/fsgan-bench``."""
    configured = os.environ.get("FSGAN_BENCH_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "fsgan-bench"


def cached_images(path: Path, shape: tuple[int, ...], make: Callable[[], Images]) -> Images:
    """The uint8 array of ``shape`` at ``path`` (.npy), made and stored there if it is missing.

    A file that is damaged or has another shape is made again. Writing goes through a temporary
    file in the same folder, so two processes at once each see a whole file. A folder that cannot
    be written to only costs the time to make the array again.
    """
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray) and stored.dtype == np.uint8 and stored.shape == shape:
            return stored
    except (OSError, ValueError, EOFError):
        pass
    images = make()
    with contextlib.suppress(OSError):
        _store(path, images)
    return images


def _store(path: Path, images: Images) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, images, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
