"""Metrics that score adds, or another package, in tables and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.errors import UserError
from fsgan_bench.figures import canvas
from fsgan_bench.figures.drawing import draw, table_texts
from fsgan_bench.metrics.registry import OURS
from fsgan_bench.results.descriptions import describe
from fsgan_bench.results.reader import LONG_COLUMNS, load, load_results
from fsgan_bench.results.scales import metric_scales
from fsgan_bench.results.score_records import ScoreRecord
from fsgan_bench.tables.scores import tables

SNAPSHOTS = (0, 50, 100, 200)
OF_OTHERS = {
    "name": "sharpness",
    "title": "sharpness",
    "short": "sharp",
    "details": "edges",
    "unit": "px",
    "higher_is_better": False,
    "kind": "further",
    "limits": [0.0, None],
    "capped": False,
    "tabulated": True,
    "selects": False,
}


@pytest.fixture(autouse=True)
def quick_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(canvas._STYLE, "pdf.fonttype", 3)


def scores(method: str, iteration: int, seed: int) -> dict[str, float]:
    rise = iteration / 200
    recall = 0.9 - rise * (0.5 if method == "tgan" else 0.1)
    return {"realisticness": 0.1 + 0.8 * rise, "recall": recall, "nn_lpips": 1.2 - 0.1 * rise}


def add(folder: Path, name: str, key: str, lines: list[dict[str, Any]]) -> None:
    """Append scores of a metric that is not installed here, stored with its description."""
    version = "protocol 1, sharpness 3, edges/1"
    with (folder / name).open("a") as file:
        for line in lines:
            stored = {"metric": "sharpness", "stderr": 0.1, "n": 1000, "backbone": "edges"}
            stored |= {"version": version, "detail": {}, "about": OF_OTHERS, "schema": 2}
            file.write(json.dumps({key: line[key], "value": line["value"]} | stored) + "\n")


@pytest.fixture
def task(writer: Any) -> Path:
    writer.task()
    for method in ("tgan", "cdc"):
        cell = writer.cell(method, snapshots=SNAPSHOTS, scores=scores)
        values = [{"iteration": at, "value": 2.0 + at / 100} for at in SNAPSHOTS]
        add(cell, "scores.jsonl", "iteration", values)
    add(writer.folder, "references.jsonl", "reference", [{"reference": "real", "value": 2.5}])
    folder: Path = writer.folder
    return folder


def test_tables_have_a_column_for_each_with_its_direction_and_unit(task: Path) -> None:
    [results] = load(task)
    [table] = tables(results)
    columns = {column.key: column for column in table.columns}
    assert columns["recall_lite0"].heading == "recall (lite0) ↑"
    assert columns["sharpness_edges"].heading == "sharpness (edges) [px] ↓"
    assert columns["sharpness_edges"].short == "sharp ↓"
    assert columns["nn_lpips_lite0"].heading == (
        "distance to the few-shot images (lite0, uncalibrated) ↑"
    )
    by_name = {row.name: row.entries for row in table.rows}
    assert by_name["cdc"]["recall_lite0"].best and not by_name["tgan"]["recall_lite0"].best
    assert by_name["real"]["sharpness_edges"].value == 2.5
    texts = table_texts(results)
    assert "recall (lite0) ↑" in texts["table.md"]
    assert "sharpness_edges,sharpness_edges_spread,sharpness_edges_stderr" in texts["table.csv"]
    assert r"{[}px{]}~$\downarrow$" in texts["table.tex"]


def test_each_has_a_figure_and_several_can_be_drawn_beside_each_other(task: Path) -> None:
    names = {path.stem for path in draw(task, kinds=["trajectories"])}
    assert {"recall", "nn_lpips", "sharpness"} <= names
    out = task / "chosen"
    result = CliRunner().invoke(
        main, ["figures", str(task), "--metrics", "sharpness,recall", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"metrics.png", "metrics.pdf"}


def test_a_metric_without_scores_is_one_sentence(task: Path) -> None:
    with pytest.raises(UserError, match=r"scored by 'recal'.* Did you mean 'recall'\?"):
        draw(task, metrics=["recal"])


def test_what_is_stored_decides_labels_and_old_files_ask_the_metric(task: Path) -> None:
    [results] = load(task)
    [scale] = metric_scales(results, "sharpness")
    assert scale.about.unit == "px" and scale.about.direction == "lower"
    for metric in OURS.values():
        stored = metric.stored_as("lite0")
        fields = {"metric": stored, "value": 1.0, "backbone": "lite0"}
        version = f"protocol 1, {metric.name} {metric.version}, lite0/1"
        old = ScoreRecord.parse(fields | {"version": version}, "scores.jsonl")
        assert describe(old) == metric.describe("lite0")
    unknown = ScoreRecord.parse(
        {"metric": "theirs", "value": 1.0, "backbone": "b", "version": "1"}, "scores.jsonl"
    )
    assert describe(unknown).title == "theirs" and describe(unknown).arrow == ""


def test_the_long_table_has_a_row_a_number(task: Path) -> None:
    table = load_results(task)
    assert tuple(table.columns) == LONG_COLUMNS
    row = table[(table["method"] == "cdc") & (table["iteration"] == 200)].set_index("metric")
    assert row.loc["sharpness", "value"] == 4.0 and row.loc["sharpness", "unit"] == "px"
    assert row.loc["recall", "direction"] == "higher"
    references = table[table["kind"] == "reference"]
    assert set(references["method"]) == {"source", "real", "ideal"}
    assert references["iteration"].isna().all()
