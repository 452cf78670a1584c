"""Results leave the machine: as one table, merged with those of others, packed to be checked."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main
from fsgan_bench.results.commands import commands, record_command
from fsgan_bench.results.export import COLUMNS, EXPORT_VERSION
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.reader import load
from fsgan_bench.system.files import append_lines, write_json, write_lines
from fsgan_bench.system.json_files import read_lines

DOCS = Path(__file__).parents[2] / "docs"


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def only(task: Path, method: str) -> CellFiles:
    (folder,) = (task / method).iterdir()
    return CellFiles(folder)


def test_every_number_is_a_row_of_the_exported_table(adapted: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "parquet"):
        done = command("export", adapted, "--out", tmp_path / f"scores.{suffix}")
        assert done.exit_code == 0, done.output
    stored = [read_lines(only(adapted, method).scores) for method in ("cdc", "minegan")]
    references = read_lines(adapted / "references.jsonl")
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == sum(map(len, stored)) + len(references)
    assert set(table["export_version"]) == {EXPORT_VERSION}
    mine = table[(table["method"] == "cdc") & (table["iteration"] == 6)]
    values = {line["metric"]: line["value"] for line in stored[0] if line["iteration"] == 6}
    assert dict(zip(mine["metric"], mine["value"], strict=True)) == values
    assert set(mine["provenance"]) == {"trained"}
    assert json.loads(mine["config"].iloc[0])["patch_downscales"] == [8]
    assert set(table["kind"]) == {"method", "reference"}
    rows = json.loads((tmp_path / "scores.json").read_text())
    with (tmp_path / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for row, line, value in zip(rows, lines, table["value"], strict=True):
        assert list(row) == list(line) == list(COLUMNS)
        assert row["value"] == float(line["value"]) == value
        assert (row["iteration"] is None) == (line["iteration"] == "") == (row["kind"] != "method")


def test_the_schema_is_documented() -> None:
    page = (DOCS / "export.md").read_text(encoding="utf-8")
    assert f"version {EXPORT_VERSION}" in page
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(name, column.type, column.meaning) for name, column in COLUMNS.items()]


def test_an_export_that_cannot_be_is_a_sentence(adapted: Path, tmp_path: Path) -> None:
    done = command("export", adapted, "--out", tmp_path / "scores.xlsx")
    assert done.exit_code == 2 and ".parquet, .csv, .json" in done.output
    done = command("export", tmp_path, "--out", tmp_path / "scores.csv")
    assert done.exit_code == 2 and "There are no runs in" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def roots(adapted: Path, tmp_path: Path) -> list[Path]:
    """Two roots: both have CDC, the second MineGAN too."""
    found = []
    for name in ("one", "two"):
        root = tmp_path / name
        shutil.copytree(adapted, root / "tiny" / adapted.name)
        found.append(root)
    shutil.rmtree(found[0] / "tiny" / adapted.name / "minegan")
    return found


def edit_scores(files: CellFiles, key: str, by: float) -> None:
    lines = [{**line, key: line[key] + by} for line in read_lines(files.scores)]
    files.scores.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_results_of_two_machines_become_one_root(
    roots: list[Path], adapted: Path, suite: Path, tmp_path: Path
) -> None:
    task = Path("tiny") / adapted.name
    edit_scores(only(roots[1] / task, "cdc"), "seconds", 1.0)
    out = tmp_path / "merged"
    done = command("merge", *roots, "--out", out)
    assert done.exit_code == 0, done.output
    [results] = load(out)
    assert results.cells["method"].tolist() == ["minegan", "cdc"]
    cell = only(out / task, "cdc")
    assert (cell.folder / "snapshots").is_symlink()
    assert cell.snapshot(6).read_bytes() == only(adapted, "cdc").snapshot(6).read_bytes()
    assert cell.scores.read_bytes() == only(adapted, "cdc").scores.read_bytes()
    verified = command("verify", out, "--suite", suite)
    assert verified.exit_code == 0, verified.output
    again = command("merge", *roots, "--out", out)
    assert again.exit_code == 2 and "exists already" in again.output


def test_a_state_that_was_kept_is_not_missed_in_a_merged_root(
    roots: list[Path], adapted: Path, suite: Path, tmp_path: Path
) -> None:
    kept = only(roots[1] / "tiny" / adapted.name, "minegan")
    kept.state.write_bytes(b"state")
    kept.write_manifest([0, 2, 6], "all")
    out = tmp_path / "merged"
    assert command("merge", *roots, "--out", out).exit_code == 0
    manifest = only(out / "tiny" / adapted.name, "minegan").read_manifest()
    assert manifest is not None and manifest.keep == "scored"
    assert list(manifest.left_out) == ["state.pt"] and "state.pt" not in manifest.sha256
    verified = command("verify", out, "--suite", suite)
    assert verified.exit_code == 0, verified.output


def other_values(files: CellFiles) -> None:
    edit_scores(files, "value", 1e-9)


def other_losses(files: CellFiles) -> None:
    lines = read_lines(files.log)
    lines[-1]["generator/adversarial"] += 1e-9
    write_lines(files.log, lines)


def other_hash(files: CellFiles) -> None:
    write_json(files.cell, json.loads(files.cell.read_text()) | {"hash": "another"})


def other_file(name: str) -> Callable[[CellFiles], None]:
    def change(files: CellFiles) -> None:
        manifest = json.loads(files.manifest.read_text())
        assert name in manifest["sha256"]
        manifest["sha256"][name] = "0"
        write_json(files.manifest, manifest)

    return change


SNAPSHOT, PROBE = "snapshots/000006.safetensors", "probe/000006.npz"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((other_values, other_file(SNAPSHOT)), f"in {SNAPSHOT}, scores.jsonl, though"),
        ((other_values,), "in scores.jsonl, though"),
        ((other_losses,), "in train.jsonl, though"),
        ((other_file(PROBE),), f"in {PROBE}, though"),
        ((other_hash,), "is left out: its hash is not its folder's"),
    ],
)
def test_cells_that_disagree_are_named_and_the_first_stays(
    roots: list[Path],
    adapted: Path,
    tmp_path: Path,
    changes: tuple[Callable[[CellFiles], None], ...],
    says: str,
) -> None:
    task = Path("tiny") / adapted.name
    for change in changes:
        change(only(roots[1] / task, "cdc"))
    done = command("merge", *roots, "--out", tmp_path / "merged")
    assert done.exit_code == 1
    assert says in done.output
    merged, first = only(tmp_path / "merged" / task, "cdc"), only(adapted, "cdc")
    for name in ("scores.jsonl", "train.jsonl", "cell.json"):
        assert (merged.folder / name).read_bytes() == (first.folder / name).read_bytes()


@pytest.mark.parametrize("order", [1, -1])
def test_further_scores_and_judges_are_taken_from_whichever_root_has_them(
    roots: list[Path], adapted: Path, tmp_path: Path, order: int
) -> None:
    tasks = [TaskFiles(root / "tiny" / adapted.name) for root in roots]
    richer = only(tasks[1].folder, "cdc")
    line = read_lines(richer.scores)[-1]
    further = line | {"metric": "further", "version": "protocol 1, further 1, x"}
    append_lines(richer.scores, [further])
    judged: list[dict[str, Any]] = [
        {"judge": "vgg", "cell": "a", "iteration": i, "value": 0.5} for i in range(3)
    ]
    for files, lines in zip(tasks, (judged[:2], judged[1:]), strict=True):
        write_json(files.ablation_card("vgg"), {})
        write_lines(files.ablation_scores, lines)
    done = command("merge", *roots[::order], "--out", tmp_path / "merged")
    assert done.exit_code == 0, done.output
    merged = TaskFiles(tmp_path / "merged" / "tiny" / adapted.name)
    assert only(merged.folder, "cdc").scores.read_bytes() == richer.scores.read_bytes()
    found = {each["iteration"]: each for each in read_lines(merged.ablation_scores)}
    assert [found[i] for i in sorted(found)] == judged


def test_reference_lines_that_differ_are_one_sentence(
    roots: list[Path], adapted: Path, tmp_path: Path
) -> None:
    file = roots[1] / "tiny" / adapted.name / "references.jsonl"
    lines = read_lines(file)
    known = [line for line in lines if line["value"]]
    for line in known:
        line["value"] *= 1.0001
    known[3]["value"] *= 2
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command("merge", *roots, "--out", tmp_path / "merged")
    assert done.exit_code == 1
    assert done.output.count("references.jsonl") == 2
    assert f"{len(known)} of {len(lines)} reference lines differ from those in" in done.output
    assert f"most of all {known[3]['metric']} of {known[3]['reference']}, " in done.output


def test_a_task_of_other_images_is_left_out(
    roots: list[Path], adapted: Path, tmp_path: Path
) -> None:
    file = roots[1] / "tiny" / adapted.name / "task.json"
    task = json.loads(file.read_text())
    file.write_text(json.dumps(task | {"few_shot_hash": "another"}))
    done = command("merge", *roots, "--out", tmp_path / "merged")
    assert done.exit_code == 1 and "made with another few-shot set" in done.output
    [results] = load(tmp_path / "merged")
    assert results.cells["method"].tolist() == ["cdc"]


def test_a_pack_is_verified_as_it_is(adapted: Path, suite: Path, tmp_path: Path) -> None:
    for name in ("run.zip", "again.zip"):
        done = command("pack", adapted, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "unzipped")
    assert not [name for name in names if "snapshots" in name or name.endswith((".pt", ".lock"))]
    verified = command("verify", tmp_path / "run.zip", "--suite", suite)
    assert verified.exit_code == 0, verified.output
    assert "3 file(s) were left out, of which the manifest has the checksums" in verified.output
    [results] = load(tmp_path / "unzipped")
    assert len(results.scores) == len(load(adapted)[0].scores)

    place = only(tmp_path / "unzipped" / "tiny" / adapted.name, "cdc")
    shutil.copytree(only(adapted, "cdc").folder / "snapshots", place.folder / "snapshots")
    whole = command("verify", place.folder, "--suite", suite)
    assert whole.exit_code == 0 and "1 snapshot(s) scored again" in whole.output, whole.output
    place.snapshot(2).write_bytes(b"other")
    changed = command("verify", place.folder, "--suite", suite)
    assert changed.exit_code == 1 and "000002.safetensors has been changed" in changed.output


def test_what_is_changed_in_a_pack_is_found(adapted: Path, suite: Path, tmp_path: Path) -> None:
    assert command("pack", adapted, "--weights", "--out", tmp_path / "run.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (n for n in content if "cdc" in n and n.endswith("grids/000006.png"))
    assert [n for n in content if n.endswith("000006.safetensors")]
    content[name] += b"more"
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
        for each, item in content.items():
            archive.writestr(each, item)
    verified = command("verify", tmp_path / "changed.zip", "--suite", suite)
    assert verified.exit_code == 1
    assert "grids/000006.png has been changed" in verified.output
    assert str(tmp_path / "changed.zip") in verified.output


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a\\..\\out.txt"])
def test_a_pack_cannot_write_outside_of_itself(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.writestr("pack.json", "{}")
        archive.writestr(name, "text")
    done = command("verify", tmp_path / "run.zip")
    assert done.exit_code == 2 and "outside of itself" in done.output


def test_a_zip_that_is_no_pack_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.zip").write_bytes(b"PK no zip")
    done = command("verify", tmp_path / "run.zip")
    assert done.exit_code == 2 and "cannot be read as a pack" in done.output


def test_a_root_named_twice_changes_nothing(
    roots: list[Path], adapted: Path, tmp_path: Path
) -> None:
    more = roots[1] / "tiny" / adapted.name / "references.jsonl"
    line = read_lines(more)[0] | {"metric": "further", "version": "protocol 1, further 1, x"}
    with more.open("a") as file:
        file.write(json.dumps(line) + "\n")
    done = command("merge", *roots, roots[0], "--out", tmp_path / "merged")
    assert done.exit_code == 0, done.output
    merged = read_lines(tmp_path / "merged" / "tiny" / adapted.name / "references.jsonl")
    assert line in merged and len(merged) == len(read_lines(more))


def test_commands_go_with_the_cells_that_they_made(
    roots: list[Path], adapted: Path, tmp_path: Path
) -> None:
    task = roots[1] / "tiny" / adapted.name
    hashes = {name: read_cell(only(task, name)).hash for name in ("cdc", "minegan")}
    record_command(roots[0], "the first", [hashes["cdc"], "deleted"])
    record_command(roots[1], "the second", [hashes["minegan"]])
    expected = {hashes["cdc"]: "the first", hashes["minegan"]: "the second"}
    assert command("merge", *roots, "--out", tmp_path / "merged").exit_code == 0
    assert commands(tmp_path / "merged") == expected
    assert command("pack", tmp_path / "merged", "--out", tmp_path / "run.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(tmp_path / "unzipped")
    assert commands(tmp_path / "unzipped") == expected
    (roots[0] / "runs.jsonl").write_text('{"cells": 5, "command": "x"}\n')
    damaged = command("merge", *roots, "--out", tmp_path / "other")
    assert damaged.exit_code == 2 and "line 1, must have a list of hashes" in damaged.output


def test_roots_that_differ_are_not_packed_into_one(
    roots: list[Path], adapted: Path, tmp_path: Path
) -> None:
    same = command("pack", *roots, "--out", tmp_path / "same.zip")
    assert same.exit_code == 0 and "2 cell(s)" in same.output, same.output
    edit_scores(only(roots[1] / "tiny" / adapted.name, "cdc"), "value", 1e-9)
    done = command("pack", *roots, "--out", tmp_path / "run.zip")
    assert done.exit_code == 2 and "scores.jsonl is not the same in all" in done.output
    assert not (tmp_path / "run.zip").exists()


def test_reference_lines_changed_in_a_pack_are_found(
    adapted: Path, suite: Path, tmp_path: Path
) -> None:
    assert command("pack", adapted, "--out", tmp_path / "run.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (n for n in content if n.endswith("/probe/source.npz") and n.count("/") == 3)
    content[name] = content[name.replace("source", "real")]
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
        for each, item in content.items():
            archive.writestr(each, item)
    verified = command("verify", tmp_path / "changed.zip", "--suite", suite)
    assert verified.exit_code == 1 and f"{name} has been changed" in verified.output


def test_a_pack_with_damaged_bytes_is_a_sentence(adapted: Path, tmp_path: Path) -> None:
    assert command("pack", adapted, "--out", tmp_path / "run.zip").exit_code == 0
    content = bytearray((tmp_path / "run.zip").read_bytes())
    content[200:240] = bytes(40)
    (tmp_path / "run.zip").write_bytes(bytes(content))
    done = command("verify", tmp_path / "run.zip")
    assert done.exit_code == 2 and "cannot be read as a pack" in done.output
