"""Finding run folders and reading their files into records."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from fsgan_bench.errors import UserError, printable
from fsgan_bench.results.layout import CELL, KEPT, REFERENCES, CellFiles, TaskFiles
from fsgan_bench.results.records import CellRecord, TaskRecord, TimingRecord
from fsgan_bench.results.score_records import ClassifierScore, ReferenceScore, SnapshotScore
from fsgan_bench.system.json_files import numbered_lines, read_json, read_text

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

_log = logging.getLogger(__name__)

DONE = "DONE"
FAILED = "FAILED"
UNFINISHED = "unfinished"
OUTDATED = "outdated"


def find_cells(paths: Paths, references: bool = False) -> dict[Path, list[Path]]:
    """The folders of all cells at or below ``paths``, by that of their task, sorted.

    With ``references`` also tasks of which only the references were scored, without cells. What
    lies in a folder of kept results further down is passed over, with a warning to the log.

    Raises:
        UserError: a folder does not exist, is none, or holds no runs.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    tasks: dict[Path, dict[Path, None]] = {}
    for path in map(Path, paths):
        cells, scored, kept = _search(path)
        why = f"those in {', '.join(kept)} are kept for reference and count if that is named"
        if not cells and not (references and scored):
            lacking = why if kept else f"no folder in it holds a {CELL}, which every run has"
            raise UserError(f"There are no runs in {path}: {lacking}.")
        if kept:
            _log.warning("Runs passed over: %s.", why)
        for cell in cells:
            tasks.setdefault(cell.parent.parent, {})[cell] = None
        for task in scored if references else ():
            tasks.setdefault(task, {})
    if not tasks:
        raise UserError("No folder with runs was given.")
    return {task: list(cells) for task, cells in sorted(tasks.items())}


def _search(path: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Folders of cells, and of tasks whose references are scored, at or below ``path``, sorted.

    Then the folders of kept results below it, which are not searched.

    Of a cell nothing but its description is looked for: a root may hold 100,000 of them, with
    millions of files.
    """
    if not path.exists():
        raise UserError(f"The folder {path} does not exist.")
    if not path.is_dir():
        raise UserError(f"{path} is a file; a folder with runs is needed.")
    cells: list[str] = []
    tasks: list[str] = []
    kept: list[str] = []
    top = str(path.resolve())
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if os.path.exists(f"{folder}/{CELL}"):  # noqa: PTH110
            cells.append(folder)
            continue
        with os.scandir(folder) as opened:
            entries = list(opened)
        if folder != top and any(entry.name == KEPT for entry in entries):
            kept.append(str(path / os.path.relpath(folder, top)))
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.name == REFERENCES:
                tasks.append(folder)
    return _sorted(cells), _sorted(tasks), sorted(kept)


def _sorted(folders: list[str]) -> list[Path]:
    return [Path(folder) for folder in sorted(folders, key=lambda each: each.split("/"))]


def read_task(files: TaskFiles) -> TaskRecord:
    """The task in a folder; UserError as for all readers here, if a file is missing or damaged."""
    return TaskRecord.parse(read_json(files.task), str(files.task))


def read_cell(files: CellFiles) -> CellRecord:
    """The cell in a folder."""
    return CellRecord.parse(read_json(files.cell), str(files.cell))


def read_timing(files: CellFiles) -> TimingRecord:
    """What a cell took; unknown for one that is not finished."""
    if not files.timing.exists():
        return TimingRecord()
    return TimingRecord.parse(read_json(files.timing), str(files.timing))


def read_progress(files: CellFiles) -> tuple[int, float]:
    """The last iteration in a cell's log and seconds an iteration; 0 and NaN if there is none."""
    if not files.log.exists():
        return 0, math.nan
    *_, last = [None, *files.log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]]
    try:
        line = json.loads(last or "")
        iteration, seconds = int(line["iteration"]), float(line["seconds"])
    except (ValueError, KeyError, TypeError):
        return 0, math.nan
    return iteration, seconds / iteration if iteration else math.nan


def read_scores(files: CellFiles, whole: bool = False) -> Iterator[SnapshotScore]:
    """The scores of a cell's snapshots in the order of the file; none without one.

    Unless ``whole``, a cut last line is passed over.
    """
    if files.scores.exists():
        for number, line in numbered_lines(files.scores, whole):
            yield SnapshotScore.parse(line, f"{files.scores}, line {number},")


def read_references(files: TaskFiles) -> list[ReferenceScore]:
    """The scores of a task's references; [] without a file."""
    if not files.references.exists():
        return []
    return [
        ReferenceScore.parse(line, f"{files.references}, line {number},")
        for number, line in numbered_lines(files.references)
    ]


def read_ablation_scores(files: TaskFiles) -> list[ClassifierScore]:
    """What other classifiers make of a task's stored snapshots and references."""
    return [
        ClassifierScore.parse(line, f"{files.ablation_scores}, line {number},")
        for number, line in numbered_lines(files.ablation_scores)
    ]


def cell_status(files: CellFiles, cell: CellRecord, task: TaskRecord) -> tuple[str, str]:
    """DONE, FAILED, unfinished or outdated, and the reason if there is more to say.

    Outdated is a cell that was made with another source, few-shot set or classifier than the task
    has now.
    """
    if not files.done.exists():
        if not files.failed.exists():
            return UNFINISHED, ""
        reason, *_ = [*read_text(files.failed).strip().splitlines(), ""]
        return FAILED, printable(reason)
    made_with = cell.made_with
    other = [
        what for what, now in task.made_with.items() if now and made_with[what] not in (None, now)
    ]
    return (OUTDATED, f"made with another {' and '.join(other)}") if other else (DONE, "")
