"""``fsgan-bench generate``: the images of a cell, of any of its snapshots and of any file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from fsgan_bench.cli.main import main
from fsgan_bench.data.images import Images, content_hash
from fsgan_bench.data.sources import load_images
from fsgan_bench.figures.grids import read_strip
from fsgan_bench.snapshots.generate import Drawing, generate_images
from fsgan_bench.snapshots.image_files import read_manifest


def cell(adapted: Path, method: str = "cdc") -> Path:
    (folder,) = (adapted / method).iterdir()
    return folder


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, arguments)])


def images(path: Path) -> Images:
    return np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])


def test_the_probe_batch_is_what_the_cell_was_scored_on(
    adapted: Path, suite: Path, tmp_path: Path
) -> None:
    for method in ("cdc", "minegan"):
        folder, out = cell(adapted, method), tmp_path / method
        done = command(folder, "--same-noise-as", folder, "--suite", suite, "--out", out)
        assert done.exit_code == 0, done.output
        strip = read_strip(folder / "grids" / "000006.png", 32)
        assert np.array_equal(images(out)[:16], strip)
        manifest = json.loads((out / "manifest.json").read_text())
        assert len(manifest["images"]) == 40
        assert manifest["samplers"][0]["iteration"] == 6
        digest = json.loads((folder / "cell.json").read_text())["hash"]
        assert manifest["samplers"][0]["cell"] == digest
        assert manifest["images"][3]["sha256"] == content_hash(images(out)[3])
    done = command(cell(adapted), "--same-noise-as", tmp_path / "cdc", "--out", tmp_path / "again")
    assert done.exit_code == 0, done.output
    assert np.array_equal(images(tmp_path / "again"), images(tmp_path / "cdc"))


def test_an_image_is_that_of_its_seed(adapted: Path, tmp_path: Path) -> None:
    snapshot = cell(adapted) / "snapshots" / "000002.safetensors"
    for name, seed, count in (("one.zip", 5, 1), ("three", 4, 3)):
        for noise in ("fixed", "fresh"):
            out = tmp_path / noise / name
            options = ("--seed", seed, "--count", count, "--layer-noise", noise, "--out", out)
            assert command(snapshot, *options).exit_code == 0
    drawn = {noise: images(tmp_path / noise / "three") for noise in ("fixed", "fresh")}
    for noise, three in drawn.items():
        one = load_images(tmp_path / noise / "one.zip", 32)
        assert np.allclose(one[0].astype(int), three[1].astype(int), atol=1)  # sums' order
        manifest = read_manifest(tmp_path / noise / "one.zip")
        assert manifest is not None and manifest["images"][0]["seed"] == 5
    assert not np.array_equal(drawn["fixed"], drawn["fresh"])


def test_without_any_of_its_own_every_image_is_the_mean_one(adapted: Path, tmp_path: Path) -> None:
    for psi in ("0", "0.5", "1"):
        generate_images(Drawing((cell(adapted),), tmp_path / psi, count=4, truncation=float(psi)))
    spreads = [images(tmp_path / psi).std(axis=0).mean() for psi in ("0", "0.5", "1")]
    assert spreads[0] == 0 < spreads[1] < spreads[2]


def test_the_record_of_a_sheet_replaces_no_file(adapted: Path, tmp_path: Path) -> None:
    record = tmp_path / "sheet.json"
    record.write_text("mine")
    cell = next((adapted / "cdc").iterdir())
    done = command("generate", cell, "--grid", "--out", tmp_path / "sheet.png")
    assert done.exit_code == 2 and "sheet.json" in done.output
    assert record.read_text() == "mine" and list(tmp_path.iterdir()) == [record]


def test_sheets_and_animations(adapted: Path, suite: Path, tmp_path: Path) -> None:
    cells = (cell(adapted), cell(adapted, "minegan"))
    common: dict[str, Any] = {"suite": str(suite), "tile": 16}
    sheet = generate_images(Drawing(cells, tmp_path / "sheet.png", "grid", count=3, **common))
    assert Image.open(sheet).height > 2 * 16
    assert json.loads(sheet.with_suffix(".json").read_text())["latents"]["count"] == 3
    brought = tmp_path / "imported-diffusion" / "seed0-12345678"
    (brought / "snapshots").mkdir(parents=True)
    (brought / "snapshots" / "000000.zip").touch()
    beside = ("--suite", suite, "--grid", "--out", tmp_path / "beside.png")
    done = command(cells[0], brought, *beside)
    assert done.exit_code == 0 and f"holds images and no generator: {brought}" in done.output
    moving = Drawing(cells, tmp_path / "a.webp", "iterations", count=2, **common)
    with Image.open(generate_images(moving)) as animation:
        assert animation.n_frames == 3
    walk = Drawing(cells, tmp_path / "walk.gif", "interpolate", anchors=2, frames=5, **common)
    with Image.open(generate_images(walk)) as animation:
        assert 1 < animation.n_frames <= 5  # Pillow makes one of equal frames
        assert animation.width > 2 * 16


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["T", "--out", "x"], "is not a cell's folder"),
        (["T/minegan/*", "--out", "x"], "the suite 'tiny' is not built in"),
        (["T/cdc/*", "--iteration", 3, "--out", "x"], "stores no snapshot of iteration 3; it has"),
        (["T/cdc/*", "--out", "x.png"], "--grid makes a .png"),
        (["T/cdc/*", "T/cdc/*", "--out", "x"], "one generator at a time"),
        (["T/cdc/*", "--grid", "--iterations", "all", "--out", "x.png"], "different pictures"),
        (["T/cdc/*", "--iterations", "all", "--out", "x.avi"], "ends in .webp, .gif, .mp4"),
        (["T/cdc/*", "--out", "T"], "exists already"),
        (["T/task.json", "--out", "x"], "task.json"),
        (["T/cdc/*", "--same-noise-as", "x", "--out", "x"], "neither a manifest.json"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(
    adapted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = []
    for word in arguments:
        text = str(word).replace("T", str(adapted), 1) if str(word).startswith("T") else str(word)
        words.append(str(next(Path(text[:-2]).iterdir())) if text.endswith("/*") else text)
    done = command(*words)
    assert done.exit_code == 2
    assert sentence in done.output
    assert list(tmp_path.iterdir()) == []
