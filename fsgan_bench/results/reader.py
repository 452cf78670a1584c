"""Run directories as tidy tables.

Everything that is drawn comes from here, and from the image strips beside it; nothing is computed
from weights or images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fsgan_bench.errors import UserError, check_name, one_line, printable
from fsgan_bench.results.json_files import read_json, read_lines, read_text
from fsgan_bench.results.naming import add_variants, method_order, natural_order

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

DONE = "DONE"
FAILED = "FAILED"
UNFINISHED = "unfinished"
OUTDATED = "outdated"

MOST = 10**12
"""Larger counts are a slip, and more than a figure's axis can hold."""

_TASK = ["suite", "target", "shots"]
_CELL = ["method", "variant", "label", "seed", "hash"]
_MEASURED = ["metric", "value", "stderr", "n", "backbone", "version"]
_DIVERSITIES = {"exact": "intra_lpips", "cdc2021": "intra_lpips_cdc2021"}
_CLUSTERS = ["cluster_sizes", "empty", "with_empty_as_zero"]

CELL_COLUMNS = [
    *(*_TASK, *_CELL, "title", "origin", "status", "reason", "iterations"),
    *("training_seconds", "scoring_seconds", "folder", "config"),
]
SCORE_COLUMNS = [*_TASK, *_CELL, "title", "iteration", *_MEASURED, *_CLUSTERS]
REFERENCE_COLUMNS = [*_TASK, "reference", *_MEASURED, *_CLUSTERS]


@dataclass(frozen=True)
class Task:
    """A target and its few-shot set, under one suite: what may share a figure.

    ``resolution`` is the side of a tile of its image strips, in pixels, ``made_with`` the hashes of
    what every cell and every reference line must have in common, by what it is. ``diversity`` is
    the metric that the suite shows as intra-LPIPS, ``notes`` what a reader of the scores must know.
    """

    folder: Path
    suite: str
    target: str
    shots: int
    resolution: int
    source_title: str
    target_title: str
    attribution: str
    made_with: Mapping[str, str]
    diversity: str = "intra_lpips"
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """One line for the head of a figure or a table."""
        plural = "" if self.shots == 1 else "s"
        domains = " to ".join(part for part in (self.source_title, self.target_title) if part)
        return f"{domains} ({self.suite}, {self.shots} shot{plural})"


@dataclass(frozen=True, eq=False)
class TaskResults:
    """All that is known of one task.

    Attributes:
        task: the task.
        cells: a row a cell, in the palette's method order: ``CELL_COLUMNS``. ``status`` is DONE,
            FAILED, unfinished or, if made with another source, few-shot set or classifier than the
            task has now, outdated; ``reason`` says why. ``variant`` tells configurations of one
            method apart, ``label`` is its name in figures, ``config`` the method's settings.
        scores: a row for each snapshot and metric of each cell: ``SCORE_COLUMNS``. ``value`` and
            ``stderr`` are NaN where unknown; the last three columns are intra-LPIPS's clusters.
        references: a row for each reference (source, real, ideal) and metric:
            ``REFERENCE_COLUMNS``.
    """

    task: Task
    cells: pd.DataFrame
    scores: pd.DataFrame
    references: pd.DataFrame

    @cached_property
    def scores_by_scale(self) -> dict[tuple[Any, ...], pd.DataFrame]:
        """The scores by (variant, metric, backbone, version), in order of the iterations."""
        ordered = self.scores.sort_values("iteration")
        return dict(iter(ordered.groupby(["variant", "metric", "backbone", "version"])))


def load(paths: Paths) -> list[TaskResults]:
    """Read run roots, suite, task, method or cell folders, searched recursively; a task each.

    A task of which only the references were scored has no cells.
    Of a method or a cell folder only its own cells are read, with the references of its task. A cut
    last line of a log is passed over unless the cell is DONE; where a snapshot was scored twice,
    the last line counts. Raises UserError for a folder without runs and for a file that is
    missing or damaged, with its name and the line.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    found: dict[Path, list[Path]] = {}
    for path in paths:
        cell_folders, scored = _folders(Path(path))
        for cell in cell_folders:
            cells = found.setdefault(cell.parent.parent, [])
            if cell not in cells:
                cells.append(cell)
        for task in scored:
            found.setdefault(task, [])
    if not found:
        raise UserError("No folder with runs was given.")
    return [_load_task(folder, cells) for folder, cells in sorted(found.items())]


def load_references(task_folder: Path) -> TaskResults:
    """The references of a task without its cells; raises as :func:`load` does."""
    return _load_task(task_folder, [])


def _folders(path: Path) -> tuple[list[Path], list[Path]]:
    """Folders of cells below ``path``, and of tasks whose references are scored."""
    if not path.exists():
        raise UserError(f"The folder {path} does not exist.")
    if not path.is_dir():
        raise UserError(f"{path} is a file; a folder with runs is needed.")
    names = ("cell.json", "references.jsonl")
    cells, tasks = (sorted(f.parent for f in path.resolve().rglob(name)) for name in names)
    if not cells and not tasks:
        raise UserError(
            f"There are no runs in {path}: no folder in it holds a cell.json, which every run has."
        )
    return cells, tasks


def _load_task(folder: Path, cell_folders: Sequence[Path]) -> TaskResults:
    task = _read_task(folder)
    where: dict[str, Any] = {"suite": task.suite, "target": task.target, "shots": task.shots}
    rows: list[dict[str, Any]] = [where | _read_cell(cell, task) for cell in cell_folders]
    add_variants(rows)
    rows.sort(
        key=lambda row: (method_order(row["method"]), natural_order(row["label"]), row["seed"])
    )
    scores = [
        {name: row[name] for name in (*_TASK, *_CELL, "title")} | score
        for row in rows
        for score in _read_scores(Path(row["folder"]) / "scores.jsonl", row["status"])
    ]
    file = folder / "references.jsonl"
    references = (
        [where | _measured(line, file, number, "reference") for number, line in read_lines(file)]
        if file.exists()
        else []
    )
    return TaskResults(
        task=task,
        cells=_frame(rows, CELL_COLUMNS, []),
        scores=_frame(scores, SCORE_COLUMNS, ["variant", "seed", "iteration"]),
        references=_frame(references, REFERENCE_COLUMNS, ["reference"]),
    )


def _frame(rows: list[dict[str, Any]], columns: list[str], identity: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(rows, columns=pd.Index(columns))
    if identity:
        frame = frame.drop_duplicates([*identity, "metric", "backbone", "version"], keep="last")
        numbers = ["value", "stderr", "n", "with_empty_as_zero"]
        frame = frame.astype(dict.fromkeys(numbers, "float64")).reset_index(drop=True)
    return frame


def _read_task(folder: Path) -> Task:
    file = folder / "task.json"
    task = read_json(file)
    try:
        return Task(
            folder=folder,
            suite=check_name("suite", task["suite"]),
            target=check_name("target", task["target"]),
            shots=_count(task["shots"], 1),
            resolution=_count(task["resolution"], 1, 2**16),
            source_title=one_line(task.get("source_title") or ""),
            target_title=one_line(task.get("target_title") or task["target"]),
            attribution=one_line(task.get("attribution") or ""),
            made_with={
                "source": str((task.get("source") or {}).get("hash") or ""),
                "few-shot set": str(task.get("few_shot_hash") or ""),
                "classifier": str(task.get("classifier_hash") or ""),
            },
            diversity=_DIVERSITIES[task.get("lpips_protocol") or "exact"],
            notes=tuple(map(one_line, task.get("notes") or ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError) as error:
        raise UserError(f"{file} is not a task's description: {_cause(error)}.") from None


def _read_cell(folder: Path, task: Task) -> dict[str, Any]:
    file = folder / "cell.json"
    document = read_json(file)
    timing = read_json(folder / "timing.json") if (folder / "timing.json").exists() else {}
    try:
        cell = document["cell"]
        status, reason = _status(folder, document, task)
        return {
            "method": check_name("method", cell["method"]),
            "title": one_line(cell.get("title") or cell["method"]),
            "origin": one_line(cell.get("method_origin") or ""),
            "seed": _count(cell["seed"], 0),
            "hash": str(document["hash"]),
            "iterations": _count(cell["iterations"], 0),
            "status": status,
            "reason": reason,
            "training_seconds": _number(timing.get("training_seconds")),
            "scoring_seconds": _number(timing.get("scoring_seconds")),
            "folder": str(folder),
            "config": dict(cell.get("config") or {}),
            "cell": cell,
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError) as error:
        raise UserError(f"{file} is not a run's description: {_cause(error)}.") from None


def _status(folder: Path, document: Mapping[str, Any], task: Task) -> tuple[str, str]:
    """The status and, if there is more to say, the reason."""
    if (folder / FAILED).exists() and not (folder / DONE).exists():
        reason, *_ = [*read_text(folder / FAILED).strip().splitlines(), ""]
        return FAILED, printable(reason)
    if not (folder / DONE).exists():
        return UNFINISHED, ""
    own = {
        "source": document["cell"].get("source_hash"),
        "few-shot set": document["cell"].get("few_shot_hash"),
        "classifier": (document.get("provenance") or {}).get("classifier_hash"),
    }
    other = [what for what, now in task.made_with.items() if now and own[what] not in (None, now)]
    return (OUTDATED, f"made with another {' and '.join(other)}") if other else (DONE, "")


def _read_scores(file: Path, status: str) -> Iterator[dict[str, Any]]:
    if file.exists():
        for number, line in read_lines(file, whole=status in (DONE, OUTDATED)):
            yield _measured(line, file, number, "iteration")


def _measured(line: Mapping[str, Any], file: Path, number: int, key: str) -> dict[str, Any]:
    try:
        detail = line.get("detail") or {}
        sizes = detail.get("cluster_sizes")
        return {
            key: _count(line[key], 0) if key == "iteration" else str(line[key]),
            "metric": one_line(line["metric"]),
            "value": _number(line["value"]),
            "stderr": _number(line.get("stderr")),
            "n": _number(line.get("n")),
            "backbone": one_line(line.get("backbone") or ""),
            "version": one_line(line["version"]),
            "cluster_sizes": None if sizes is None else tuple(int(size) for size in sizes),
            "empty": detail.get("empty"),
            "with_empty_as_zero": _number(detail.get("with_empty_as_zero")),
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{file}, line {number}, is not a score: {_cause(error)}.") from None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _count(value: Any, least: int, most: int = MOST) -> int:
    count = int(value)
    if not least <= count <= most:
        raise ValueError(f"{count} is not a number from {least} to {most:,}")
    return count


def _cause(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
