from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.errors import UserError
from fsgan_bench.results.curves import variants
from fsgan_bench.results.notes import omissions
from fsgan_bench.results.reader import load
from fsgan_bench.results.scales import metric_scales


def test_scores_are_tidy(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", seed=3, snapshots=[0, 100])
    [results] = load(writer.folder)
    scores = results.scores
    assert len(scores) == 2 * 3
    row = scores[(scores["iteration"] == 100) & (scores["metric"] == "intra_lpips")].iloc[0]
    assert row["suite"] == "avatars" and row["target"] == "sketches" and row["shots"] == 10
    assert row["method"] == "tgan" and row["label"] == "TGAN" and row["seed"] == 3
    assert row["backbone"] == "lite0" and row["version"] == "1" and row["n"] == 1000
    assert len(row["cluster_sizes"]) == 10
    assert row["with_empty_as_zero"] == pytest.approx(0.9 * row["value"])
    distance = scores[scores["metric"] == "fd_lite0"].iloc[0]
    assert math.isnan(distance["stderr"]) and distance["cluster_sizes"] is None


def test_references_and_cells(writer: Any) -> None:
    writer.task(ideal=False)
    writer.cell("dcl", status="FAILED", reason="generator/adversarial is nan")
    writer.cell("bsa", status="unfinished")
    writer.cell("tgan")
    [results] = load(writer.folder)
    assert list(results.cells["method"]) == ["tgan", "bsa", "dcl"]
    assert list(results.cells["status"]) == ["DONE", "unfinished", "FAILED"]
    assert results.cells["reason"].iloc[2] == "generator/adversarial is nan"
    assert results.cells["training_seconds"].iloc[0] == pytest.approx(312.4)
    assert set(results.references["method"]) == {"source", "real"}
    assert (
        results.task.resolution == 16
        and results.task.title == "faces to sketches (avatars, 10 shots)"
    )


def test_kept_results_count_where_they_are_named(
    writer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer.task()
    writer.cell("tgan", snapshots=[0])
    root = writer.folder.parent.parent
    kept = root / "reference"
    shutil.copytree(writer.folder, kept / "avatars" / writer.folder.name)
    (kept / "KEPT").touch()
    [results] = load(root)
    assert results.folder == writer.folder
    assert caplog.messages == [
        f"Runs passed over: those in {kept} are kept for reference and count if that is named."
    ]
    assert len(load(kept)) == len(load(kept / "avatars")) == 1
    shutil.rmtree(writer.folder)
    with pytest.raises(UserError, match=r"There are no runs in .*: those in .*reference are kept"):
        load(root)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_any_folder_above_or_below_will_do(writer: Any, levels: int) -> None:
    writer.task()
    cell = writer.cell("tgan", snapshots=[0])
    writer.cell("bsa", snapshots=[0])
    folder = [cell, cell.parent, writer.folder, writer.folder.parent.parent][levels]
    [results] = load(folder)
    assert results.folder == writer.folder
    assert set(results.scores["method"]) == ({"tgan"} if levels < 2 else {"tgan", "bsa"})
    [again] = load([folder, str(folder)])
    assert len(again.scores) == len(results.scores)


def test_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs in"):
        load(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nowhere")


def test_torn_last_line_of_an_unfinished_cell_is_passed_over(writer: Any) -> None:
    writer.task()
    cell = writer.cell("tgan", status="unfinished", snapshots=[0, 100])
    file = cell / "scores.jsonl"
    file.write_text(file.read_text()[:-40])
    [results] = load(writer.folder)
    assert len(results.scores) == 5


def test_torn_last_line_of_a_done_cell_is_an_error(writer: Any) -> None:
    writer.task()
    file = writer.cell("tgan", snapshots=[0, 100]) / "scores.jsonl"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(UserError, match=r"scores\.jsonl, line 6, is not valid JSON"):
        load(writer.folder)


@pytest.mark.parametrize("status", ["DONE", "unfinished"])
def test_broken_line_names_file_and_line(writer: Any, status: str) -> None:
    writer.task()
    file = writer.cell("tgan", status=status, snapshots=[0, 100]) / "scores.jsonl"
    lines = file.read_text().splitlines()
    lines[1] = lines[1][:-9]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"tgan.*scores\.jsonl, line 2, is not valid JSON"):
        load(writer.folder)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1, 2]", "line 1, must be a JSON object"),
        ('{"iteration": 0, "value": 1}', "line 1, is not a score: 'metric' is missing"),
        (
            '{"iteration": "x", "metric": "realisticness", "value": 1, "version": "1"}',
            "line 1, is not a score",
        ),
    ],
)
def test_lines_that_are_no_scores(writer: Any, line: str, says: str) -> None:
    writer.task()
    file = writer.cell("tgan", snapshots=[0]) / "scores.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(UserError, match=says):
        load(writer.folder)


def test_missing_and_damaged_descriptions(writer: Any) -> None:
    writer.task()
    cell = writer.cell("tgan", snapshots=[0])
    task = writer.folder / "task.json"
    text = task.read_text()
    task.unlink()
    with pytest.raises(UserError, match=r"task\.json is missing"):
        load(writer.folder)
    task.write_text(text.replace('"resolution"', '"size"'))
    with pytest.raises(UserError, match="'resolution' is missing"):
        load(writer.folder)
    task.write_text(text)
    (cell / "cell.json").write_text("{")
    with pytest.raises(UserError, match=r"cell\.json is not valid JSON"):
        load(writer.folder)


def test_a_snapshot_scored_again_counts_once(writer: Any) -> None:
    writer.task()
    file = writer.cell("tgan", snapshots=[0]) / "scores.jsonl"
    again = json.loads(file.read_text().splitlines()[0]) | {"value": 0.123}
    with file.open("a") as stream:
        stream.write(json.dumps(again) + "\n")
    [results] = load(writer.folder)
    scores = results.scores
    assert scores[scores["metric"] == "realisticness"]["value"].tolist() == [0.123]


def test_configurations_are_told_apart_by_what_differs(writer: Any) -> None:
    writer.task()
    for seed in (0, 1):
        writer.cell("dcl", seed, snapshots=[0], config={"lambda1": 2.0, "lambda2": 0.5})
    writer.cell("dcl", snapshots=[0], config={"lambda1": 0.0, "lambda2": 0.5})
    writer.cell("tgan", snapshots=[0])
    writer.cell("cdc", snapshots=[0])
    writer.cell("cdc", snapshots=[0, 5])
    [results] = load(writer.folder)
    labels = results.cells["label"].tolist()
    assert labels[0] == "TGAN"
    assert labels[1:3] == ["CDC (iterations=0)", "CDC (iterations=5)"]
    assert labels[3:] == ["DCL (lambda1=0)", "DCL (lambda1=2)", "DCL (lambda1=2)"]
    assert results.cells["variant"].nunique() == 5


@pytest.mark.parametrize("what", ["source", "few-shot set", "classifier"])
def test_cells_made_with_something_else_are_outdated(writer: Any, what: str) -> None:
    writer.task()
    file = writer.cell("tgan", snapshots=[0]) / "cell.json"
    writer.cell("bsa", snapshots=[0])
    document = json.loads(file.read_text())
    part = document["provenance" if what == "classifier" else "cell"]
    part[{"few-shot set": "few_shot"}.get(what, what) + "_hash"] = "another"
    file.write_text(json.dumps(document))
    [results] = load(writer.folder)
    assert results.cells["status"].tolist() == ["outdated", "DONE"]
    assert [variant.method for variant in variants(results)] == ["bsa"]
    assert omissions(results) == [f"TGAN outdated: made with another {what}"]


def test_scales_are_named_after_what_differs_between_their_versions(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=[0], version="protocol 1, lite0/1")
    assert [scale.name() for scale in metric_scales(load(writer.folder)[0], "intra_lpips")] == [
        "intra-LPIPS (lite0, uncalibrated)"
    ]
    writer.cell("bsa", snapshots=[0], version="protocol 2, lite0/1")
    found = metric_scales(load(writer.folder)[0], "intra_lpips")
    assert [scale.name() for scale in found] == [
        "intra-LPIPS (lite0, uncalibrated, protocol 1)",
        "intra-LPIPS (lite0, uncalibrated, protocol 2)",
    ]
    assert [scale.key for scale in found] == [
        "intra_lpips_lite0_protocol_1",
        "intra_lpips_lite0_protocol_2",
    ]


def test_unfinished_cells_make_no_scale(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=[0])
    writer.cell("bsa", snapshots=[0], status="unfinished", version="2")
    assert [scale.version for scale in metric_scales(load(writer.folder)[0], "intra_lpips")] == [
        "1"
    ]


def test_what_a_specification_leaves_out_is_its_default(writer: Any) -> None:
    """Fields that came later are stored where they differ from their defaults alone."""
    writer.task()
    plain, other = writer.cell("tgan"), writer.cell("tgan", config={"extra": 1})
    for folder, fields in ((plain, {}), (other, {"precision": "bf16"})):
        document = json.loads((folder / "cell.json").read_text())
        document["cell"] |= {"config": {}, **fields}
        document["cell"]["recipe"] |= {"train_noise": False} if fields else {}
        (folder / "cell.json").write_text(json.dumps(document))
    [results] = load(writer.folder)
    assert set(results.cells["label"]) == {
        "TGAN (precision=fp32, train_noise=true)",
        "TGAN (precision=bf16, train_noise=false)",
    }


def test_a_longer_run_is_told_apart_by_its_iterations(writer: Any) -> None:
    """Its many snapshots would be too long for a label."""
    writer.task()
    writer.cell("tgan", snapshots=[0, 100, 300, 600])
    writer.cell("tgan", snapshots=[0, 200, 600, 1200])
    [results] = load(writer.folder)
    assert sorted(results.cells["label"]) == ["TGAN (iterations=1200)", "TGAN (iterations=600)"]
    writer.cell("tgan", snapshots=[0, 100, 400, 600])
    [results] = load(writer.folder)
    labels = sorted(results.cells["label"])
    assert labels[2] == "TGAN (iterations=1200)"
    assert all(len(label) == len("TGAN (12345678)") for label in labels[:2])
