"""Verifying finished runs: their files, what they were made from, and a snapshot's scores."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fsgan_bench.driver.adaptation import look_at
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.registry import scored_always
from fsgan_bench.results.cell import content_hash
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.snapshots.restore import find_cells, stored_sampler, stored_task
from fsgan_bench.system import machine
from fsgan_bench.system.files import file_hash, read_lines

TOLERANCE = 1e-3
"""Largest difference of a score made again on another machine, relative to its size or to 1."""

HASHES = {
    "few-shot set": "few_shot_hash",
    "reference set": "reference_hash",
    "probe batch": "probe_hash",
    "classifier": "classifier_hash",
}


@dataclass
class Checked:
    """What a verification found: a sentence for each problem and for each thing left unchecked."""

    cells: int = 0
    rescored: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_runs(
    runs: Sequence[Path],
    *,
    suite: str | None = None,
    data: Path | None = None,
    seed: int = 0,
    plugins: Sequence[Path] = (),
) -> Checked:
    """Check every finished cell below ``runs`` and, for each task, the scores of one snapshot.

    Args:
        runs: folders of results, searched recursively.
        suite: suite file of the runs; by default the built-in suite that they name.
        data: folder that the suite's paths start from.
        seed: of the draw of the snapshot.
        plugins: plugin files with methods of the runs.

    Raises:
        UserError: a folder does not exist or holds no runs.
    """
    checked = Checked()
    for folder, cells in find_cells(runs).items():
        _verify_task(folder, cells, checked, (suite, data), seed, plugins)
    return checked


def _verify_task(
    folder: Path,
    cells: Sequence[Path],
    checked: Checked,
    suite: tuple[str | None, Path | None],
    seed: int,
    plugins: Sequence[Path],
) -> None:
    finished: list[tuple[CellFiles, dict[str, Any]]] = []
    for files in map(CellFiles, cells):
        if not files.done.exists():
            checked.notes.append(f"{files.folder} is not finished and was passed over")
            continue
        checked.cells += 1
        document = _verify_files(files, checked)
        if document is not None:
            finished.append((files, document))
    if not finished:
        return
    task = _load(folder, finished[0][1]["cell"], checked, suite)
    if task is None:
        return
    try:
        now = task.description()
    except (UserError, OSError) as error:
        checked.problems.append(f"{folder}: what it was made from cannot be read: {error}")
        return
    _verify_inputs(folder, finished, now, checked)
    choices = [
        (files, document, iteration)
        for files, document in finished
        for iteration in document["cell"]["snapshots"]
        if files.snapshot(iteration).exists()
    ]
    if not choices:
        checked.notes.append(f"{folder} has no snapshots, so no scores could be made again")
        return
    hashes = "".join(sorted(document["hash"] for _, document in finished))
    files, document, iteration = random.Random(f"{seed}/{hashes}").choice(choices)
    _rescore(task, files, document, iteration, plugins, checked)


def _verify_files(files: CellFiles, checked: Checked) -> dict[str, Any] | None:
    """Check a cell's files; return what ``cell.json`` holds, None if it is unreadable."""

    def problem(text: str) -> None:
        checked.problems.append(f"{files.folder}: {text}")

    try:
        document: dict[str, Any] = json.loads(files.cell.read_text(encoding="utf-8"))
        cell, name = document["cell"], document["hash"]
        iterations, snapshots = cell["iterations"], list(cell["snapshots"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem(f"cell.json cannot be read: {error}")
        return None
    digest = content_hash({key: value for key, value in cell.items() if key != "protocol"})
    if digest != name or not files.folder.name.endswith(digest[:8]):
        problem("cell.json has been changed: its hash is another than the folder's or its own")
    try:
        sums = files.read_manifest().get("sha256")
    except ValueError as error:
        problem(f"manifest.json is damaged: {error}")
        sums = {}
    if sums is None:
        checked.notes.append(f"{files.folder} has no manifest, so its files have no checksums")
    for file, expected in (sums or {}).items():
        path = files.folder / file
        if not path.is_file():
            problem(f"{file} is missing")
        elif file_hash(path) != expected:
            problem(f"{file} has been changed: its checksum is another")
    _verify_lines(files, iterations, snapshots, problem)
    return document


def _verify_lines(
    files: CellFiles, iterations: int, snapshots: Sequence[int], problem: Callable[[str], None]
) -> None:
    """Check that the scores and the log of a cell are complete."""
    try:
        scores = [
            (line["iteration"], line["metric"])
            for line in read_lines(files.scores)
            if scored_always(line["version"])
        ]
        logged = [line["iteration"] for line in read_lines(files.log)]
    except (ValueError, KeyError) as error:
        problem(f"scores.jsonl or train.jsonl is damaged: {error}")
        return
    metrics = {metric for _, metric in scores}
    for iteration in snapshots:
        of_it = [metric for at, metric in scores if at == iteration]
        if set(of_it) != metrics or not of_it:
            problem(f"scores.jsonl lacks scores of iteration {iteration}")
        elif len(of_it) > len(metrics):
            problem(f"scores.jsonl has scores of iteration {iteration} twice")
    if logged[-1:] != [iterations] or logged != sorted(set(logged)):
        problem(f"train.jsonl does not lead to iteration {iterations}")


def _load(
    folder: Path,
    cell: Mapping[str, Any],
    checked: Checked,
    suite: tuple[str | None, Path | None],
) -> Task | None:
    try:
        return stored_task(folder, cell, *suite)
    except UserError as error:
        checked.problems.append(f"{folder}: {error}")
        return None


def _verify_inputs(
    folder: Path,
    finished: Sequence[tuple[CellFiles, Mapping[str, Any]]],
    now: Mapping[str, Any],
    checked: Checked,
) -> None:
    """Compare the hashes in ``task.json`` and ``cell.json`` with those taken ``now``."""

    def compare(where: Path, what: str, before: Any, here: Any) -> None:
        if before != here:
            checked.problems.append(
                f"{where}: the {what} is another than it was made with: "
                f"{str(here)[:12]} now, {str(before)[:12]} then"
            )

    try:
        task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        compare(folder, "source model", task["source"]["hash"], now["source"]["hash"])
        for what, key in HASHES.items():
            compare(folder, what, task[key], now[key])
        references = list(read_lines(folder / "references.jsonl"))
        for key in HASHES.values():
            if any(line["stamp"][key] != task[key] for line in references) or not references:
                checked.problems.append(f"{folder}: references.jsonl does not belong to task.json")
                break
    except (OSError, ValueError, KeyError, TypeError) as error:
        checked.problems.append(f"{folder}: task.json or references.jsonl is damaged: {error}")
    for files, document in finished:
        cell, provenance = document["cell"], document.get("provenance") or {}
        compare(files.folder, "source model", cell["source_hash"], now["source"]["hash"])
        compare(files.folder, "few-shot set", cell["few_shot_hash"], now["few_shot_hash"])
        before = provenance.get("classifier_hash")
        compare(files.folder, "classifier", before, now["classifier_hash"])


def _rescore(
    task: Task,
    files: CellFiles,
    document: Mapping[str, Any],
    iteration: int,
    plugins: Sequence[Path],
    checked: Checked,
) -> None:
    cell, provenance = document["cell"], document.get("provenance") or {}
    where = f"{files.folder}, iteration {iteration}"
    # Features of the few-shot images that other threads have made may differ in the last bit.
    torch.set_num_threads(provenance.get("threads") or torch.get_num_threads())
    task = Task(task.request)
    try:
        method, modules, card = stored_sampler(task, cell, files.snapshot(iteration), plugins)
    except UserError as error:
        checked.problems.append(f"{where}: {error}")
        return
    if card.get("cell") != document["hash"] or card.get("iteration") != iteration:
        checked.problems.append(f"{where}: the snapshot belongs to another cell or iteration")
    here = {**machine.description(), "device": "cpu"}
    exact = all(provenance.get(key) == value for key, value in here.items() if key != "cores")
    _, scored = look_at(task, method, modules)
    again = {(score.metric, score.version): score.value for score in scored.scores}
    names = {name for name, _ in again}
    checked.rescored += 1
    for line in read_lines(files.scores):
        if line["iteration"] != iteration:
            continue
        key, value = (line["metric"], line["version"]), line["value"]
        if key[0] not in names:
            checked.notes.append(f"{where}: {key[0]} is not scored in a run and was not compared")
        elif key not in again:
            checked.notes.append(f"{where}: {key[0]} was made by another version and not compared")
        elif not _agree(value, again[key], 0.0 if exact else TOLERANCE):
            checked.problems.append(f"{where}: {key[0]} is {again[key]} made again, {value} stored")


def _agree(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance * max(1.0, abs(one))
