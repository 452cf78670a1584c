"""Writing the page: what it weighs, that it is the same bytes again, and while a run goes on."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fsgan_bench.cli.main import main
from fsgan_bench.driver.events import SnapshotScored
from fsgan_bench.errors import UserError
from fsgan_bench.figures import palette
from fsgan_bench.report import page as report
from fsgan_bench.report.live import LiveReport
from fsgan_bench.report.sprites import LEVELS, Encoder, Sheet
from fsgan_bench.results.reader import load


def content(path: Path) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def strips(folder: Path, count: int, resolution: int) -> list[Sheet]:
    """Sheets of two rows of noise, which no format makes small."""
    made = []
    for number in range(count):
        rows = []
        for iteration in (0, 10):
            size = (2 * resolution, 8 * resolution, 3)
            noise = np.random.default_rng([number, iteration]).integers(0, 256, size, np.uint8)
            rows.append((iteration, folder / f"{number}-{iteration}.png"))
            Image.fromarray(noise).save(rows[-1][1])
        made.append(Sheet(str(number), tuple(rows), resolution))
    return made


def test_images_are_made_to_fit(tmp_path: Path) -> None:
    sheets = strips(tmp_path, 3, 32)
    sprites, losses = Encoder().encode(sheets)
    assert losses == [] and [sprite.tile for sprite in sprites] == [32] * 3
    with Image.open(tmp_path / "0-10.png") as strip:
        tile = np.asarray(strip)[32:, :32].mean(axis=(0, 1))
    (tmp_path / "sheet.webp").write_bytes(sprites[0].webp)
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.size == (16 * 32, 2 * 32)
        shown = np.asarray(sheet.convert("RGB"))[32:, 8 * 32 : 9 * 32].mean(axis=(0, 1))
    assert shown == pytest.approx(tile, abs=6)

    whole = sum(len(sprite.webp) for sprite in sprites)
    smaller = Encoder(limit=3 * whole // 4)
    fewer, losses = smaller.encode(sheets)
    assert len(fewer) == 3 and smaller.level > 0
    assert sum(len(sprite.webp) for sprite in fewer) <= 3 * whole // 4
    least = Encoder(limit=len(fewer[0].webp) // 4)
    kept, losses = least.encode(sheets)
    assert least.level == len(LEVELS) - 1 and len(kept) < 3
    assert "take too much room" in losses[-1]


def test_what_has_not_changed_is_not_encoded_again(tmp_path: Path) -> None:
    sheets, encoder = strips(tmp_path, 2, 8), Encoder()
    before, _ = encoder.encode(sheets)
    strips(tmp_path, 1, 8)
    after, _ = encoder.encode(sheets)
    assert after[1] is before[1] and after[0] is not before[0]
    assert after[0].webp == before[0].webp


def test_the_page_is_the_same_bytes_and_asks_for_nothing(writer: Any, tmp_path: Path) -> None:
    writer.task()
    writer.cell("tgan")
    one = report.write_page(load(writer.folder), tmp_path / "one.html")
    result = CliRunner().invoke(main, ["report", str(writer.folder), "--out", f"{tmp_path}/b.html"])
    assert result.exit_code == 0 and result.output == f"{tmp_path}/b.html\n"
    assert (tmp_path / "b.html").read_bytes() == one.read_bytes()
    text = one.read_text()
    assert "default-src 'none'" in text and not re.search(r"""(src|href)=["']?https?:""", text)
    data = content(one)
    (task,) = data["tasks"]
    assert data["counts"] == {"finished": 1} and data["going"] == ""
    (variant,) = task["variants"]
    curve = task["curves"][variant["key"]]["realisticness_lite0"]["0"]
    assert curve["x"][-1] == 1000 and 0 < curve["y"][0] < 0.1 < 0.9 < curve["y"][-1] < 1


def test_colours_on_a_dark_page_keep_their_hue() -> None:
    assert palette.on_dark("#e69f00") == "#e69f00"
    dark = palette.on_dark("#882255")
    red, green, blue = (int(dark[i : i + 2], 16) for i in (1, 3, 5))
    assert red > blue > green and red > 0x88


def test_a_run_that_goes_on_has_its_page(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsgan_bench.report.live.SHARE", 1.0)
    writer.task()
    cell = writer.cell("tgan", status="", snapshots=(0, 25, 50))
    said: list[str] = []
    path = tmp_path / "report.html"

    def wait(for_what: Any) -> None:
        until = time.monotonic() + 60
        while not for_what() and time.monotonic() < until:
            time.sleep(0.05)
        assert for_what()

    absent = writer.folder / "tgan" / "absent"
    with LiveReport([cell, absent], path, said.append, pause=0.05) as live:
        live.begin({"TGAN": 50})
        wait(path.exists)
        data = content(path)
        assert data["going"] and data["verdict"] is None and data["counts"] == {"unfinished": 1}
        assert data["tasks"][0]["variants"][0]["running"] == {"0": [50, 50]}
        path.unlink()
        (cell / "scores.jsonl").write_text("{damaged}\n{}\n")
        live.show("TGAN", SnapshotScored("hash", 50, {}))
        wait(lambda: said)
    assert "The report is not kept current" in said[0] and "scores.jsonl" in said[0]
    assert not path.exists()


def test_the_end_of_a_run_waits_for_no_page(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> str:
        begun.set()
        assert go_on.wait(60)
        return "too late"

    monkeypatch.setattr("fsgan_bench.report.page.make", slow)
    monkeypatch.setattr("fsgan_bench.report.live.PATIENCE_SECONDS", 0.1)
    writer.task()
    path = tmp_path / "report.html"
    with LiveReport([writer.cell("tgan")], path, print, pause=0.01) as live:
        live.begin({})
        assert begun.wait(60)
    path.write_text("the last page")
    go_on.set()
    live.thread.join(60)
    assert path.read_text() == "the last page"


def test_a_strip_that_is_damaged_and_a_folder_in_the_way(writer: Any, tmp_path: Path) -> None:
    writer.task()
    cell = writer.cell("tgan")
    result = CliRunner().invoke(main, ["report", str(writer.folder), "--out", str(tmp_path)])
    assert result.exit_code == 2 and "is a folder" in result.output
    (cell / "grids" / "000025.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"000025\.png cannot be read"):
        report.write_page(load(writer.folder), tmp_path / "report.html")
    shutil.rmtree(cell / "grids")
    data = content(report.write_page(load(writer.folder), tmp_path / "report.html"))
    assert set(data["sprites"]) == {
        f"avatars/sketches-10shot/strips/{name}" for name in ("few_shot", "source", "ideal", "real")
    }


def test_one_task_in_two_roots(writer: Any, task_writer: Any, tmp_path: Path) -> None:
    writer.task()
    writer.cell("tgan")
    other = task_writer(tmp_path / "other")
    other.task()
    other.cell("cdc")
    data = content(report.write_page(load([writer.folder, other.folder]), tmp_path / "report.html"))
    assert len({task["key"] for task in data["tasks"]}) == 2
    assert {task["root"] for task in data["tasks"]} == {"runs", "other"}
    assert len(data["sprites"]) == 10
