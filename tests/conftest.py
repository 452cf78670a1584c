"""What every test shares: one thread, one image cache, tiny networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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

# Whatever trains or scores does so on this device: cuda for a GPU.
os.environ["FSGAN_BENCH_DEVICE"] = os.environ.get("FSGAN_BENCH_TEST_DEVICE", "cpu")

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
def device() -> None:
    """The device is there, and computes repeatably."""
    from fsgan_bench.system.machine import check_device

    check_device(os.environ["FSGAN_BENCH_DEVICE"])


@pytest.fixture(autouse=True, scope="session")
def image_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An image cache of this test run's own, shared by pytest's workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSGAN_BENCH_CACHE", str(folder))
        yield folder


class Started:
    """A command in a process of its own, which leads a session; its output is in two files."""

    def __init__(self, commands: Commands, pid: int, files: list[Path]) -> None:
        self.pid, self._commands, self._files = pid, commands, files
        self.returncode: int | None = None

    @property
    def said(self) -> list[str]:
        """What it has written so far to the standard output and the standard error."""
        return [file.read_text(encoding="utf-8") for file in self._files]

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._commands.ask({"wait": self.pid})
        return self.returncode

    def wait(self, seconds: float = 900) -> int:
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(f"it ran for {seconds:g} s and said: {self.said}")
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


class Commands:
    """Runs the command line to its end, or starts it, by ``command_server.py``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("command_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, object]) -> int | None:
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        answer: int | None = json.loads(self.server.stdout.readline())
        return answer

    def start(self, *arguments: object, before: str = "") -> Started:
        """Start it in the working folder and environment of now; ``before`` is Python code."""
        self._count += 1
        files = [self._folder / f"{self._count}.{name}" for name in ("stdout", "stderr")]
        pid = self.ask(
            {
                "arguments": [str(argument) for argument in arguments],
                "files": [os.devnull, *map(str, files)],
                "folder": str(Path.cwd()),
                "environment": dict(os.environ),
                "before": before,
            }
        )
        assert pid is not None
        return Started(self, pid, files)

    def __call__(self, *arguments: object, before: str = "") -> subprocess.CompletedProcess[str]:
        started = self.start(*arguments, before=before)
        code = started.wait()
        return subprocess.CompletedProcess([str(a) for a in arguments], code, *started.said)


@pytest.fixture(scope="session")
def fsgan_bench(image_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The command line in processes of its own."""
    commands = Commands(tmp_path_factory.mktemp("output"))
    yield commands
    assert commands.server.stdin is not None
    commands.server.stdin.close()
    commands.server.wait(60)


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
