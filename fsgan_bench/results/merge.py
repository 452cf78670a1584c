"""Results of several machines or groups become one root; weights stay where they are."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.results.commands import RUNS, commands_of
from fsgan_bench.results.folders import find_cells, read_cell, read_task
from fsgan_bench.results.layout import CellFiles, TaskFiles, task_folder
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.results.records import ManifestRecord, TaskRecord
from fsgan_bench.system.files import write_json, write_lines
from fsgan_bench.system.json_files import read_lines

Say = Callable[[str], None]
JsonLine = dict[str, Any]

_TIMES = ("seconds", "shared_seconds")
_SCORE = ("iteration", "reference", "metric", "backbone", "version")
ABLATION_KEY = ("judge", "cell", "iteration", "reference")
"""What tells lines of the classifier ablation from each other."""


def merge_runs(runs: Sequence[Path], out: Path, say: Say = lambda _: None) -> list[str]:
    """Put the finished cells of several roots into the new root ``out``.

    What a seed decides, weights, images, per-image values, scores and losses, must be the same to
    the byte in cells of one hash; how long things took may differ. Of those that are not the same
    the first stays. Snapshots are not copied: a cell's folder of them is a link to where they are.

    Args:
        runs: results roots, or any folders with runs in them; earlier ones come first.
        out: the new root; it appears whole or not at all.
        say: receives a sentence for whatever is passed over.

    Returns:
        A sentence for each disagreement.

    Raises:
        UserError: ``out`` is there already, or runs cannot be read.
    """
    if os.path.lexists(out):
        raise UserError(f"--out {out} exists already; merged results go into a new folder.")
    check_folder("--out", out.parent)
    found = [(folder, cells) for run in runs for folder, cells in find_cells(run, True).items()]
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        merged = _Merged(temporary, say)
        for folder, cells in found:
            merged.add(TaskFiles(folder), [CellFiles(cell) for cell in cells])
        roots = [folder.parent.parent for folder, _ in found]
        hashes = {read_cell(files).hash for files in merged.cells.values()}
        if lines := commands_of(roots, hashes):
            write_lines(temporary / RUNS, lines)
        temporary.chmod(0o755)
        temporary.replace(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return merged.conflicts


class _Merged:
    """A root that is being put together, and what has not fitted so far."""

    def __init__(self, root: Path, say: Say) -> None:
        self.root, self.say = root, say
        self.conflicts: list[str] = []
        self.tasks: dict[Path, tuple[TaskFiles, TaskRecord]] = {}
        self.cells: dict[Path, CellFiles] = {}

    def add(self, theirs: TaskFiles, cells: Sequence[CellFiles]) -> None:
        """Add a task and its finished cells."""
        task = read_task(theirs)
        place = task_folder(self.root, task.suite, task.target, task.shots)
        first = self.tasks.setdefault(place, (theirs, task))
        if not place.exists():
            _copy_task(theirs, place)
        elif other := _differing(first[1], task):
            self.conflicts.append(
                f"{theirs.folder} is left out: it was made with another {' and '.join(other)} than "
                f"{first[0].folder}."
            )
            return
        elif first[0] != theirs:
            self._add_lines(TaskFiles(place).references, theirs.references, first[0].references)
            self._add_ablation(TaskFiles(place), theirs, first[0])
        for files in cells:
            if files.done.exists():
                self._add_cell(files, place)
            else:
                self.say(f"{files.folder} is not finished and was passed over.")

    def _add_cell(self, theirs: CellFiles, task: Path) -> None:
        record = read_cell(theirs)
        place = task / theirs.folder.parent.name / theirs.folder.name
        before = self.cells.get(place)
        if record.cell.imported is not None and (other := self._of_seed(place)):
            self.conflicts.append(
                f"{theirs.folder} is left out: {other.folder} has its title and seed too, and "
                "figures would take them for one."
            )
            return
        if before is None:
            self.cells[place] = theirs
            _copy_cell(theirs, place)
            return
        if read_cell(before).hash != record.hash:
            self.conflicts.append(f"{theirs.folder} is left out: its hash is not its folder's.")
            return
        if differing := list(_disagreements(before, theirs)):
            self.conflicts.append(
                f"{theirs.folder} is left out: it differs from {before.folder} in "
                f"{', '.join(differing)}, though their hashes are equal."
            )
            return
        ours, further = _identified(before.scores, _SCORE), _identified(theirs.scores, _SCORE)
        if further.keys() > ours.keys():
            self.cells[place] = theirs
            shutil.rmtree(place)
            _copy_cell(theirs, place)
        elif not further.keys() <= ours.keys():
            self.say(
                f"{theirs.folder} has further scores than {before.folder}, and the other way "
                "round; those of the second are left out, and fsgan-bench score makes them again."
            )

    def _of_seed(self, place: Path) -> CellFiles | None:
        """A cell beside ``place`` with the same seed."""
        seed = place.name.partition("-")[0]
        for other, files in self.cells.items():
            same = other.parent == place.parent and other.name.partition("-")[0] == seed
            if same and other != place:
                return files
        return None

    def _add_lines(self, place: Path, theirs: Path, first: Path) -> None:
        """Add reference lines of further metrics; say how many differ, and which most."""
        known, new = _identified(place, _SCORE), _identified(theirs, _SCORE)
        pairs = {key: (known[key]["value"], new[key]["value"]) for key in known if key in new}
        if differing := {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}:
            most = max(differing, key=lambda key: _share(*differing[key]))
            _, reference, metric, *_ = most
            ours, other = differing[most]
            self.conflicts.append(
                f"{theirs}: {len(differing)} of {len(pairs)} reference lines differ from those in "
                f"{first}, which stay; most of all {metric} of {reference}, {ours} there and "
                f"{other} here."
            )
        if added := [line for key, line in new.items() if key not in known]:
            write_lines(place, [*known.values(), *added])

    def _add_ablation(self, place: TaskFiles, theirs: TaskFiles, first: TaskFiles) -> None:
        """Add what the same classifiers make of further snapshots."""
        if not theirs.ablation_scores.exists():
            return
        if not place.ablation_scores.exists():
            shutil.copytree(theirs.ablation_scores.parent, place.ablation_scores.parent)
            return
        cards = {key: file.read_bytes() for key, file in place.ablation_cards().items()}
        for key, file in theirs.ablation_cards().items():
            if cards.get(key) != file.read_bytes():
                self.conflicts.append(
                    f"{file} is left out: it is another classifier than in {first.folder}."
                )
                return
        known = _identified(place.ablation_scores, ABLATION_KEY)
        new = _identified(theirs.ablation_scores, ABLATION_KEY)
        write_lines(
            place.ablation_scores, [*known.values(), *(new[k] for k in new if k not in known)]
        )


def _differing(one: TaskRecord, other: TaskRecord) -> list[str]:
    hashes = [
        {**task.made_with, "reference set": task.reference_hash, "probe batch": task.probe_hash}
        for task in (one, other)
    ]
    return [what for what, digest in hashes[0].items() if digest != hashes[1][what]]


def _disagreements(one: CellFiles, other: CellFiles) -> Iterator[str]:
    """What of two cells of one hash is not the same, though their seed decides it."""
    sums = [manifest.sha256 if (manifest := f.read_manifest()) else {} for f in (one, other)]
    scores = [_identified(files.scores, _SCORE) for files in (one, other)]
    made = ["snapshots/", "grids/"]
    made += ["probe/"] if scores[0].keys() == scores[1].keys() else []
    for name in sorted(sums[0].keys() & sums[1].keys()):
        if name.startswith(tuple(made)) and sums[0][name] != sums[1][name]:
            yield name
    shared = scores[0].keys() & scores[1].keys()
    if any(_timeless(scores[0][key]) != _timeless(scores[1][key]) for key in shared):
        yield one.scores.name
    logs = [list(map(_timeless, read_lines(files.log))) for files in (one, other)]
    if logs[0] != logs[1]:
        yield one.log.name


def _share(one: float | None, other: float | None) -> float:
    """By what part of the larger two different values differ; a value that is unknown, by all."""
    if one is None or other is None:
        return math.inf
    return abs(one - other) / max(abs(one), abs(other))


def _identified(file: Path, names: Sequence[str]) -> dict[tuple[Any, ...], JsonLine]:
    return {tuple(line.get(name) for name in names): line for line in read_lines(file)}


def _timeless(line: JsonLine) -> str:
    return json.dumps({key: value for key, value in line.items() if key not in _TIMES})


def _copy_task(files: TaskFiles, place: Path) -> None:
    """All that cells share; figures are drawn anew."""
    place.mkdir(parents=True, exist_ok=True)
    shared = (files.task, files.references, files.classifier)
    for file in filter(Path.exists, shared):
        shutil.copy2(file, place / file.name)
    folders = (files.few_shot.parent, files.probe("source").parent, files.ablation_scores.parent)
    for folder in filter(Path.is_dir, folders):
        shutil.copytree(folder, place / folder.name, dirs_exist_ok=True)


def _copy_cell(files: CellFiles, place: Path) -> None:
    """A cell's files but for states and locks, with a link in place of its snapshots."""
    place.mkdir(parents=True, exist_ok=True)
    weights = files.snapshot(0).parent
    for path in sorted(files.folder.iterdir()):
        if path.name == weights.name:
            (place / path.name).symlink_to(path.resolve(), target_is_directory=True)
        elif path.is_dir():
            shutil.copytree(path, place / path.name)
        elif is_result(path):
            shutil.copy2(path, place / path.name)
    if (manifest := files.read_manifest()) is not None:
        gone = {files.state.name, *manifest.left_out}
        write_json(place / files.manifest.name, manifest_without(manifest, gone))


def manifest_without(manifest: ManifestRecord, gone: Collection[str]) -> dict[str, Any]:
    """A cell's manifest once the files that are ``gone`` have been left out of a copy."""
    sums = {**manifest.left_out, **manifest.sha256}
    return {
        SCHEMA: ManifestRecord.version_written,
        # Without its state a cell is one like those of which none is kept.
        "keep": "scored" if manifest.keep == "all" else manifest.keep,
        "length_matters": manifest.length_matters,
        "sha256": {name: sums[name] for name in sums if name not in gone},
        "left_out": {name: sums[name] for name in sums if name in gone},
    }


def is_result(path: Path) -> bool:
    """Whether a file of a cell is a result: no state of training, lock or temporary file."""
    passing = path.suffix == ".pt" or path.name.startswith(".") or path.name == "owner.json"
    return not passing
