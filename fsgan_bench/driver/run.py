"""Runs a plan: skips what is done, hands the rest to the engine, collects failures."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fsgan_bench.driver import pace
from fsgan_bench.driver.events import Done, Event, Failed
from fsgan_bench.driver.listener import Listener
from fsgan_bench.driver.placing import Signalled, run_jobs
from fsgan_bench.driver.plan import Plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.commands import record_command
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.naming import add_variants
from fsgan_bench.system.locks import LOCK, Taken, owned, owner_of
from fsgan_bench.system.names import shots_in_words


def start_over(plan: Plan) -> None:
    """Delete what is stored of the plan's cells, and nothing else (``--fresh``).

    Raises:
        UserError: another run works on one of them; nothing has been deleted then.
    """
    folders = [cell.folder(task.folder) for task, cell in plan.cells]
    folders = [folder for folder in folders if folder.exists()]
    for folder in folders:
        if owner := owner_of(folder):
            raise UserError(f"--fresh: {folder} is in use by {owner}; stop that run first.")
    for folder in folders:
        _empty(folder)


def _empty(folder: Path) -> None:
    """Delete all that is in a cell's folder, but for the lock that others may wait at."""
    try:
        with owned(folder):
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
    except Taken as taken:
        raise UserError(f"--fresh: {folder} is in use by {taken}; stop that run first.") from None


def run_plan(
    plan: Plan,
    listener: Listener,
    command: str,
    preparing: Callable[[Task], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> dict[str, str]:
    """Prepare the tasks and carry out what is not done yet.

    Args:
        listener: follows the cells, if there are any to run.
        command: what asked for it, to be recorded in the root.
        preparing: surrounds the preparation of a task in this process.

    Returns:
        Reason by label of the cells that failed.

    Raises:
        Signalled: the user interrupted; the same request continues.
    """
    for task in plan.to_prepare if plan.executor.here else ():
        with preparing(task), owned(task.folder, patience=-1):
            prepare(task)
    jobs, preparations = plan.jobs, plan.preparations
    if not jobs and not preparations:
        return {}
    record_command(plan.request.out, command, [job.cell.hash for job in jobs])
    labels = _labels(plan.cells)
    labels |= {str(each.folder): f"preparing {each.request.target}" for each in preparations}
    for task, cell in plan.cells:
        if cell.hash in plan.cached:
            CellFiles(cell.folder(task.folder)).drop_states()
    cells = {job.cell.hash: job.cell for job in jobs}
    failures: dict[str, str] = {}

    def on_event(event: Event) -> None:
        if isinstance(event, Failed):
            failures[labels[event.cell]] = event.reason
        elif isinstance(event, Done) and event.cell in cells:
            cell = cells[event.cell]
            key = pace.pace_key(cell, cell.method, plan.request.device, plan.threads)
            pace.record(cell, key, event.training, event.scoring)
        listener.show(labels[event.cell], event)

    with listener:
        totals = {labels[str(each.folder)]: 1 for each in preparations}
        listener.begin(totals | {labels[job.cell.hash]: job.cell.iterations for job in jobs})
        try:
            run_jobs(plan.executor, jobs, on_event, preparations, plan.terms)
        except Signalled as signalled:
            signalled.failures = failures
            raise
    return failures


def configured_titles(cells: Sequence[tuple[Task, Cell]]) -> dict[str, str]:
    """Each cell's title by its hash, with the settings that tell it from others of its method."""
    by_task: dict[Path, list[Cell]] = {}
    for task, cell in cells:
        by_task.setdefault(task.folder, []).append(cell)
    titles: dict[str, str] = {}
    for beside in by_task.values():
        rows: list[dict[str, Any]] = [
            {"method": c.method, "title": c.title, "cell": c.to_json()} for c in beside
        ]
        add_variants(rows)
        titles |= {cell.hash: row["label"] for cell, row in zip(beside, rows, strict=True)}
    return titles


def _labels(cells: Sequence[tuple[Task, Cell]]) -> dict[str, str]:
    """A short name for each cell: what distinguishes it in this plan."""

    def several(values: Iterable[Any]) -> bool:
        return len(set(values)) > 1

    targets = several(cell.target for _, cell in cells)
    shots = several(cell.shots for _, cell in cells)
    seeds = several(cell.seed for _, cell in cells)
    titles = configured_titles(cells)
    labels = {
        cell.hash: titles[cell.hash]
        + (f" {cell.target}" if targets else "")
        + (f" {shots_in_words(cell.shots)}" if shots else "")
        + (f" seed {cell.seed}" if seeds else "")
        for _, cell in cells
    }
    counts = Counter(labels.values())
    return {
        digest: label if counts[label] == 1 else f"{label} ({digest[:8]})"
        for digest, label in labels.items()
    }
