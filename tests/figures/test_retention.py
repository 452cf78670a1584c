"""The table of retention by attribute."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fsgan_bench.figures.drawing import table_texts
from fsgan_bench.results.reader import load
from fsgan_bench.tables.retention import tables

VERSION = "protocol 1, retention 1, lite0/1"
CEILING = {"top": 0.95, "skin": 0.9, "eyes": 0.75}


def line(kappas: dict[str, float]) -> dict[str, Any]:
    detail = {"attributes": kappas, "ceiling": CEILING}
    mean = float(np.mean(list(kappas.values())))
    return {
        **{"metric": "retention", "value": mean, "stderr": 0.01, "n": 1000, "backbone": "lite0"},
        **{"version": VERSION, "seconds": 0.1, "detail": detail},
    }


@pytest.fixture
def scored(writer: Any) -> Any:
    """Two seeds of TGAN and one of DCL, at two snapshots, and two reference lines."""
    writer.task()
    kept = {("tgan", 0): 0.2, ("tgan", 1): 0.4, ("dcl", 0): 0.7}
    for (method, seed), top in kept.items():
        folder = writer.cell(method, seed, snapshots=(0, 50, 100, 200))
        with (folder / "scores.jsonl").open("a") as file:
            for iteration, value in ((100, 0.99), (200, top)):
                scores = line({"top": value, "skin": value / 2, "eyes": 0.1})
                file.write(json.dumps({"iteration": iteration} | scores) + "\n")
    with (writer.folder / "references.jsonl").open("a") as file:
        for name, value in (("source", 1.0), ("ideal", 0.9)):
            scores = line({"top": value, "skin": value, "eyes": value})
            file.write(json.dumps({"reference": name} | scores) + "\n")
    return writer


def test_the_last_snapshot_by_attribute_and_level(scored: Any) -> None:
    [table] = tables(load(scored.folder)[0])
    assert [column.heading for column in table.columns] == [
        "top (coarse) ↑",
        "skin (middle) ↑",
        "eyes (fine) ↑",
    ]
    rows = {row.name: row.entries for row in table.rows}
    assert list(rows) == ["tgan", "dcl", "source", "ideal", "ceiling"]
    assert rows["tgan"]["top"].value == pytest.approx(0.3)
    assert rows["tgan"]["top"].spread == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert rows["dcl"]["skin"].value == pytest.approx(0.35)
    assert rows["ideal"]["eyes"].value == pytest.approx(0.9)
    assert rows["ceiling"]["eyes"].value == pytest.approx(0.75)
    assert rows["dcl"]["top"].best and not rows["tgan"]["top"].best


def test_it_is_written_beside_the_others(scored: Any) -> None:
    texts = table_texts(load(scored.folder)[0])
    assert "attributes kept, Cohen's kappa" in texts["table.md"]
    assert texts["retention.csv"].splitlines()[0].split(",")[0] != ""


def test_where_it_is_undefined_nothing_is_shown(writer: Any) -> None:
    writer.task()
    folder = writer.cell("tgan", 0, snapshots=(0, 200))
    undefined = line({"top": 0.5}) | {"value": None, "detail": {}}
    with (folder / "scores.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": 200} | undefined) + "\n")
    with (writer.folder / "references.jsonl").open("a") as file:
        file.write(json.dumps({"reference": "source"} | undefined) + "\n")
    results = load(writer.folder)[0]
    assert tables(results) == [] and "retention.csv" not in table_texts(results)


def test_each_version_has_a_table_of_its_own(scored: Any) -> None:
    for file in (*scored.folder.rglob("scores.jsonl"), scored.folder / "references.jsonl"):
        lines = [line for line in file.read_text().splitlines() if "retention 1" in line]
        again = [line.replace("retention 1", "retention 2") for line in lines]
        file.write_text(file.read_text() + "".join(f"{line}\n" for line in again))
    made = tables(load(scored.folder)[0])
    assert len({table.name for table in made}) == len({table.title for table in made}) == 2
    keys = [column.key for table in made for column in table.columns]
    assert len(set(keys)) == len(keys) == 6


def test_without_retention_there_is_no_table(writer: Any) -> None:
    writer.task()
    writer.cell("tgan")
    results = load(writer.folder)[0]
    assert tables(results) == [] and "retention.csv" not in table_texts(results)
