from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fsgan_bench.results import curves
from fsgan_bench.results.reader import load
from fsgan_bench.results.scales import metric_scales
from fsgan_bench.tables.model import Column, Row, Table, TableEntry, mark_best
from fsgan_bench.tables.rendering import csv_text, markdown_text, plain_lines, print_tables
from fsgan_bench.tables.scores import tables

P_T, DIVERSITY, EARLY = (
    "realisticness_lite0",
    "intra_lpips_lite0",
    "intra_lpips_lite0_at_90",
)
STEPS = list(range(0, 1001, 100))


def scores_of(final: float, diversity: float, distance: float = 20.0) -> Any:
    """Scores that rise to ``final`` within 300 iterations and stay there."""

    def at(method: str, iteration: int, seed: int) -> dict[str, float]:
        part = min(iteration / 300, 1.0)
        return {
            "realisticness": 0.06 + part * (final - 0.06),
            "intra_lpips": 0.7 + part * (diversity - 0.7) + 0.01 * seed,
            "fd_lite0": 200 + part * (distance - 200),
        }

    return at


def never_resting(method: str, iteration: int, seed: int) -> dict[str, float]:
    return {"realisticness": 0.06 + 0.0005 * iteration, "intra_lpips": 0.45, "fd_lite0": 90.0}


def only(writer: Any) -> Table:
    [table] = tables(load(writer.folder)[0])
    return table


@pytest.fixture
def filled(writer: Any) -> Any:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=scores_of(0.92, 0.30, 30.0))
    writer.cell("bsa", snapshots=STEPS, scores=scores_of(0.90, 0.40, 20.0))
    writer.cell("cdc", snapshots=STEPS, scores=scores_of(0.91, 0.405, 25.0))
    writer.cell("dcl", snapshots=STEPS, scores=never_resting)
    writer.cell("ewc", status="FAILED", reason="generator/penalty is nan at iteration 340\nmore")
    writer.cell("minegan", status="unfinished")
    return writer


def test_rows_and_columns(filled: Any) -> None:
    table = only(filled)
    assert [row.name for row in table.rows] == [
        "tgan",
        "bsa",
        "cdc",
        "dcl",
        "source",
        "real",
        "ideal",
    ]
    assert [column.key for column in table.columns] == [
        P_T,
        DIVERSITY,
        EARLY,
        f"{EARLY}_iteration",
        f"{DIVERSITY}_empty",
        "fd_lite0",
        "converged",
        "training_seconds",
    ]
    tgan = table.rows[0].entries
    assert tgan[P_T].show(3) == "0.920 ± 0.004"
    assert tgan[DIVERSITY].value == pytest.approx(0.30)
    assert tgan[f"{EARLY}_iteration"].value == 300
    assert tgan[f"{DIVERSITY}_empty"].text == "1/10"
    assert tgan["converged"].text == "yes"
    assert tgan["training_seconds"].show(0) == "312"
    assert table.rows[4].entries[P_T].value == pytest.approx(0.06)


def test_reference_rows_over_fewer_images_say_so(filled: Any) -> None:
    file = filled.folder / "references.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["n"] = 50 if line["reference"] == "real" else line["n"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = {row.name: row.entries[P_T].note for row in only(filled).rows}
    assert rows["real"] == " (n = 50)" and not rows["source"] and not rows["ideal"]


def test_seconds_of_different_hardware_have_no_mean(filled: Any) -> None:
    filled.cell("tgan", 1, snapshots=STEPS, scores=scores_of(0.92, 0.30, 30.0))
    remark = "No training time where a method's seeds ran on different hardware."
    assert only(filled).rows[0].entries["training_seconds"].show(0) == "317"
    assert remark not in only(filled).remarks
    file = next(filled.folder.glob("tgan/seed1-*/cell.json"))
    stored = json.loads(file.read_text())
    stored["provenance"] |= {"device": "cuda", "accelerator": "NVIDIA H100 80GB"}
    file.write_text(json.dumps(stored))
    assert math.isnan(only(filled).rows[0].entries["training_seconds"].value)
    assert remark in only(filled).remarks


def test_best_and_ties(filled: Any) -> None:
    best = {
        column.key: [r.name for r in only(filled).rows if r.seeds and r.entries[column.key].best]
        for column in only(filled).columns
    }
    assert best[P_T] == ["tgan"]
    assert best[DIVERSITY] == ["bsa", "cdc"]
    assert best["fd_lite0"] == ["bsa"]
    assert best["converged"] == []


def test_what_has_not_converged_is_marked_and_no_candidate(filled: Any) -> None:
    table = only(filled)
    dcl = table.rows[3]
    assert dcl.entries["converged"].text == "no" and dcl.mark == " †"
    assert dcl.entries[DIVERSITY].value == max(
        row.entries[DIVERSITY].value for row in table.rows[:4]
    )
    assert not dcl.entries[DIVERSITY].best
    assert any(note.startswith("† not converged") for note in table.notes)


def test_what_may_not_have_adapted_at_all_is_no_candidate(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=scores_of(0.92, 0.30))
    writer.cell("bsa", snapshots=[0, 30, 60], scores=never_resting)
    table = only(writer)
    tgan, bsa, *_ = table.rows
    assert bsa.mark == " ‡" and bsa.entries[P_T].value < 0.1
    assert bsa.entries[DIVERSITY].value > tgan.entries[DIVERSITY].value
    assert tgan.entries[DIVERSITY].best and not bsa.entries[DIVERSITY].best
    assert any("only among methods without † or ‡" in note for note in table.notes)


def test_diversity_beyond_the_real_images_is_marked_and_no_candidate(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS, scores=scores_of(0.9, 0.40))
    writer.cell("dcl", snapshots=STEPS, scores=scores_of(0.9, 0.60))
    tgan, dcl, *_ = only(writer).rows
    assert dcl.entries[DIVERSITY].show(3).endswith("§") and not dcl.entries[DIVERSITY].best
    assert tgan.entries[DIVERSITY].best
    assert any("artefact" in note for note in only(writer).notes)


def test_failures_are_named(filled: Any) -> None:
    notes = only(filled).notes
    assert "Left out: EWC failed: generator/penalty is nan at iteration 340." in notes
    assert "Left out: MineGAN unfinished." in notes


def test_seeds_are_averaged(writer: Any) -> None:
    writer.task()
    for seed in range(3):
        writer.cell("tgan", seed, snapshots=STEPS, scores=scores_of(0.9, 0.30))
    [tgan, *_] = only(writer).rows
    assert tgan.seeds == 3
    entry = tgan.entries[DIVERSITY]
    assert entry.value == pytest.approx(0.31)
    assert entry.spread == pytest.approx(0.01)
    assert entry.stderr == pytest.approx(0.01 / 3**0.5)
    assert any("standard deviation over seeds" in note for note in only(writer).notes)


def test_backbones_and_versions_never_share_a_column(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=STEPS)
    writer.cell("bsa", snapshots=STEPS, backbone="vgg")
    writer.cell("cdc", snapshots=STEPS, version="2")
    found = tables(load(writer.folder)[0])
    methods = {
        table.columns[0].key: [row.name for row in table.rows if row.seeds] for table in found
    }
    assert methods == {
        "realisticness_lite0_version_1": ["tgan"],
        "realisticness_lite0_version_2": ["cdc"],
        "realisticness_vgg": ["bsa"],
    }
    assert [row.name for row in found[1].rows] == ["cdc"]


def test_markdown(filled: Any) -> None:
    text = markdown_text([only(filled)])
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("| method"))
    assert "intra-LPIPS (lite0, uncalibrated) ↑" in head and "Fréchet distance (lite0) ↓" in head
    assert "| TGAN | **0.920 ± 0.004** | 0.300 ± 0.009 |" in text
    assert "| DCL † |" in text
    assert "| *real target images (held out)* | 0.985" in text
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_csv(filled: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text([only(filled)]))))
    assert [row["name"] for row in rows[:2]] == ["tgan", "bsa"]
    assert float(rows[0][P_T]) == pytest.approx(0.92)
    assert float(rows[0][f"{P_T}_stderr"]) == pytest.approx(0.004, abs=0.001)
    assert rows[0][f"{EARLY}_iteration"] == "300.0"
    assert rows[3]["label"] == "DCL" and rows[3]["converged"] == "no"
    assert rows[4]["kind"] == "reference" and rows[4]["converged"] == ""


def test_console_with_and_without_a_terminal(filled: Any) -> None:
    plain = Console(file=io.StringIO(), force_terminal=False, width=40)
    print_tables([only(filled)], plain)
    lines = plain.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == plain_lines(only(filled))
    assert any(line.startswith("TGAN") and "0.920 ± 0.004" in line for line in lines)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=140)
    print_tables([only(filled)], terminal)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m" in shown and "0.920 ± 0.004" in shown and "† not converged" in shown


def test_a_mean_over_fewer_seeds_says_so(filled: Any) -> None:
    """One seed of two never rises, so that it has no snapshot at nine tenths of its p_t."""

    def still(method: str, iteration: int, seed: int) -> dict[str, float]:
        return {"realisticness": 0.06, "intra_lpips": 0.7}

    def unmeasured(method: str, iteration: int, seed: int) -> dict[str, float]:
        return {"realisticness": 0.9}

    filled.cell("tgan", 1, snapshots=STEPS, scores=still)
    filled.cell("bsa", 1, snapshots=STEPS, scores=unmeasured)
    tgan, bsa = (row.entries for row in only(filled).rows[:2])
    assert tgan[EARLY].note == " (seeds: 1)" and tgan[P_T].note == ""
    assert bsa[DIVERSITY].note == " (seeds: 1)" and bsa[P_T].note == ""


def test_a_mean_is_undefined_where_one_seed_is(writer: Any) -> None:
    """As in the table, so that a figure draws nothing that this does not show."""
    writer.task()
    for seed in range(3):
        writer.cell("tgan", seed, snapshots=STEPS, scores=scores_of(0.92, 0.30))
    (file,) = writer.folder.glob("tgan/seed1-*/scores.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if line["metric"] == "realisticness" and line["iteration"] == STEPS[-1]:
            line["value"] = None
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = load(writer.folder)[0]
    (variant,), (scale,) = curves.variants(results), metric_scales(results, "realisticness")
    mean = curves.mean_curve(curves.seed_curves(results, variant, scale))
    assert mean is not None and np.isfinite(mean.values).tolist() == [True] * 10 + [False]
    assert only(writer).rows[0].entries[P_T].show(2) == "-"


def test_an_attribute_that_one_method_lacks_is_no_obstacle(filled: Any) -> None:
    column = Column("hat", "hat", "hat", higher_is_better=True, scored=True)
    rows = [
        Row("a", "A", "", 2, {"hat": TableEntry(0.5, stderr=0.1)}),
        Row("b", "B", "", 2, {}),
    ]
    mark_best(rows, column)
    assert rows[0].entries["hat"].best and rows[1].entries == {}
