"""Verifying the files of a finished cell: none is changed or missing, no line is lacking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.registry import scored_always
from fsgan_bench.results.cell import cell_hash
from fsgan_bench.results.folders import read_cell, read_scores
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.records import CellFields, CellRecord
from fsgan_bench.system.files import file_hash
from fsgan_bench.system.json_files import read_lines


@dataclass
class Checked:
    """What a verification found: a sentence for each problem and for each thing left unchecked."""

    cells: int = 0
    rescored: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_files(files: CellFiles, checked: Checked) -> CellRecord | None:
    """Check a cell's files; return what ``cell.json`` holds, None if it is unreadable."""

    def problem(text: str) -> None:
        checked.problems.append(f"{files.folder}: {text}")

    try:
        record = read_cell(files)
    except UserError as error:
        problem(f"{files.cell.name} cannot be read: {error}")
        return None
    fields = {key: value for key, value in record.cell.stored.items() if key != "protocol"}
    digest = cell_hash(fields)
    if digest != record.hash or not files.folder.name.endswith(digest[:8]):
        problem(
            f"{files.cell.name} has been changed: its hash is another than the folder's or its own"
        )
    sums: Mapping[str, str] = {}
    gone: set[str] = set()
    try:
        manifest = files.read_manifest()
        if manifest is None:
            checked.notes.append(f"{files.folder} has no manifest, so its files have no checksums")
        else:
            kept = {n: s for n, s in manifest.left_out.items() if (files.folder / n).is_file()}
            sums, gone = {**manifest.sha256, **kept}, manifest.left_out.keys() - kept
            if gone:
                checked.notes.append(
                    f"{files.folder}: {len(gone)} file(s) were left out, of which the manifest has "
                    "the checksums"
                )
    except UserError as error:
        problem(f"{files.manifest.name} is damaged: {error}")
    for file, expected in sums.items():
        path = files.folder / file
        if not path.is_file():
            problem(f"{file} is missing")
        elif file_hash(path) != expected:
            problem(f"{file} has been changed: its checksum is another")
    _verify_scores(files, record.cell, problem)
    if record.cell.imported is None and files.log.name not in gone:
        _verify_log(files, record.cell, problem)
    return record


def _verify_scores(files: CellFiles, cell: CellFields, problem: Callable[[str], None]) -> None:
    """Check that every snapshot has each of a cell's scores once."""
    try:
        scores = [
            (score.iteration, score.metric)
            for score in read_scores(files)
            if scored_always(score.version)
        ]
    except UserError as error:
        problem(f"{files.scores.name} is damaged: {error}")
        return
    metrics = {metric for _, metric in scores}
    for iteration in cell.snapshots:
        present = [metric for at, metric in scores if at == iteration]
        if set(present) != metrics or not present:
            problem(f"{files.scores.name} lacks scores of iteration {iteration}")
        elif len(present) > len(metrics):
            problem(f"{files.scores.name} has scores of iteration {iteration} twice")


def _verify_log(files: CellFiles, cell: CellFields, problem: Callable[[str], None]) -> None:
    """Check that the losses lead to a cell's last iteration."""
    try:
        logged = [int(line["iteration"]) for line in read_lines(files.log)]
    except (UserError, KeyError, TypeError, ValueError) as error:
        problem(f"{files.log.name} is damaged: {error}")
        return
    if logged[-1:] != [cell.iterations] or logged != sorted(set(logged)):
        problem(f"{files.log.name} does not lead to iteration {cell.iterations}")
