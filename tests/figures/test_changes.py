"""Two results roots compared: what differs, and what counts as a regression."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main

SEEDS = (0, 1, 2)


def compare(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["compare", *map(str, arguments)])
    return result.exit_code, result.output


def scores(before: Path, after: Path, *more: object) -> tuple[int, dict[str, Any]]:
    code, text = compare(before, after, "--json", *more)
    document: dict[str, Any] = json.loads(text)
    return code, document


def shifted(folder: Path, metric: str, by: float) -> None:
    """Add to a stored score, to the last snapshots alone."""
    for file in folder.rglob("scores.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        last = max(line["iteration"] for line in lines)
        for line in lines:
            if line["metric"] == metric and line["iteration"] == last:
                line["value"] += by
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def roots(writer: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Two equal roots with two methods of three seeds."""
    writer.task()
    for method in ("tgan", "cdc"):
        for seed in SEEDS:
            writer.cell(method, seed)
    before = writer.folder.parent.parent
    return before, Path(shutil.copytree(before, tmp_path / "after"))


def test_equal_roots_are_the_same(roots: tuple[Path, Path]) -> None:
    code, text = compare(*roots)
    assert code == 0
    assert "made with the same settings" in text and "No score got worse" in text
    _, document = scores(*roots)
    assert {change["judgement"] for change in document["scores"]} == {"same"}
    assert {change["seeds"] for change in document["scores"]} == {3}
    assert len(document["scores"]) == 6 and document["notes"] == []


def test_a_loss_beyond_error_and_margin_is_a_regression(roots: tuple[Path, Path]) -> None:
    before, after = roots
    shifted(after / "avatars" / "sketches-10shot" / "cdc", "realisticness", -0.2)
    shifted(after / "avatars" / "sketches-10shot" / "tgan", "fd_lite0", -4.0)
    code, document = scores(before, after)
    judged = {(one["method"], one["score"]): one for one in document["scores"]}
    assert code == 1 and document["regressions"] == 1
    regressed = judged["CDC", "realisticness_lite0"]
    assert regressed["judgement"] == "regressed"
    assert regressed["difference"] == pytest.approx(-0.2) and regressed["margin"] == 0.05
    assert judged["TGAN", "fd_lite0"]["judgement"] == "better"
    assert judged["TGAN", "fd_lite0"]["margin"] == pytest.approx(0.05 * 214.0)
    code, document = scores(before, after, "--margin", 0.3)
    assert code == 0 and document["regressions"] == 0
    assert "worse" in compare(before, after, "--margin", 0.3)[1]


def test_a_difference_that_seeds_disagree_about_is_within_the_error(
    roots: tuple[Path, Path],
) -> None:
    before, after = roots
    for seed, by in enumerate((-0.3, 0.2, -0.1)):
        (folder,) = (after / "avatars" / "sketches-10shot" / "cdc").glob(f"seed{seed}-*")
        shifted(folder, "realisticness", by)
    code, document = scores(before, after)
    (change,) = (one for one in document["scores"] if one["judgement"] != "same")
    assert code == 0 and change["judgement"] == "within the error"


def test_a_score_without_an_error_is_not_judged(writer: Any, tmp_path: Path) -> None:
    writer.task()
    writer.cell("cdc", 0)
    before = writer.folder.parent.parent
    after = Path(shutil.copytree(before, tmp_path / "after"))
    shifted(after, "fd_lite0", 180.0)
    code, document = scores(before, after)
    judged = {one["score"]: one for one in document["scores"]}
    assert code == 0 and judged["fd_lite0"]["judgement"] == "error unknown"
    assert judged["fd_lite0"]["stderr"] is None
    text = compare(before, after)[1]
    assert "1 score has no known error and cannot be judged" in text
    assert "No score whose error is known got worse" in text


def test_a_version_that_both_have_is_compared_without_a_note(roots: tuple[Path, Path]) -> None:
    before, after = roots
    for file in after.rglob("scores.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        again = [{**line, "version": "9"} for line in lines if line["metric"] == "realisticness"]
        file.write_text("".join(json.dumps(line) + "\n" for line in (*lines, *again)))
    _, document = scores(before, after)
    assert len(document["scores"]) == 6 and document["notes"] == []


def test_what_cells_were_made_with_is_listed(roots: tuple[Path, Path]) -> None:
    before, after = roots
    for file in (after / "avatars" / "sketches-10shot" / "cdc").rglob("cell.json"):
        document = json.loads(file.read_text())
        document["cell"]["recipe"]["lr"] = 0.001
        document["provenance"]["packages"] = {"torch": "3.0"}
        file.write_text(json.dumps(document))
    task = after / "avatars" / "sketches-10shot" / "task.json"
    task.write_text(task.read_text().replace('"few-shot"', '"other-images"'))
    shutil.rmtree(after / "avatars" / "sketches-10shot" / "tgan")
    for file in after.rglob("cell.json"):
        file.write_text(file.read_text().replace('"few-shot"', '"other-images"'))
    code, document = scores(before, after)
    made = {one["what"]: one for one in document["made"]}
    assert made["recipe.lr"] == {
        "what": "recipe.lr",
        "before": "0.002",
        "after": "0.001",
        "cells": 3,
    }
    assert made["packages.torch"]["before"] == "-"
    assert made["few_shot_hash"]["after"] == '"other-images"'
    notes = " ".join(document["notes"])
    assert "TGAN only in the first" in notes and "another few-shot set" in notes
    assert code == 0


def test_roots_without_a_cell_in_common(writer: Any, tmp_path: Path, task_writer: Any) -> None:
    writer.task()
    writer.cell("tgan")
    other = task_writer(tmp_path / "other", "ink")
    other.task()
    other.cell("tgan")
    code, text = compare(writer.folder, other.folder)
    assert code == 2
    assert "no finished and scored run in common" in text and "only in the first" in text


def test_what_is_lost_is_said_and_a_score_that_is_undefined_now_is_a_regression(
    roots: tuple[Path, Path],
) -> None:
    before, after = roots
    task = after / "avatars" / "sketches-10shot"
    shutil.rmtree(next((task / "cdc").glob("seed2-*")))
    for file in task.rglob("scores.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        lines = [line for line in lines if line["metric"] != "fd_lite0"]
        if "tgan/seed1" in str(file):
            (last,) = [line for line in lines if line["iteration"] == 1000 and "p_t" in str(line)]
            last["value"] = None
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, text = compare(before, after)
    assert code == 1 and "1 score got worse" in text and "undefined" in text
    code, document = scores(before, after)
    (change,) = (one for one in document["scores"] if one["judgement"] == "regressed")
    assert (change["method"], change["seeds"], change["after"]) == ("TGAN", 1, None)
    same = [one["seeds"] for one in document["scores"] if one["judgement"] == "same"]
    assert sorted(same) == [2, 2, 2, 3]
    said = " ".join(document["notes"])
    assert "seed 2 of CDC finished only in the first." in said
    assert "scored only in the first: fd_lite0 (lite0)." in said


def test_cells_are_matched_by_their_settings_whatever_lies_beside_them(
    writer: Any, tmp_path: Path
) -> None:
    """Their labels change with what else is there."""
    writer.task()
    writer.cell("ewc", config={"weight": 1})
    after = writer.folder.parent.parent
    before = Path(shutil.copytree(after, tmp_path / "before"))
    for weight in (2, 3):
        writer.cell("ewc", config={"weight": weight})
    code, document = scores(before, after)
    assert code == 0 and {one["method"] for one in document["scores"]} == {"EWC"}
    (note,) = document["notes"]
    assert note.endswith("EWC (weight=2), EWC (weight=3) only in the second.")


def test_a_task_that_is_there_twice_is_a_sentence(roots: tuple[Path, Path]) -> None:
    before, after = roots
    shutil.copytree(after, after / "more")
    code, text = compare(before, after)
    assert code == 2 and "are one task" in text
