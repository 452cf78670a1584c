"""Files and requests as people have them, on the command line: never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main
from fsgan_bench.data.images import save_png
from fsgan_bench.driver import pace
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.preparation import prepare, task_record
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import Task, TaskRequest
from fsgan_bench.suites.file import get_suite


def fill(folder: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        save_png(np.kron(coarse, np.ones((4, 4, 1), dtype=np.uint8)), folder / f"{index:03d}.png")
    return folder


OWN = """
name = "own"
base = "paper"
source = "source.safetensors"
lpips_backbone = "lite0"
frechet_backbone = "lite0"
probe_size = 40
frechet_samples = 40
default_shots = 4
[recipe]
batch = 2
start_from_average = true
[targets.t]
few_shot = "few"
real = "real"
"""


@pytest.fixture
def home(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a source model and few-shot images, which is the current one."""
    shutil.copy(suite.with_name("source.safetensors"), tmp_path)
    fill(tmp_path / "few", 6, 0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def dry_run(*arguments: str) -> Result:
    """A plan that nothing is on record for."""
    return invoke("run", "--methods", "tgan", "--dry-run", *arguments)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_few_real_images_leave_realisticness_out(home: Path, count: int) -> None:
    fill(home / "real", count, 1)
    fill(home / "source-images", 20, 2)
    text = OWN.replace("[recipe]", 'source_images = "source-images"\n[recipe]')
    (home / "own.toml").write_text(text)
    task = Task(TaskRequest("own.toml", "t", 4, home / "out"))
    prepare(task)
    assert task.classifier is None
    [note] = [note for note in task.notes if note.startswith("realisticness is left out")]
    assert f"of {count} real images" in note
    assert "no images of the target, or" not in note
    lines = (task.folder / "references.jsonl").read_text().splitlines()
    scored = {(line["reference"], line["metric"]) for line in map(json.loads, lines)}
    assert ("source", "intra_lpips") in scored
    assert (("source", "fd_lite0") in scored) == (count > 1)
    if count == 1:
        assert any("it takes two real images at least" in note for note in task.notes)


def test_data_init_says_so_at_once(home: Path) -> None:
    fill(home / "real", 33, 1)
    result = invoke(
        *("data", "init", "own.toml", "--source", "source.safetensors"),
        *("--target", "t=few", "--real", "real"),
    )
    assert result.exit_code == 0, result.output
    assert "Warning: t goes without realisticness: of its 33 real images" in result.output


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No pace is on record."""
    file = tmp_path / "pace.json"
    monkeypatch.setattr(pace, "pace_file", lambda: file)
    return file


@pytest.mark.parametrize("probe", [2, 3, 7])
def test_a_plan_with_few_latents_has_an_estimate(
    suite: Path,
    tmp_path: Path,
    nothing_known: Path,
    monkeypatch: pytest.MonkeyPatch,
    probe: int,
) -> None:
    monkeypatch.setattr("fsgan_bench.cli.console.PATIENCE", 0.0)
    few = suite.with_name(f"few{probe}.toml")
    few.write_text(suite.read_text().replace("probe_size = 40", f"probe_size = {probe}"))
    result = dry_run("--target", "ink", "--suite", str(few), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("planning: the first time")
    assert "(from an iteration of each method), and once some minutes to prepare ink." in (
        result.stdout
    )


def test_a_plan_that_diverges_while_it_is_timed_goes_without_an_estimate(
    suite: Path, tmp_path: Path, nothing_known: Path
) -> None:
    wild = suite.with_name("wild.toml")
    wild.write_text(suite.read_text().replace("batch = 2", "batch = 2\nlearning_rate = 1e30"))
    result = dry_run("--target", "ink", "--suite", str(wild), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "no estimate of the time, as an iteration ended in Diverged" in result.output
    assert not nothing_known.exists()


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), RuntimeError("x"), ValueError("y"), OSError("z")]
)
def test_whatever_ends_an_estimate(
    suite: Path,
    tmp_path: Path,
    nothing_known: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(pace, "_time", failing)
    monkeypatch.setattr("fsgan_bench.driver.memory.needs", failing)
    result = dry_run("--target", "ink", "--suite", str(suite), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert f"ended in {type(error).__name__}" in result.output
    assert f"Memory: no estimate ({type(error).__name__}" in result.output


@pytest.mark.parametrize(
    "stored", ['{"x": 3}', "[]", '{"K": {"iteration": NaN, "snapshot": 1}}', '{"K": {"a": 1}}', "{"]
)
def test_damaged_records_of_paces(
    suite: Path, tmp_path: Path, nothing_known: Path, stored: str
) -> None:
    plan = make_plan(RunRequest("tgan", ("ink",), str(suite), out=tmp_path))
    [(task, cell)] = plan.cells
    key = pace.pace_key(cell, cell.method, "cpu", plan.threads)
    nothing_known.write_text(stored.replace("K", key))
    found, seen = pace.expected(cell, task, plan.methods["tgan"], "cpu", plan.threads)
    assert not seen and found is not None and found.iteration > 0


def test_cells_that_do_not_fill_all_workers_to_the_end() -> None:
    assert pace.until_done([5, 1, 1, 1], 1) == 8
    assert pace.until_done([1, 1, 1, 5], 2) == 6
    assert pace.until_done([5, 1, 1, 1], 2) == 5


NAMES = ["a=b", "~x", "{c}", "{target}", "größe", "日本 語", "back\\slash", "[bold]", "%s $HOME"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder(home: Path, name: str) -> None:
    fill(home / name / "few", 5, 3)
    shutil.copy(home / "source.safetensors", home / name)
    for index, argument in enumerate((f"t={name}/few", f"{name}/few")):
        file = f"own{index}.toml"
        result = invoke(
            *("data", "init", file, "--source", f"{name}/source.safetensors"),
            *("--target", argument, "--real", f"{name}/few"),
        )
        # A pool that is its own real set keeps four images for that.
        assert result.exit_code == 0, result.output
        target = next(iter(get_suite(file).targets.values()))
        few = target.images.parts[0].location.found
        assert few is not None and few.resolve() == (home / name / "few").resolve()
        shown = invoke("data", "status", "--suite", file)
        assert shown.exit_code == 0 and "5 at" in shown.output


def test_home_and_windows_paths_in_a_suite(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    fill(tmp_path / "user" / "pictures", 5, 1)
    fill(home / "a" / "b", 5, 2)
    for path, found in (("~/pictures", tmp_path / "user/pictures"), ("a\\b", home / "a/b")):
        (home / "own.toml").write_text(OWN.replace('"few"', f"'{path}'"))
        location = get_suite("own.toml").targets["t"].images.parts[0].location
        assert location.found is not None and location.found.resolve() == found.resolve()
        result = invoke(
            *("data", "init", "new.toml", "--source", "source.safetensors", "--target", f"t={path}")
        )
        assert result.exit_code == 0, result.output
        (home / "new.toml").unlink()


def test_a_byte_order_mark(home: Path) -> None:
    (home / "own.toml").write_text(OWN, encoding="utf-8-sig")
    assert get_suite("own.toml").name == "own"


@pytest.mark.parametrize("path", [r"C:\Users\me\few", r"D:\test\new"])
def test_backslashes_between_double_quotes(home: Path, path: str) -> None:
    (home / "own.toml").write_text(OWN.replace('"few"', f'"{path}"'))
    result = invoke("data", "status", "--suite", "own.toml")
    assert result.exit_code == 2
    assert "write / or use single quotes" in result.output


def test_a_terminal_without_the_letters(home: Path) -> None:
    """A C locale: names are escaped, and nothing ends."""
    fill(home / "größe", 5, 3)
    (home / "own.toml").write_text(OWN.replace('"few"', '"größe"'), encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "fsgan_bench", "data", "status", "--suite", "own.toml"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe" in done.stdout


def test_statistics_in_place_of_real_images(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written from images and read by a target, they give the images' own distance."""
    fill(home / "real", 30, 1)
    result = invoke("data", "statistics", "real", "real.npz", "--backbone", "lite0", "--size", "32")
    assert result.exit_code == 0, result.output
    assert "lite0 statistics of 30 images at 32x32" in result.output
    values = {}
    for part in ('real = "real"', 'statistics = "real.npz"'):
        text = OWN.replace('real = "real"', part).replace('"paper"', '"paper"\nreference_size = 30')
        (home / "own.toml").write_text(text)
        task = Task(TaskRequest("own.toml", "t", 4, home / "out"))
        _, frechet = task.scorer.lpips, task.scorer.frechet
        reference = task.scorer.yardstick.reference
        assert reference is not None
        values[part] = reference, frechet.pooled(task.source_images)
        if "npz" in part:
            assert "fd_lite0 compares with the statistics in real.npz." in task.notes
            assert task_record(task)["statistics_hash"]
    (_, _), (reference, fakes) = values.values()
    from fsgan_bench.data.sources import load_images
    from fsgan_bench.metrics.frechet import FrechetReference

    whole = FrechetReference(task.scorer.frechet.pooled(load_images("real", 32)))
    assert reference.distance(fakes) == pytest.approx(whole.distance(fakes), rel=1e-4)


def test_the_plan_counts_what_the_cache_keeps(home: Path, nothing_known: Path) -> None:
    fill(home / "real", 20, 1)
    (home / "own.toml").write_text(OWN)
    result = dry_run("--target", "t", "--suite", "own.toml", "--out", str(home / "out"))
    assert result.exit_code == 0, result.output
    assert "Images drawn from files: up to" in result.output
