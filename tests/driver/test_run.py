"""``fsgan-bench run`` as a user types it: real processes, real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Finished = tuple[Path, "subprocess.CompletedProcess[str]"]

WEAK = "--allow-weak-classifier"


def run_arguments(suite: Path, out: Path, methods: str = "tgan") -> list[object]:
    return [
        "run",
        "--suite",
        suite,
        "--target",
        "sketches",
        "--methods",
        methods,
        "--out",
        out,
        WEAK,
    ]


@pytest.fixture(scope="module")
def finished(
    suite: Path, fsgan_bench: Command, broken_plugin: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A run of two good methods and one that diverges."""
    out = tmp_path_factory.mktemp("results")
    arguments = run_arguments(suite, out, "tgan,ewc,broken")
    return out, fsgan_bench(*arguments, "--plugin", broken_plugin, "--jobs", 2)


def cell_folder(out: Path, method: str) -> Path:
    (folder,) = (out / "tiny" / "sketches-4shot" / method).iterdir()
    return folder


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_failing_method_does_not_stop_the_others(
    finished: Finished,
) -> None:
    out, process = finished
    assert process.returncode == 1, process.stderr
    assert "Broken failed: Diverged: the loss term generator/adversarial is nan" in process.stderr
    assert "Traceback" not in process.stderr
    assert (cell_folder(out, "tgan") / "DONE").exists()
    assert (cell_folder(out, "ewc") / "DONE").exists()
    failed = cell_folder(out, "broken")
    assert not (failed / "DONE").exists()
    assert "Diverged" in (failed / "FAILED").read_text()


def test_the_report_has_what_ran_failed_and_was_given(finished: Finished) -> None:
    out, process = finished
    page = (out / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "report.html" in process.stdout
    for word in ("TGAN", "EWC", '"failed":1', '"finished":2', '"going":""', "sprite-4"):
        assert word in page
    (given,) = lines(out / "runs.jsonl")
    command = str(given["command"])
    assert command.startswith("fsgan-bench run --suite") and command.endswith("--jobs 2")
    assert json.dumps(command)[1:-1] in page


def test_a_finished_cell_has_all_its_files(
    finished: Finished,
) -> None:
    out, process = finished
    folder = cell_folder(out, "tgan")
    cell = json.loads((folder / "cell.json").read_text())
    assert cell["cell"]["iterations"] == 6
    snapshots = cell["cell"]["snapshots"]
    assert snapshots[0] == 0 and snapshots[-1] == 6 and len(snapshots) == 3
    assert cell["hash"].startswith(folder.name.split("-")[1])
    for iteration in snapshots:
        assert (folder / "snapshots" / f"{iteration:06d}.safetensors").exists()
        assert (folder / "grids" / f"{iteration:06d}.png").exists()
    scores = lines(folder / "scores.jsonl")
    metrics = {"realisticness", "intra_lpips", "intra_lpips_cdc2021", "fd_lite0"}
    metrics |= {"correspondence", "structure"}
    for iteration in snapshots:
        assert {s["metric"] for s in scores if s["iteration"] == iteration} == metrics
    assert all(s["n"] == 40 for s in scores)
    assert {s["backbone"] for s in scores if s["metric"] != "structure"} == {"lite0"}
    assert [line["iteration"] for line in lines(folder / "train.jsonl")] == [6]
    assert not (folder / "state.pt").exists()
    task = folder.parent.parent
    references = {line["reference"] for line in lines(task / "references.jsonl")}
    assert references == {"source", "real", "ideal"}
    for name in ("trajectories", "quality_diversity", "same_noise_grid"):
        assert (task / "figures" / f"{name}.png").stat().st_size > 1000
        assert (task / "figures" / f"{name}.pdf").stat().st_size > 1000
    assert "TGAN" in process.stdout and "EWC" in process.stdout


def test_what_a_method_prepares_counts_as_training(
    finished: Finished,
) -> None:
    folder = cell_folder(finished[0], "ewc")
    timing = json.loads((folder / "timing.json").read_text())
    (last,) = (line["seconds"] for line in lines(folder / "train.jsonl"))
    # EWC's Fisher information takes 200 gradients before the first iteration.
    assert timing["training_seconds"] > float(str(last)) + 0.2


def test_iteration_0_is_the_source_for_every_method(
    finished: Finished,
) -> None:
    out, _ = finished
    first = {
        method: [s["value"] for s in lines(cell_folder(out, method) / "scores.jsonl")[:6]]
        for method in ("tgan", "ewc")
    }
    task = cell_folder(out, "tgan").parent.parent
    source = [s["value"] for s in lines(task / "references.jsonl") if s["reference"] == "source"]
    assert first["tgan"] == first["ewc"] == source


def test_more_snapshots_do_not_change_the_training(
    suite: Path, fsgan_bench: Command, finished: Finished, tmp_path: Path
) -> None:
    done = fsgan_bench(*run_arguments(suite, tmp_path), "--snapshots", 5, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    one, other = cell_folder(finished[0], "tgan"), cell_folder(tmp_path, "tgan")
    names = [[path.name for path in sorted((c / "snapshots").iterdir())] for c in (one, other)]
    assert len(names[0]) == 3 and len(names[1]) == 5
    weights = [load_file(cell / "snapshots" / "000006.safetensors") for cell in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_second_run_does_nothing_but_retry_what_failed(
    finished: Finished,
    suite: Path,
    fsgan_bench: Command,
    broken_plugin: Path,
) -> None:
    out, _ = finished
    score_file = cell_folder(out, "tgan") / "scores.jsonl"
    before = score_file.stat().st_mtime_ns
    again = fsgan_bench(*run_arguments(suite, out, "tgan,ewc"))
    assert again.returncode == 0, again.stderr
    assert "2 cell(s), all done already; nothing to run." in again.stdout
    assert score_file.stat().st_mtime_ns == before
    retried = fsgan_bench(
        *run_arguments(suite, out, "tgan,broken"), "--plugin", broken_plugin, "--dry-run"
    )
    assert "1 done already, 1 to run" in retried.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_continued_equals_uninterrupted(
    number: signal.Signals, finished: Finished, suite: Path, fsgan_bench: Any, tmp_path: Path
) -> None:
    whole, _ = finished
    arguments = run_arguments(suite, tmp_path)
    process = fsgan_bench.start(*arguments)
    pattern = "tiny/sketches-4shot/tgan/*/scores.jsonl"
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if number == signal.SIGTERM:
        process.terminate()
    else:
        os.killpg(process.pid, number)
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    assert process.wait(300) == codes[number]
    rest = fsgan_bench(*arguments)
    assert rest.returncode == 0, rest.stderr
    ours, theirs = cell_folder(tmp_path, "tgan"), cell_folder(whole, "tgan")
    last = "snapshots/000006.safetensors"
    assert (ours / last).read_bytes() == (theirs / last).read_bytes()
    values = [[s["value"] for s in lines(f / "scores.jsonl")] for f in (ours, theirs)]
    assert values[0] == values[1]
    assert {path.name for path in ours.rglob(".*")} == {".lock"}


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("probe_size = 30", "probe batch (probe_size, or a kind of processor"),
        ("probe_size = 40\nfrechet_samples = 50", "number of images that the Frechet distance"),
    ],
)
def test_what_another_yardstick_has_measured_is_not_continued(
    setting: str,
    what: str,
    finished: Finished,
    suite: Path,
    fsgan_bench: Command,
    tmp_path: Path,
) -> None:
    out = tmp_path / "results"
    shutil.copytree(finished[0], out)
    other = suite.with_name("other.toml")
    other.write_text(suite.read_text().replace("probe_size = 40", setting))
    before = {path: path.read_bytes() for path in (out / "tiny").rglob("*.json*")}
    for more in (("bsa",), ("tgan", "--fresh")):
        refused = fsgan_bench(*run_arguments(other, out, more[0]), *more[1:])
        assert refused.returncode == 2
        assert f"its cells were scored with another {what}" in refused.stderr
        assert {path: path.read_bytes() for path in (out / "tiny").rglob("*.json*")} == before


def test_fresh_starts_over(finished: Finished, suite: Path, fsgan_bench: Command) -> None:
    out, _ = finished
    plan = fsgan_bench(*run_arguments(suite, out), "--fresh", "--dry-run")
    assert "1 to run" in plan.stdout
    assert (cell_folder(out, "tgan") / "DONE").exists()
    done = cell_folder(out, "tgan") / "DONE"
    before = done.stat().st_mtime_ns
    process = fsgan_bench(*run_arguments(suite, out), "--fresh")
    assert process.returncode == 0, process.stderr
    assert done.stat().st_mtime_ns > before


def test_figures_redraws_from_files(
    finished: Finished, fsgan_bench: Command, tmp_path: Path
) -> None:
    out, _ = finished
    process = fsgan_bench("figures", out, "--out", tmp_path / "drawn")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "drawn" / "trajectories.png").exists()
    assert "Broken failed" in (tmp_path / "drawn" / "table.md").read_text()
