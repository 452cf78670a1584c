"""How far cells are, from their files alone: on any host that sees the folder."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fsgan_bench.results.folders import read_progress
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import DONE, FAILED, OUTDATED, TaskResults
from fsgan_bench.results.scales import QUALITY
from fsgan_bench.system.locks import owner_of

CellState: TypeAlias = Literal["running", "stopped", "failed", "outdated", "done"]

STATES: tuple[CellState, ...] = ("running", "failed", "stopped", "outdated", "done")
"""In the order in which somebody who looks wants to see them."""


@dataclass(frozen=True)
class Standing:
    """One cell now.

    Attributes:
        task, label, seed: which.
        state: ``stopped`` is neither finished nor failed, and no process works on it.
        owner: which process works on it, in words; empty if none does.
        iteration, iterations: trained so far as the log says, which is written now and then, and
            wanted.
        seconds_left: of training, by its own pace; NaN if unknown.
        realisticness: p_t of each snapshot.
        moved: when a file of it last changed.
        reason: why it failed or is outdated.
    """

    task: str
    label: str
    seed: int
    state: CellState
    owner: str
    iteration: int
    iterations: int
    seconds_left: float
    realisticness: tuple[float, ...]
    moved: datetime
    reason: str


def standings(every: Sequence[TaskResults]) -> list[Standing]:
    """Where all cells stand, by state and then in the order of tables."""
    found = []
    for results in every:
        trails: dict[str, list[tuple[int, float]]] = {}
        columns = (results.scores[name] for name in ("hash", "iteration", "metric", "value"))
        for digest, iteration, metric, value in zip(*columns, strict=True):
            known = value if metric == QUALITY else math.nan
            trails.setdefault(digest, []).append((int(iteration), float(known)))
        for cell in results.cells.to_dict("records"):
            found.append(_standing(results, cell, sorted(trails.get(cell["hash"], []))))
    return sorted(found, key=lambda each: STATES.index(each.state))


def _standing(
    results: TaskResults, row: Mapping[Hashable, Any], trail: Sequence[tuple[int, float]]
) -> Standing:
    """``trail`` is the cell's scored iterations in order, with p_t or, of other metrics, NaN."""
    files = CellFiles(Path(row["folder"]))
    owner = "" if row["status"] == DONE else owner_of(files.folder) or ""
    iteration, seconds = read_progress(files)
    iteration = max([iteration, *(at for at, _ in trail)])
    iterations = int(row["iterations"])
    return Standing(
        task=results.task.short_title,
        label=str(row["label"]),
        seed=int(row["seed"]),
        state=_state(str(row["status"]), owner),
        owner=owner,
        iteration=iterations if row["status"] == DONE else iteration,
        iterations=iterations,
        seconds_left=(iterations - iteration) * seconds,
        realisticness=tuple(value for _, value in trail if not math.isnan(value)),
        moved=_moved(files),
        reason=str(row["reason"]),
    )


def _state(status: str, owner: str) -> CellState:
    if owner:
        return "running"
    known: dict[str, CellState] = {DONE: "done", FAILED: "failed", OUTDATED: "outdated"}
    return known.get(status, "stopped")


def _moved(files: CellFiles) -> datetime:
    """The last change of what a cell writes; its owner's sign of life is none."""
    paths = (
        files.cell,
        files.log,
        files.scores,
        files.state,
        files.notes,
        files.done,
        files.failed,
    )
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return datetime.fromtimestamp(max(times)).astimezone()
