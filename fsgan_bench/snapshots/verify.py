"""Verifying finished runs: their files, what they were made from, and a snapshot's scores."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fsgan_bench.driver.preparation import reference_images, task_record
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.registry import scored_always
from fsgan_bench.metrics.scored import Score
from fsgan_bench.results.folders import (
    find_cells,
    read_references,
    read_scores,
    read_task,
)
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.pack import unpacked, verify_pack
from fsgan_bench.results.records import CellFields, CellRecord
from fsgan_bench.results.resampling import CAPPED
from fsgan_bench.results.score_records import ReferenceScore, SnapshotScore
from fsgan_bench.snapshots.restore import look_again, stored_task
from fsgan_bench.snapshots.verify_files import Checked, verify_files
from fsgan_bench.suites.file import get_suite
from fsgan_bench.system import machine

TOLERANCE = 1e-3
"""Largest difference of a score made again on another machine, relative to its size or to 1."""

CAPPED_TOLERANCE = 2e-2
"""The same of intra-LPIPS that takes some members of a cluster: where rounding moves one image to
another cluster, others are drawn from then on."""

HASHES = {
    "few-shot set": "few_shot_hash",
    "reference set": "reference_hash",
    "probe batch": "probe_hash",
    "classifier": "classifier_hash",
}


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell: where its files are and what ``cell.json`` says."""

    files: CellFiles
    record: CellRecord


@dataclass(frozen=True)
class Choice:
    """The snapshot of a cell whose scores are made again."""

    cell: FinishedCell
    iteration: int

    @property
    def where(self) -> str:
        return f"{self.cell.files.folder}, iteration {self.iteration}"


@dataclass(frozen=True)
class Options:
    """What the runs are verified with; see :func:`verify_runs`."""

    suites: Mapping[str, str]
    data: Path | None = None
    seed: int = 0
    plugins: Sequence[Path] = ()


def verify_runs(
    runs: Sequence[Path],
    *,
    suites: Sequence[str] = (),
    data: Path | None = None,
    seed: int = 0,
    plugins: Sequence[Path] = (),
) -> Checked:
    """Check every finished cell below ``runs``, and score each task's reference images and one
    snapshot again.

    Args:
        runs: folders of results, searched recursively, or packs of them.
        suites: suite files of the runs; for others the built-in suite that they name.
        data: folder that the suite's paths start from.
        seed: of the draw of the snapshot.
        plugins: plugin files with methods of the runs.

    Raises:
        UserError: a folder does not exist or holds no runs, or a suite cannot be had.
    """
    named = {get_suite(suite, data).name: suite for suite in suites}
    checked, options = Checked(), Options(named, data, seed, plugins)
    for run in runs:
        with unpacked(run) as place:
            here = Checked(problems=[f"{place}: {what}" for what in verify_pack(place)])
            for folder, cells in find_cells(place).items():
                _verify_task(folder, cells, here, options)
        checked.cells += here.cells
        checked.rescored += here.rescored
        checked.problems += [text.replace(str(place), str(run)) for text in here.problems]
        checked.notes += [text.replace(str(place), str(run)) for text in here.notes]
    return checked


def _verify_task(
    folder: Path,
    cells: Sequence[Path],
    checked: Checked,
    options: Options,
) -> None:
    finished: list[FinishedCell] = []
    for files in map(CellFiles, cells):
        if not files.done.exists():
            checked.notes.append(f"{files.folder} is not finished and was passed over")
            continue
        checked.cells += 1
        record = verify_files(files, checked)
        if record is not None:
            finished.append(FinishedCell(files, record))
    if not finished:
        return
    task = _load(folder, finished[0].record.cell, checked, options)
    if task is None:
        return
    try:
        now = task_record(task)
    except (UserError, OSError) as error:
        checked.problems.append(f"{folder}: what it was made from cannot be read: {error}")
        return
    _verify_inputs(folder, finished, now, checked)
    _rescore_references(folder, task, checked)
    choices = [
        Choice(cell, iteration)
        for cell in finished
        for iteration in cell.record.cell.snapshots
        if cell.files.snapshot(iteration).exists()
    ]
    if not choices:
        checked.notes.append(f"{folder} has no snapshots, so no scores could be made again")
        return
    hashes = "".join(sorted(cell.record.hash for cell in finished))
    choice = random.Random(f"{options.seed}/{hashes}").choice(choices)
    _rescore(task, choice, options.plugins, checked)


def _load(folder: Path, cell: CellFields, checked: Checked, options: Options) -> Task | None:
    try:
        return stored_task(folder, cell, options.suites.get(cell.suite), options.data)
    except UserError as error:
        checked.problems.append(f"{folder}: {error}")
        return None


def _verify_inputs(
    folder: Path,
    finished: Sequence[FinishedCell],
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

    shared = TaskFiles(folder)
    try:
        task = read_task(shared)
        compare(folder, "source model", task.source.hash, now["source"]["hash"])
        for what, key in HASHES.items():
            compare(folder, what, getattr(task, key), now[key])
        references = read_references(shared)
        for key in HASHES.values():
            stamped = all(line.stamp.get(key) == getattr(task, key) for line in references)
            if not stamped or not references:
                checked.problems.append(
                    f"{folder}: {shared.references.name} does not belong to {shared.task.name}"
                )
                break
    except UserError as error:
        checked.problems.append(
            f"{folder}: {shared.task.name} or {shared.references.name} is damaged: {error}"
        )
    for cell in finished:
        where, fields = cell.files.folder, cell.record.cell
        compare(where, "source model", fields.source_hash, now["source"]["hash"])
        compare(where, "few-shot set", fields.few_shot_hash, now["few_shot_hash"])
        before = cell.record.provenance.classifier_hash
        compare(where, "classifier", before, now["classifier_hash"])


def _rescore(task: Task, choice: Choice, plugins: Sequence[Path], checked: Checked) -> None:
    files, record, iteration = choice.cell.files, choice.cell.record, choice.iteration
    provenance, where = record.provenance.model_dump(), choice.where
    # Features of the few-shot images that other threads have made may differ in the last bit.
    torch.set_num_threads(provenance.get("threads") or torch.get_num_threads())
    task = Task(task.request)
    try:
        seen = look_again(task, record.cell, files.snapshot(iteration), plugins)
    except UserError as error:
        checked.problems.append(f"{where}: {error}")
        return
    if seen.card.get("cell") != record.hash or seen.card.get("iteration") != iteration:
        checked.problems.append(f"{where}: the snapshot belongs to another cell or iteration")
    here = {**machine.description(), "device": "cpu"}
    exact = all(provenance.get(key) == value for key, value in here.items() if key != "cores")
    scored = task.scorer.score(seen.images, seen.further, paired=seen.paired)
    checked.rescored += 1
    stored = [score for score in read_scores(files) if score.iteration == iteration]
    _compare(where, stored, scored.scores, 0.0 if exact else TOLERANCE, checked)


def _rescore_references(folder: Path, task: Task, checked: Checked) -> None:
    """Score the task's reference images again; on which machine they were scored is not stored."""
    files = TaskFiles(folder)
    try:
        stored = [line for line in read_references(files) if scored_always(line.version)]
    except UserError:
        return
    for name, (images, more) in reference_images(task).items():
        lines = [line for line in stored if line.reference == name]
        if lines:
            scored = task.scorer.score(images, more, paired=name != "real")
            _compare(f"{files.references}, {name}", lines, scored.scores, TOLERANCE, checked)


def _compare(
    where: str,
    stored: Iterable[SnapshotScore | ReferenceScore],
    scored: Iterable[Score],
    tolerance: float,
    checked: Checked,
) -> None:
    again = {(score.metric, score.version): score.value for score in scored}
    names = {name for name, _ in again}
    capped = CAPPED_TOLERANCE if tolerance else 0.0
    for line in stored:
        name, value = line.metric, line.value
        key = (name, line.version)
        if name not in names:
            checked.notes.append(f"{where}: {name} is not scored in a run and was not compared")
        elif key not in again:
            checked.notes.append(f"{where}: {name} was made by another version and not compared")
        elif not _agree(value, again[key], capped if name == CAPPED else tolerance):
            checked.problems.append(f"{where}: {name} is {again[key]} made again, {value} stored")


def _agree(stored: float, again: float | None, tolerance: float) -> bool:
    if again is None or math.isnan(stored):
        return again is None and math.isnan(stored)
    return abs(stored - again) <= tolerance * max(1.0, abs(stored))
