"""A made-up CDC download goes through the commands as it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main

Process = subprocess.CompletedProcess[str]
Finished = tuple[Path, Process, Process]

METHODS = {"tgan", "minegan", "dcl"}
"""Plain fine-tuning, one that samples with more than the generator, and one with own networks."""

SUITE = """
name = "cdc"
base = "paper"
source = "checkpoints/source_ffhq.pt"
source_title = "faces"
source_images = "ffhq/source-images"
few_shot = ["processed_data/{target}", "raw_data/{target}"]
real = ["ffhq/{target}/real"]
lpips_backbone = "lite0"
frechet_backbone = "lite0"
probe_size = 24
frechet_samples = 40
reference_size = 80
classifier_size = 120
[recipe]
batch = 2
[budgets.paper]
iterations = 4
snapshots = 2
[targets.babies]
[targets.sketches]
title = "pencil sketches"
budgets.paper = { iterations = 2, snapshots = 2 }
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(
    download: Path, fsgan_bench: Callable[..., Process], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """Methods on one target, one method on another; nothing but the suite file says how."""
    suite = download / "suite.toml"
    suite.write_text(SUITE)
    out = tmp_path_factory.mktemp("results")
    babies, sketches = (
        fsgan_bench("run", "--suite", suite, "--methods", names, "--target", target, "--out", out)
        for names, target in ((",".join(sorted(METHODS)), "babies"), ("tgan", "sketches"))
    )
    return out / "cdc", babies, sketches


@pytest.mark.slow
def test_methods_run(finished: Finished) -> None:
    out, *processes = finished
    for process in processes:
        assert process.returncode == 0, process.stdout + process.stderr
    for target, iterations, methods in (("babies", 4, METHODS), ("sketches", 2, {"tgan"})):
        task = out / f"{target}-10shot"
        assert {done.parent.parent.name for done in task.glob("*/*/DONE")} == methods
        for file in task.glob("*/*/cell.json"):
            assert json.loads(file.read_text())["cell"]["iterations"] == iterations
        assert (task / "figures" / "trajectories.png").stat().st_size > 1000
        assert (task / "figures" / "same_noise_grid.png").stat().st_size > 1000
        assert (task / "figures" / "table.md").exists()


@pytest.mark.slow
def test_a_target_with_real_images_has_every_score_and_one_without_has_what_it_can(
    finished: Finished,
) -> None:
    out, babies_run, sketches_run = finished
    babies, sketches = out / "babies-10shot", out / "sketches-10shot"
    always = {"intra_lpips", "intra_lpips_cdc2021", "structure"}
    for task, metrics, references in (
        (babies, always | {"realisticness", "fd_lite0"}, {"source", "real"}),
        (sketches, always, {"source"}),
    ):
        (scores,) = (task / "tgan").glob("*/scores.jsonl")
        values = {line["metric"]: line["value"] for line in lines(scores)}
        assert {metric for metric, value in values.items() if value is not None} == metrics
        assert {line["reference"] for line in lines(task / "references.jsonl")} == references
    assert (babies / "classifier.json").exists()
    assert not (sketches / "classifier.json").exists()
    assert "sketches: fd_lite0 is left out" in sketches_run.stderr
    assert "sketches: realisticness is left out" in sketches_run.stderr
    assert "left out" not in babies_run.stderr


@pytest.mark.slow
def test_the_task_records_what_it_is_made_of(finished: Finished) -> None:
    out, *_ = finished
    sketches = json.loads((out / "sketches-10shot" / "task.json").read_text())
    assert sketches["source_title"] == "faces"
    assert sketches["target_title"] == "pencil sketches"
    assert len(sketches["few_shot"]) == sketches["few_shot_pool"] == 10
    assert sketches["classifier_hash"] is None
    table = (out / "babies-10shot" / "figures" / "table.md").read_text()
    assert "faces to babies (cdc, 10 shots)" in table


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_status_says_what_is_there_and_what_is_missing(
    download: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(download)
    result = invoke("data", "status", "--suite", "ffhq", "--data", ".")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: " ".join(line.split()) for line in result.output.splitlines()}
    assert rows["source"].endswith("source_ffhq.pt, generator and discriminator at 32x32")
    assert rows["babies"] == (
        "babies 10 at processed_data/babies 240 at ffhq/babies/real 160 at ffhq/source-images"
    )
    assert rows["sketches"].startswith("sketches 10 at raw_data/sketches missing 160")
    assert rows["amedeo"].startswith("amedeo (amedeo_modigliani, modigliani) missing missing 160")
    few_shot, real, weights = (line for line in result.output.splitlines() if "Missing" in line)
    assert "of sunglasses, amedeo, raphael" in few_shot and "the target cannot run" in few_shot
    assert "at ffhq/{target}/few-shot, " in few_shot
    assert "of sunglasses, sketches" in real and "no realisticness" in real
    assert "weights" in weights and "vgg16" in weights
    assert "fsgan-bench weights --suite ffhq" in weights


def test_status_of_an_empty_folder_lists_every_place(tmp_path: Path) -> None:
    result = invoke("data", "status", "--suite", "lsun-church", "--data", tmp_path)
    assert result.exit_code == 0, result.output
    assert "source model: missing" in result.output
    assert "Missing source model: nothing runs. Looked for at" in result.output
    assert result.output.count(f"{tmp_path}/checkpoints/church.pt") == 1
    assert result.output.count("Missing few-shot images: the target cannot run.") == 1


def test_status_says_when_files_are_unusable(
    lone_generator: Callable[[Path], None], tmp_path: Path
) -> None:
    lone_generator(tmp_path / "source_ffhq.pt")
    (tmp_path / "raw_data" / "otto" / "images").mkdir(parents=True)
    result = invoke("data", "status", "--suite", "ffhq", "--data", tmp_path)
    assert result.exit_code == 0
    assert "source_ffhq.pt, a generator alone at 32x32" in result.output
    (line,) = (line for line in result.output.splitlines() if "Missing discriminator" in line)
    assert "no method runs" in line
    assert "run --methods none" in line and "fsgan-bench convert" in line
    assert "cannot be used" in result.output


@pytest.fixture
def alone(download: Path, lone_generator: Callable[[Path], None], tmp_path: Path) -> Path:
    """The suite file of a download whose source has no discriminator."""
    for folder in ("raw_data", "ffhq", "processed_data"):
        (tmp_path / folder).symlink_to(download / folder)
    lone_generator(tmp_path / "checkpoints" / "source_ffhq.pt")
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path / "suite.toml"


def test_no_method_runs_without_a_discriminator(alone: Path) -> None:
    command = ("run", "--suite", alone, "--target", "babies", "--out", alone.parent / "results")
    for methods in ("all", "tgan"):
        refused = invoke(*command, "--methods", methods)
        assert refused.exit_code == 2
        assert refused.output.count("\n") == 1
        assert "source_ffhq.pt is a generator alone: it lacks 'd'" in refused.output
        assert "fsgan-bench run --methods none still scores it" in refused.output
    assert not (alone.parent / "results").exists()


def test_a_generator_alone_is_scored(alone: Path) -> None:
    command = ("run", "--suite", alone, "--methods", "none", "--target", "babies,sketches")
    out = alone.parent / "results"
    plan = invoke(*command, "--out", out, "--dry-run")
    assert plan.exit_code == 0, plan.output
    assert "No methods: the source is scored for babies, sketches." in plan.output
    assert not out.exists()
    result = invoke(*command, "--out", out)
    assert result.exit_code == 0, result.output
    rows = [line.split("  ")[0] for line in result.output.splitlines()]
    assert rows.count("source generator") == 2
    assert rows.count("real target images (held out)") == 1
    babies, sketches = out / "cdc" / "babies-10shot", out / "cdc" / "sketches-10shot"
    always = {"intra_lpips", "intra_lpips_cdc2021", "structure"}
    for task, metrics in ((babies, always | {"realisticness", "fd_lite0"}), (sketches, always)):
        of_source = {
            line["metric"]: line["value"]
            for line in lines(task / "references.jsonl")
            if line["reference"] == "source"
        }
        assert {name for name, value in of_source.items() if value is not None} == metrics
        drawn = {path.name for path in (task / "figures").iterdir()}
        assert {"same_noise_grid.png", "table.csv", "table.md"} <= drawn
        assert "trajectories.png" not in drawn
    table = (babies / "figures" / "table.md").read_text()
    assert "| *source generator* | 0." in table and "converged" not in table
    before = {path: path.stat().st_mtime_ns for path in out.rglob("references.jsonl")}
    assert invoke("figures", out).exit_code == 0
    again = invoke(*command, "--out", out)
    assert again.exit_code == 0 and "source generator" in again.output
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_reference_lines_are_those_of_a_run_with_methods(alone: Path, download: Path) -> None:
    """The pair's generator is the lone one: its scores are the same."""
    (download / "suite.toml").write_text(SUITE)
    scores = []
    for suite in (alone, download / "suite.toml"):
        out = alone.parent / f"results-{suite.parent.name}"
        result = invoke(
            *("run", "--suite", suite, "--methods", "none", "--target", "sketches", "--out", out)
        )
        assert result.exit_code == 0, result.output
        stored = lines(out / "cdc" / "sketches-10shot" / "references.jsonl")
        scores.append({line["metric"]: line["value"] for line in stored})
    assert scores[0] == scores[1]


@pytest.mark.parametrize("where", ["option", "variable", "default"])
def test_a_run_without_its_files_is_one_sentence(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if where == "variable":
        monkeypatch.setenv("FSGAN_BENCH_DATA", str(tmp_path / "mine"))
    root = {"option": "given", "variable": tmp_path / "mine", "default": "data"}[where]
    option = ["--data", "given"] if where == "option" else []
    result = invoke("run", "--suite", "ffhq", "--methods", "all", "--target", "sketches", *option)
    assert result.exit_code == 2
    assert f"lacks its source model: there is nothing at {root}/ffhq/source" in result.output
    assert "fsgan-bench data status --suite ffhq" in result.output
    assert list(tmp_path.iterdir()) == []


def test_missing_few_shot_images_are_named_before_anything_is_written(
    download: Path, tmp_path: Path
) -> None:
    result = invoke(
        *("run", "--suite", "ffhq", "--methods", "tgan", "--target", "metfaces"),
        *("--data", download, "--out", tmp_path / "results"),
    )
    assert result.exit_code == 2
    assert "'metfaces' of the suite 'ffhq' lacks its few-shot images" in result.output
    assert list(tmp_path.iterdir()) == []
