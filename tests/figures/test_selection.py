from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from fsgan_bench.figures.drawing import table_texts
from fsgan_bench.results.reader import load
from fsgan_bench.tables import scores as tables
from fsgan_bench.tables import selection
from fsgan_bench.tables.model import Row, Table

P_T, DIVERSITY, DISTANCE = "realisticness_lite0", "intra_lpips_lite0", "fd_lite0"
STEPS = [0, 100, 200, 300]
QUALITY = {0: [0.1, 0.5, 0.85, 0.9], 1: [0.1, 0.75, 0.8, 0.8]}
DISTANCES = {0: [200.0, 50.0, 90.0, 60.0], 1: [200.0, 90.0, 80.0, 10.0]}


def known(method: str, iteration: int, seed: int) -> dict[str, float]:
    """Seed 0 reaches 90 % at 200 and is nearest at 100; seed 1 reaches it at 100, is so at 300."""
    place = STEPS.index(iteration)
    return {
        "realisticness": QUALITY[seed][place],
        "intra_lpips": 0.5 - 0.1 * place + 0.04 * seed,
        "fd_lite0": DISTANCES[seed][place],
    }


def selected(writer: Any) -> Table:
    [table] = selection.tables(load(writer.folder)[0])
    return table


def by_rule(table: Table) -> dict[str, Row]:
    return {row.entries["snapshot"].text: row for row in table.rows}


def test_each_rule_selects_its_snapshot(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", 0, snapshots=STEPS, scores=known)
    rows = by_rule(selected(writer))
    assert list(rows) == [
        "final",
        "best Fréchet distance, by the reference set",
        "matched quality",
    ]
    found = [(r.entries["iteration"].text, r.entries[DISTANCE].value) for r in rows.values()]
    assert found == [("300", 60.0), ("100", 50.0), ("200", 90.0)]
    assert [row.entries[P_T].value for row in rows.values()] == [0.9, 0.5, 0.85]
    assert rows["matched quality"].entries[DIVERSITY].show(3) == "0.300 ± 0.009"


def test_seeds_select_for_themselves_and_are_averaged_then(writer: Any) -> None:
    writer.task()
    for seed in (0, 1):
        writer.cell("tgan", seed, snapshots=STEPS, scores=known)
    final, best, matched = selected(writer).rows
    assert best.entries["iteration"].text == "100-300"
    assert best.entries["iteration"].value == 200
    assert best.entries[P_T].value == pytest.approx((0.5 + 0.8) / 2)
    assert best.entries[DISTANCE].value == pytest.approx((50 + 10) / 2)
    assert best.entries[DISTANCE].spread == pytest.approx(40 / 2**0.5)
    assert matched.entries["iteration"].text == "100-200"
    assert matched.entries[DIVERSITY].value == pytest.approx((0.30 + 0.44) / 2)
    assert final.entries[P_T].value == pytest.approx(0.85)


def test_the_rule_that_needs_the_reference_set_says_so(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=known)
    table = selected(writer)
    marked = {
        row.entries["snapshot"].show(0) for row in table.rows if "¶" in row.entries["snapshot"].note
    }
    assert marked == {"best Fréchet distance, by the reference set ¶"}
    [note] = [note for note in table.notes if note.startswith("¶")]
    assert "real target images, which a user with 10 images does not have" in note


def test_the_main_table_stays_with_the_final_snapshot(writer: Any) -> None:
    writer.task()
    for seed in (0, 1):
        for method in ("tgan", "cdc"):
            writer.cell(method, seed, snapshots=STEPS, scores=known)
    [results] = load(writer.folder)
    [main] = tables.tables(results)
    [table] = selection.tables(results)
    finals = [row for row in table.rows if row.entries["snapshot"].text == "final"]
    matched = [row for row in table.rows if row.entries["snapshot"].text == "matched quality"]
    for row, final, early in zip(main.rows, finals, matched, strict=False):
        for key in (P_T, DIVERSITY, DISTANCE):
            assert row.entries[key].show(3) == final.entries[key].show(3)
        assert row.entries[f"{DIVERSITY}_at_90"].show(3) == early.entries[DIVERSITY].show(3)
    assert len(finals) == 2
    assert not any(entry.best for row in table.rows for entry in row.entries.values())


def test_what_never_rises_reaches_no_matched_quality(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=lambda *_: {"realisticness": 0.4, "fd_lite0": 9.0})
    row = by_rule(selected(writer))["matched quality"]
    assert [row.entries[key].show(3) for key in ("iteration", P_T, DISTANCE)] == ["-"] * 3


def test_rules_that_a_task_does_not_know_are_left_out(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=lambda *_: {"intra_lpips": 0.4})
    assert selection.tables(load(writer.folder)[0]) == []
    assert list(table_texts(load(writer.folder)[0])) == ["table.md", "table.tex", "table.csv"]
    writer.cell("cdc", snapshots=STEPS, scores=lambda _, i, __: {"fd_lite0": 100.0 - i / 10})
    assert list(by_rule(selected(writer))) == [
        "final",
        "best Fréchet distance, by the reference set",
    ]


def test_a_kernel_distance_selects_nothing(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=lambda *_: {"realisticness": 0.4, "kid": 9.0})
    assert list(by_rule(selected(writer))) == ["final", "matched quality"]


def test_texts(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=known)
    texts = table_texts(load(writer.folder)[0])
    lines = list(csv.DictReader(io.StringIO(texts["selection.csv"])))
    assert [(line["label"], line["iteration"]) for line in lines] == [
        ("TGAN", "300.0"),
        ("TGAN", "100.0"),
        ("TGAN", "200.0"),
    ]
    assert lines[1]["snapshot"] == "best Fréchet distance, by the reference set"
    assert float(lines[1][DISTANCE]) == 50.0
    markdown = texts["table.md"]
    assert "**Model selection: faces to sketches" in markdown
    assert "| TGAN † | final | 300 |" in markdown and "|  | matched quality | 200 |" in markdown
    assert "Model selection" in texts["table.tex"] and "snapshot" not in texts["table.csv"]
