"""Values in print, beside ours where they are of the same set-up, and nowhere else."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from fsgan_bench.results.looks import installed_look, method_order
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.records import TaskRecord
from fsgan_bench.results.scales import metric_scales, scales_of_kind
from fsgan_bench.system.paths import ASSETS
from fsgan_bench.tables.model import Column, Row, Table, TableEntry

RESOLUTION = 256
"""Side of the images, in pixels, of every set-up in the file."""

_FILE = ASSETS / "published_results.csv"
_STORED_AS = {
    "intra_lpips": ("intra_lpips_cdc2021", "vgg"),
    "fid": ("fid_legacy", "inception_legacy"),
}
"""The field's name of a metric, and the metric and backbone under which ours is stored.

FIDs in print are pytorch-fid's (CDC's and AdAM's code name it)."""


@dataclass(frozen=True)
class Published:
    """A line of the file: a value and its ± (NaN: none) as printed, to ``decimals``.

    ``doubt`` says why the value is not to be shown; empty where nothing speaks against it.
    """

    metric: str
    source: str
    target: str
    shots: int
    method: str
    value: float
    std: float
    decimals: int
    printed_in: str
    doubt: str = ""

    @property
    def name(self) -> str:
        """What a run of the method is called."""
        return self.method.replace("+", "_")


@cache
def published() -> tuple[Published, ...]:
    """Every value in the file, which ships with the package."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(
                metric=line["metric"],
                source=line["source"],
                target=line["target"],
                shots=int(line["shots"]),
                method=line["method"],
                value=float(line["value"]),
                std=float(line["std"] or math.nan),
                decimals=len(line["value"].partition(".")[2]),
                printed_in=line["printed_in"],
                doubt=line["doubt"],
            )
            for line in csv.DictReader(file)
        )


def of_task(task: TaskRecord) -> list[Published]:
    """The values of a task's set-up: the same source, target, shots and resolution."""
    ours = (task.suite, task.target, task.shots, task.resolution)
    return [
        each
        for each in published()
        if (each.source, each.target, each.shots, RESOLUTION) == ours and not each.doubt
    ]


def beside(results: TaskResults, tables: Sequence[Table]) -> list[Table]:
    """Ours beside the values in print, for each of these tables of final scores.

    There is none without a value of the same set-up in the same metric. No value in print is a
    candidate for the best. Methods that did not run here, or ran in several configurations, have
    a row of their own for what is in print.
    """
    compared = [_beside(results, table) for table in tables]
    return [table for table in compared if table is not None]


def _beside(results: TaskResults, table: Table) -> Table | None:
    ours = {column.key: column for column in table.columns}
    values = of_task(results.task)
    columns: list[Column] = []
    printed: dict[str, dict[str, TableEntry]] = {}
    labels: dict[str, str] = {}
    for scale in [
        *metric_scales(results, results.task.diversity),
        *scales_of_kind(results, "distance"),
    ]:
        same = [e for e in values if _STORED_AS.get(e.metric) == (scale.metric, scale.backbone)]
        if not same or scale.key not in ours:
            continue
        columns.append(ours[scale.key])
        title, arrow = scale.about.title, scale.about.arrow
        places = dict.fromkeys(each.printed_in for each in same)
        for number, place in enumerate(places, start=1):
            in_print = [each for each in same if each.printed_in == place]
            columns.append(
                Column(
                    key=f"{scale.key}_in_print_{number}",
                    heading=f"{title} in print: {place} {arrow}",
                    short=f"in print {arrow}",
                    higher_is_better=scale.about.higher_is_better,
                    scored=True,
                    decimals=max(each.decimals for each in in_print),
                    printed_in=place,
                )
            )
            for each in in_print:
                entry = TableEntry(each.value, each.std, eligible=False)
                printed.setdefault(each.name, {})[columns[-1].key] = entry
                labels[each.name] = each.method.upper()
    if not columns:
        return None
    return Table(
        name=f"{table.name}-literature",
        title=f"Beside values in print: {results.task.title}",
        columns=columns,
        rows=_rows(table, printed, labels),
        legend=table.legend,
        remarks=[
            "In print: values and ± as the named table gives them. Others measured them, with code "
            "and seeds of their own; no method is ranked by them."
        ],
    )


def _rows(
    table: Table, printed: dict[str, dict[str, TableEntry]], labels: dict[str, str]
) -> list[Row]:
    methods = [row for row in table.rows if row.kind == "method"]
    names = [row.name for row in methods]
    rows = []
    for row in methods:
        entries = {key: replace(entry, best=False) for key, entry in row.entries.items()}
        if names.count(row.name) == 1:
            entries |= printed.pop(row.name, {})
        rows.append(replace(row, entries=entries))
    return rows + [
        Row(name, labels[name], "", 0, printed[name], "literature")
        for name in sorted(printed, key=lambda name: method_order(name, installed_look(name)))
    ]
