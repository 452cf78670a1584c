"""Per-image values of a real run, a verdict on it, and further metrics on its snapshots."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.metrics.per_image import ProbeValues

Command = Callable[..., "subprocess.CompletedProcess[str]"]

FAILS = """from fsgan_bench import Metric

class Waning(Metric):
    name = "waning"
    title = "waning"
    version = "1"
    higher_is_better = True
    definition = "nothing"
    role = "lpips"
    kind = "further"

    def __call__(self, measured, yardstick):
        return {}["lost"]
"""

NEW = ["kid_lite0", "precision", "recall", "density", "coverage", "nn_lpips"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def task(suite: Path, fsgan_bench: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task folder of a finished run of one method."""
    out = tmp_path_factory.mktemp("results")
    process = fsgan_bench(
        *("run", "--suite", suite, "--target", "sketches", "--methods", "tgan", "--out", out),
        "--allow-weak-classifier",
    )
    assert process.returncode == 0, process.stderr
    return out / "tiny" / "sketches-4shot"


def cell(task: Path) -> Path:
    (folder,) = (task / "tgan").iterdir()
    return folder


def agrees(probe: ProbeValues, scores: list[dict[str, Any]]) -> None:
    by_metric = {line["metric"]: line for line in scores}
    assert len(probe.cluster) == 40
    assert probe.values["realisticness"].mean(dtype=np.float64) == pytest.approx(
        by_metric["realisticness"]["value"], abs=1e-3
    )
    sizes = np.bincount(probe.cluster, minlength=4).tolist()
    assert sizes == by_metric["intra_lpips"]["detail"]["cluster_sizes"]
    assert probe.versions["intra_lpips"] == by_metric["intra_lpips"]["version"]


def test_each_snapshot_and_reference_has_its_per_image_values(task: Path) -> None:
    scores = lines(cell(task) / "scores.jsonl")
    for iteration in {line["iteration"] for line in scores}:
        probe = ProbeValues.load(cell(task) / "probe" / f"{iteration:06d}.npz")
        agrees(probe, [line for line in scores if line["iteration"] == iteration])
    references = lines(task / "references.jsonl")
    for name in ("source", "real", "ideal"):
        probe = ProbeValues.load(task / "probe" / f"{name}.npz")
        agrees(probe, [line for line in references if line["reference"] == name])


def test_a_verdict_knows_the_probe_batchs_uncertainty(task: Path, fsgan_bench: Command) -> None:
    process = fsgan_bench("verdict", task, "--json")
    assert process.returncode == 0, process.stderr
    (method,) = json.loads(process.stdout)["tasks"][0]["methods"]
    assert method["probe_bootstrap"] is True
    assert method["final_realisticness"]["stderr"] > 0
    assert method["mean_diversity_lost"]["stderr"] > 0


def test_metrics_are_added_once_and_nothing_is_taken_away(
    task: Path, suite: Path, fsgan_bench: Command
) -> None:
    files = [cell(task) / "scores.jsonl", task / "references.jsonl"]
    before = [file.read_text().splitlines() for file in files]
    ask = ("score", task, "--suite", suite, "--metrics", "kid,prdc,nn_lpips")
    process = fsgan_bench(*ask)
    assert process.returncode == 0, process.stderr
    assert "36 score(s) added" in process.stdout
    for file, old, key in zip(files, before, ("iteration", "reference"), strict=True):
        now = file.read_text().splitlines()
        assert [line for line in now if line in old] == old
        added = [json.loads(line) for line in now if line not in old]
        assert sorted({line[key] for line in added}, key=str) == sorted(
            {json.loads(line)[key] for line in old}, key=str
        )
        assert [line["metric"] for line in added] == NEW * 3
    real = {line["metric"]: line for line in lines(files[1]) if line["reference"] == "real"}
    assert real["nn_lpips"]["value"] == pytest.approx(1)
    assert real["precision"]["stamp"] == real["intra_lpips"]["stamp"]
    assert "0 score(s) added" in fsgan_bench(*ask).stdout
    verified = fsgan_bench("verify", task, "--suite", suite)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert fsgan_bench("figures", task).returncode == 0


def test_cells_without_snapshots_leave_the_reference_lines_alone(
    task: Path, suite: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(task, tmp_path / "results" / "tiny" / task.name))
    shutil.rmtree(cell(copy) / "snapshots")
    kept = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    ask = ["score", str(copy), "--suite", str(suite), "--metrics", "correspondence,prdc,kid"]
    result = CliRunner().invoke(main, ask)
    assert result.exit_code == 0, result.output
    assert "passed over, no snapshots are stored" in result.stdout
    assert "0 score(s) added" in result.stdout
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == kept


def test_a_metric_of_others_that_fails_is_named_and_the_rest_is_stored(
    task: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "theirs-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[fsgan_bench.metrics]\nwaning = theirs_fails:Waning")
    (tmp_path / "theirs_fails.py").write_text(FAILS)
    monkeypatch.syspath_prepend(tmp_path)
    copy = tmp_path / "results" / "tiny" / task.name
    shutil.copytree(task, copy)
    ask = ["score", str(copy), "--suite", str(suite), "--metrics", "waning,kid"]
    result = CliRunner().invoke(main, ask)
    assert result.exit_code == 2, result.output
    assert f"The metric 'waning' fails: {tmp_path / 'theirs_fails.py'}, line 13: KeyError" in (
        " ".join(result.stderr.split())
    )
    assert "Traceback" not in result.output
    assert {line["iteration"] for line in lines(cell(copy) / "scores.jsonl")} == {
        line["iteration"]
        for line in lines(cell(copy) / "scores.jsonl")
        if line["metric"] == "kid_lite0"
    }


def test_what_cannot_be_scored_is_one_sentence(
    task: Path, suite: Path, fsgan_bench: Command
) -> None:
    unknown = fsgan_bench("score", task, "--metrics", "kit")
    assert unknown.returncode == 2 and "Did you mean 'kid'?" in unknown.stderr
    nameless = fsgan_bench("score", task, "--metrics", "kid")
    assert nameless.returncode == 2 and "--suite" in nameless.stderr
    assert "Traceback" not in unknown.stderr + nameless.stderr
