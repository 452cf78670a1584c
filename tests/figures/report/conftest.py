"""A browser, and a page of made-up runs that it opens without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fsgan_bench.metrics.per_image import ProbeValues
from fsgan_bench.report import page as report
from fsgan_bench.results.reader import load

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("the page is tested in chromium, which is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as play:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        started = play.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@dataclass
class Opened:
    """A page in the browser, with all that went wrong on it."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def iteration(self) -> int:
        """Where the cursor is."""
        return int(self.page.inner_text("#iteration b").replace(",", ""))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """Opens an HTML file at a size; console, page and network must have nothing to report."""
    opened: list[tuple[Any, Opened]] = []

    def act(path: Path, width: int = 1300, height: int = 900, **more: Any) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, **more
        )
        found = Opened(context.new_page())
        opened.append((context, found))
        found.page.on("console", lambda said: found.problems.append(said.text))
        found.page.on("pageerror", lambda error: found.problems.append(str(error)))

        def requested(request: Any) -> None:
            if not request.url.startswith(("file:", "blob:", "data:")):
                found.problems.append(request.url)

        found.page.on("request", requested)
        found.page.goto(path.as_uri())
        return found

    yield act
    for context, found in opened:
        assert found.problems == []
        context.close()


def add_probes(cell: Path, seed: int) -> None:
    """Per-image values beside the scores of a made-up cell."""
    generator = np.random.default_rng(seed)
    for iteration in json.loads((cell / "cell.json").read_text())["cell"]["snapshots"]:
        values = {
            name: np.float16(generator.random(40)) for name in ("realisticness", "nearest_lpips")
        }
        probe = ProbeValues(generator.integers(0, 10, 40).astype(np.int16), values)
        probe.save(cell / "probe" / f"{iteration:06d}.npz")


@pytest.fixture(scope="session")
def made_page(tmp_path_factory: pytest.TempPathFactory, task_writer: Any) -> Path:
    """The page of two targets: three methods, two seeds; one cell failed, one is going on."""
    root = tmp_path_factory.mktemp("report")
    for target in ("sketches", "ink"):
        writer = task_writer(root / "runs", target)
        writer.task(target_title=target)
        for method in ("tgan", "cdc", "dcl"):
            for seed in (0, 1):
                cell = writer.cell(method, seed)
                if seed == 0:
                    add_probes(cell, seed)
        reason = "out of memory; fewer --jobs need less\n\nTraceback\n  <b>line</b>"
        writer.cell("ewc", status="FAILED", reason=reason)
        writer.cell("bsa", status="", snapshots=(0, 25, 50))
    return report.write_page(load([root / "runs"]), root / "report.html")
