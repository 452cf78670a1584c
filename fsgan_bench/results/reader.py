"""Run folders as tidy tables: what figures, tables, verdict, report and export start from.

:func:`load` reads folders into a :class:`TaskResults` for each task; :func:`load_results` gives
all scores below them as one long table, a row a number (``LONG_COLUMNS``). Everything comes from
the records of the run's files; nothing is computed from weights or images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fsgan_bench.metrics.description import MetricDescription
from fsgan_bench.results.descriptions import describe
from fsgan_bench.results.folders import (
    DONE,
    FAILED,
    OUTDATED,
    UNFINISHED,
    Paths,
    cell_status,
    find_cells,
    read_cell,
    read_references,
    read_scores,
    read_task,
    read_timing,
)
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.looks import cell_look, method_order
from fsgan_bench.results.naming import add_variants, natural_order
from fsgan_bench.results.records import TaskRecord
from fsgan_bench.results.score_records import ScoreRecord
from fsgan_bench.training.look import Look

__all__ = [
    "CELL_COLUMNS",
    "DONE",
    "FAILED",
    "LONG_COLUMNS",
    "OUTDATED",
    "UNFINISHED",
    "Paths",
    "TaskResults",
    "load",
    "load_references",
    "load_results",
    "long_table",
]

MetricKey: TypeAlias = tuple[str, str, str]
"""Metric, backbone and version."""

_TASK = ("suite", "target", "shots")
_METHOD = ("method", "variant", "label", "seed")
_MEASURED = ("metric", "backbone", "version", "value", "stderr", "n")
_DESCRIBED = ("title", "direction", "unit")
_STORED = ("cluster_sizes", "with_empty_as_zero", "detail")

CELL_COLUMNS = (
    *(*_TASK, *_METHOD, "title", "origin", "status", "reason", "iterations"),
    *("training_seconds", "scoring_seconds", "hardware", "hash", "folder"),
    *("config", "besides", "imported"),
)

LONG_COLUMNS = (
    *("kind", *_TASK, *_METHOD, "iteration", *_MEASURED, *_DESCRIBED),
    *("status", "origin", "hash"),
)
"""Of the long table.

* ``kind``: ``method``, or ``reference`` for the source, real images and the ideal.
* ``suite``, ``target``, ``shots``: the task.
* ``method``, ``variant``, ``label``: the method's name, its configuration, and what figures call
  it; of a reference its name, nothing, and its name.
* ``seed``, ``iteration``: which snapshot; missing for references.
* ``metric``, ``backbone``, ``version``: what was measured, through which network, by which version
  of both.
* ``value``, ``stderr``, ``n``: the score, its standard error (NaN: unknown), and of how many
  images.
* ``title``, ``direction``, ``unit``: what the metric is called, ``higher`` or ``lower`` if one is
  better, and the unit, empty for pure numbers.
* ``status``: of the cell: DONE, FAILED, unfinished or outdated; empty for references.
* ``origin``: what brings a third-party method; empty for ours.
* ``hash``: content hash of the cell.
"""


@dataclass(frozen=True, eq=False)
class TaskResults:
    """All that is known of one task.

    Attributes:
        folder: where it is.
        task: what it is.
        cells: a row a cell, in the methods' order: ``CELL_COLUMNS``. ``status`` is DONE, FAILED,
            unfinished or, if made with another source, few-shot set or classifier than the task has
            now, outdated; ``reason`` says why. ``variant`` tells configurations of one method
            apart, ``label`` is its name in figures, ``config`` the method's settings, ``besides``
            a hash of everything else but the seed, ``imported`` what it was made from if it was not
            trained here, else None.
        scores: the long table of its cells, and besides ``cluster_sizes`` and
            ``with_empty_as_zero``, intra-LPIPS's clusters, and ``detail``, what the metric stores.
        references: the same of its references (source, real, ideal).
        metrics: how the values of each metric are shown, by metric, backbone and version.
        looks: what the methods of its cells say of how they are drawn.
    """

    folder: Path
    task: TaskRecord
    cells: pd.DataFrame
    scores: pd.DataFrame
    references: pd.DataFrame
    metrics: Mapping[MetricKey, MetricDescription]
    looks: Mapping[str, Look | None]

    @property
    def files(self) -> TaskFiles:
        """Where its files are."""
        return TaskFiles(self.folder)

    @cached_property
    def scores_by_scale(self) -> dict[tuple[Any, ...], pd.DataFrame]:
        """The scores by (variant, metric, backbone, version), in order of the iterations."""
        ordered = self.scores.sort_values("iteration")
        return dict(iter(ordered.groupby(["variant", "metric", "backbone", "version"])))


def load_results(paths: Paths) -> pd.DataFrame:
    """All scores below ``paths`` as one long table, ``LONG_COLUMNS``; see :func:`load`."""
    return long_table(load(paths))


def long_table(tasks: Iterable[TaskResults]) -> pd.DataFrame:
    """The scores of these tasks, methods before references, ``LONG_COLUMNS``."""
    parts = [part for task in tasks for part in (task.scores, task.references) if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else _frame([])
    columns: pd.DataFrame = table[list(LONG_COLUMNS)]
    return columns


def load(paths: Paths) -> list[TaskResults]:
    """Read run roots, suite, task, method or cell folders, searched recursively; a task each.

    A task of which only the references were scored has no cells.
    Of a method or a cell folder only its own cells are read, with the references of its task. A cut
    last line of a log is passed over unless the cell is DONE; where a snapshot was scored twice,
    the last line counts.

    Raises:
        UserError: a folder without runs, or a file that is missing or damaged, with its name and
            the line.
    """
    return [_load(folder, cells) for folder, cells in find_cells(paths, references=True).items()]


def load_references(task_folder: Path) -> TaskResults:
    """The references of a task without its cells; raises as :func:`load` does."""
    return _load(task_folder, [])


def _load(folder: Path, cell_folders: Sequence[Path]) -> TaskResults:
    files = TaskFiles(folder)
    task = read_task(files)
    where = {name: getattr(task, name) for name in _TASK}
    rows: list[dict[str, Any]] = [where | _cell_row(CellFiles(cell), task) for cell in cell_folders]
    add_variants(rows)
    rows.sort(
        key=lambda row: (
            method_order(row["method"], row["look"]),
            natural_order(row["label"]),
            row["seed"],
        )
    )
    metrics: dict[MetricKey, MetricDescription] = {}
    shared = ("suite", "target", "shots", *_METHOD, "status", "origin", "hash")
    scores = [
        {"kind": "method", "iteration": score.iteration}
        | {name: row[name] for name in shared}
        | _measured(score, metrics)
        for row in rows
        for score in read_scores(
            CellFiles(Path(row["folder"])), whole=row["status"] in (DONE, OUTDATED)
        )
    ]
    references = [
        {"kind": "reference", "method": score.reference, "label": score.reference}
        | {"variant": "", "status": "", "origin": "", "hash": ""}
        | where
        | _measured(score, metrics)
        for score in read_references(files)
    ]
    return TaskResults(
        folder=folder,
        task=task,
        cells=pd.DataFrame(rows, columns=pd.Index(CELL_COLUMNS)),
        scores=_frame(scores),
        references=_frame(references),
        metrics=metrics,
        looks={row["method"]: row["look"] for row in rows},
    )


def _cell_row(files: CellFiles, task: TaskRecord) -> dict[str, Any]:
    record = read_cell(files)
    timing = read_timing(files)
    state, reason = cell_status(files, record, task)
    return {
        "method": record.cell.method,
        "title": record.title,
        "origin": record.cell.method_origin,
        "seed": record.cell.seed,
        "hash": record.hash,
        "iterations": record.cell.iterations,
        "status": state,
        "reason": reason,
        "training_seconds": timing.training_seconds,
        "scoring_seconds": timing.scoring_seconds,
        "hardware": record.provenance.hardware,
        "folder": str(files.folder),
        "config": dict(record.cell.config),
        "imported": record.cell.imported,
        "cell": record.cell.stored,
        "look": cell_look(record),
    }


def _measured(score: ScoreRecord, metrics: dict[MetricKey, MetricDescription]) -> dict[str, Any]:
    """The columns of a score; its metric's description goes into ``metrics``."""
    key = (score.metric, score.backbone, score.version)
    if key not in metrics:
        metrics[key] = describe(score)
    about = metrics[key]
    return {
        **{name: getattr(score, name) for name in (*_MEASURED, *_STORED)},
        "title": about.title,
        "direction": about.direction,
        "unit": about.unit,
    }


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(rows, columns=pd.Index([*LONG_COLUMNS, *_STORED]))
    identity = ["method", "variant", "seed", "iteration", "metric", "backbone", "version"]
    frame = frame.drop_duplicates(identity, keep="last")
    types: dict[str, Any] = dict.fromkeys(
        ("value", "stderr", "n", "with_empty_as_zero"), "float64"
    ) | dict.fromkeys(("shots", "seed", "iteration"), "Int64")
    typed: pd.DataFrame = frame.astype(types).reset_index(drop=True)
    return typed
