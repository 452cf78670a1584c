from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from fsgan_bench.figures.drawing import table_texts
from fsgan_bench.results.reader import load
from fsgan_bench.tables import literature
from fsgan_bench.tables.model import Table
from fsgan_bench.tables.scores import tables

SKETCHES = "DPMs-ANT (Wang et al. ICML 2024) appendix Table 4"
INTRA, FID = "intra_lpips_cdc2021_vgg", "fid_legacy_inception_legacy"
FFHQ = {"suite": "ffhq", "resolution": 256, "lpips_protocol": "cdc2021"}


def ours(metric: str = "intra_lpips_cdc2021", value: float = 0.4) -> Any:
    return lambda _, iteration, __: {metric: value, "intra_lpips": value}


def printed(writer: Any) -> list[Table]:
    [results] = load(writer.folder)
    return literature.beside(results, tables(results))


def fill(writer: Any, **task: Any) -> None:
    writer.task(references=(), **(FFHQ | task))
    writer.cell("cdc", snapshots=[0, 100], backbone="vgg", scores=ours())
    writer.cell("bsa", snapshots=[0, 100], backbone="vgg", scores=ours(value=0.5))


def test_the_file_is_read_whole() -> None:
    every = literature.published()
    assert len(every) == 45
    assert {each.metric for each in every} == {"fid", "intra_lpips"}
    assert {each.source for each in every} == {"ffhq", "lsun-church"}
    assert all(each.printed_in and each.value > 0 and each.shots == 10 for each in every)
    assert {each.decimals for each in every} == {2, 3}


def test_values_of_which_one_is_a_copying_error_are_not_shown(writer: Any) -> None:
    """Two set-ups of one table with the same digits in two methods."""
    doubted = [each for each in literature.published() if each.doubt]
    digits: dict[tuple[str, float, float], set[str]] = {}
    for each in literature.published():
        if each.metric == "intra_lpips" and each.method in ("cdc", "dcl"):
            digits.setdefault((each.method, each.value, each.std), set()).add(each.target)
    same = {frozenset(targets) for targets in digits.values() if len(targets) > 1}
    assert same == {frozenset({"haunted-houses", "amedeo"})}
    assert {(each.target, each.method) for each in doubted} == {
        (target, method) for target in ("haunted-houses", "amedeo") for method in ("cdc", "dcl")
    }
    fill(writer, target="amedeo")
    [table] = printed(writer)
    _, theirs = (column.key for column in table.columns)
    assert {row.label for row in table.rows if theirs in row.entries} == {"TGAN", "TGAN+ADA", "EWC"}


def test_values_of_the_same_set_up_stand_beside_ours(writer: Any) -> None:
    fill(writer)
    [table] = printed(writer)
    assert [column.heading for column in table.columns] == [
        "intra-LPIPS (vgg, cdc2021) ↑",
        f"intra-LPIPS in print: {SKETCHES} ↑",
    ]
    mine, theirs = (column.key for column in table.columns)
    rows = {row.label: row for row in table.rows}
    assert rows["CDC"].entries[mine].value == pytest.approx(0.4)
    assert rows["CDC"].entries[theirs].show(3) == "0.454 ± 0.017"
    assert theirs not in rows["BSA"].entries
    assert [(row.label, row.kind) for row in table.rows] == [
        ("BSA", "method"),
        ("CDC", "method"),
        ("TGAN", "literature"),
        ("EWC", "literature"),
        ("DCL", "literature"),
        ("TGAN+ADA", "literature"),
    ]
    assert rows["TGAN+ADA"].entries[theirs].show(3) == "0.427 ± 0.022"


def test_no_value_in_print_is_among_ours_or_bold(writer: Any) -> None:
    fill(writer)
    [results] = load(writer.folder)
    [main] = tables(results)
    [table] = literature.beside(results, [main])
    assert {row.label for row in main.rows} == {"BSA", "CDC"}
    assert not any("print" in column.key for column in main.columns)
    assert not any(entry.best for row in table.rows for entry in row.entries.values())
    best = [row.label for row in main.rows if row.entries[main.columns[0].key].best]
    assert best == ["BSA"]


@pytest.mark.parametrize(
    "other",
    [
        {"suite": "avatars"},
        {"suite": "mine"},
        {"suite": "lsun-church"},
        {"target": "babies-2"},
        {"target": "otto"},
        {"shots": 5},
        {"shots": 1},
        {"resolution": 64},
        {"lpips_protocol": "exact"},
    ],
)
def test_values_of_another_set_up_are_not_shown(writer: Any, other: dict[str, Any]) -> None:
    fill(writer, **other)
    assert printed(writer) == []
    texts = table_texts(load(writer.folder)[0])
    assert "literature.csv" not in texts
    assert not any("print" in text or "DPMs" in text for text in texts.values())


@pytest.mark.parametrize("backbone", ["lite0", "alex"])
def test_intra_lpips_on_another_backbone_has_nothing_beside_it(writer: Any, backbone: str) -> None:
    writer.task(references=(), **FFHQ)
    writer.cell("cdc", snapshots=[0, 100], backbone=backbone, scores=ours())
    assert printed(writer) == []


@pytest.mark.parametrize(
    ("metric", "backbone", "shown"),
    [
        ("fid", "inception", False),
        ("fid_legacy", "inception_legacy", True),
        ("fd_lite0", "lite0", False),
        ("kid", "inception", False),
    ],
)
def test_fid_stands_beside_fid_only(writer: Any, metric: str, backbone: str, shown: bool) -> None:
    writer.task(references=(), **FFHQ, target="babies")
    writer.cell("cdc", snapshots=[0, 100], backbone=backbone, scores=lambda *_: {metric: 70.0})
    found = printed(writer)
    assert bool(found) == shown
    if shown:
        [cdc, *_] = found[0].rows
        _, theirs = found[0].columns
        assert theirs.heading == "FID in print: DPMs-ANT (Wang et al. ICML 2024) Table 2 ↓"
        assert cdc.entries[theirs.key].show(theirs.decimals) == "74.39"


def test_a_method_in_several_configurations_takes_no_value_for_its_own(writer: Any) -> None:
    writer.task(references=(), **FFHQ)
    for weight in (0.0, 2.0):
        config = {"lambda1": weight}
        writer.cell("dcl", snapshots=[0, 9], config=config, backbone="vgg", scores=ours())
    [table] = printed(writer)
    _, theirs = (column.key for column in table.columns)
    assert [row.label for row in table.rows if theirs in row.entries] == [
        "TGAN",
        "EWC",
        "CDC",
        "DCL",
        "TGAN+ADA",
    ]
    assert [row.kind for row in table.rows[:3]] == ["method", "method", "literature"]


def test_texts(writer: Any) -> None:
    fill(writer)
    texts = table_texts(load(writer.folder)[0])
    lines = {line["label"]: line for line in csv.DictReader(io.StringIO(texts["literature.csv"]))}
    value = next(name for name in lines["CDC"] if name.endswith("_in_print_1"))
    assert lines["CDC"]["kind"] == "method" and lines["CDC"][value] == "0.454"
    assert lines["CDC"][f"{value}_spread"] == "0.017"
    assert lines["CDC"][f"{value}_printed_in"] == SKETCHES
    assert lines["BSA"][value] == lines["BSA"][f"{value}_printed_in"] == ""
    assert lines["TGAN+ADA"]["kind"] == "literature"
    markdown, tex = texts["table.md"], texts["table.tex"]
    assert "| CDC | 0.400 | 0.454 ± 0.017 |" in markdown and SKETCHES in markdown
    assert r"$0.454 \pm 0.017$" in tex and "TGAN+ADA & -- &" in tex
    assert SKETCHES not in texts["table.csv"]
