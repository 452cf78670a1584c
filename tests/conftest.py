"""What every test shares: one thread, one image cache, tiny networks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fsgan_bench.data.images import Images
    from fsgan_bench.stylegan2.architecture import Architecture
    from fsgan_bench.stylegan2.networks import Discriminator, Generator

# For this process, for pytest's workers and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every machine, however slow it is.
settings.register_profile("fsgan-bench", derandomize=True, deadline=None)
settings.load_profile("fsgan-bench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny networks are slower on several threads, and workers share the cores.

    For every test, as some commands that run in this process set another number.
    """
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def image_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An image cache of this test run's own, shared by pytest's workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSGAN_BENCH_CACHE", str(folder))
        yield folder


@pytest.fixture
def architecture() -> Architecture:
    """A pair at 16x16 small enough to train in a test."""
    from fsgan_bench.stylegan2.architecture import Architecture

    return Architecture(16, style_dim=8, mapping_layers=2, channels={4: 8, 8: 8, 16: 4})


@pytest.fixture
def networks(architecture: Architecture) -> tuple[Generator, Discriminator]:
    """A pair of ``architecture`` with weights of its own seed."""
    from fsgan_bench.stylegan2.networks import Discriminator, Generator
    from fsgan_bench.training.streams import Streams

    with Streams(0).initialising("networks"):
        return Generator(architecture), Discriminator(architecture)


@pytest.fixture
def few_shot() -> Images:
    """Ten different images [10, 16, 16, 3] of coloured noise."""
    return np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
