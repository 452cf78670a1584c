"""Where a cell goes on: from its own state, or from where a shorter one of its training ended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import PROTOCOL
from fsgan_bench.results.cell import Cell, cell_hash
from fsgan_bench.results.folders import read_cell, read_progress
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.records import CellRecord, ManifestRecord
from fsgan_bench.stylegan2.checkpoint import save_tensors
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.files import file_hash, write_atomic

_OF_LENGTH = ("iterations", "snapshots", "protocol")


@dataclass(frozen=True)
class Shorter:
    """A finished cell that differs from a longer one in its length alone.

    Attributes:
        files: its folder.
        record: what its ``cell.json`` says.
        manifest: what its manifest says.
    """

    files: CellFiles
    record: CellRecord
    manifest: ManifestRecord

    @property
    def iterations(self) -> int:
        return self.record.cell.iterations

    @property
    def snapshots(self) -> tuple[int, ...]:
        return self.record.cell.snapshots

    @property
    def obstacle(self) -> str | None:
        """Why no longer cell can go on from it; None if one can."""
        if self.record.cell.protocol != PROTOCOL:
            return "it was scored by another version of the evaluation protocol"
        if self.files.state.name not in self.manifest.sha256:
            return "its training state was not kept, which --keep-snapshots all does"
        if self.manifest.length_matters:
            return "its method trains otherwise where more iterations are planned"
        if not all(self.files.snapshot(at).exists() for at in self.snapshots):
            return "some of its snapshots were not kept"
        return None

    def longer(self, cell: Cell) -> Cell:
        """``cell`` with this one's snapshots as far as it goes, and its own beyond."""
        beyond = (at for at in cell.snapshots if at > self.iterations)
        return replace(cell, snapshots=(*self.snapshots, *beyond))

    def hand_over(self, files: CellFiles, cell: Cell, classifier_hash: str | None) -> None:
        """Give a longer cell all that there is up to the last iteration, the state at the end.

        Raises:
            UserError: a file has changed since the cell was finished, or another classifier judges
                now.
        """
        if self.record.provenance.classifier_hash != classifier_hash:
            raise UserError(
                f"{self.files.folder} was scored with another classifier than there is now, so "
                "nothing can go on from it; --fresh starts over."
            )
        for name, expected in self.manifest.sha256.items():
            path = self.files.folder / name
            if not path.is_file() or file_hash(path) != expected:
                raise UserError(f"{path} has changed, so nothing can go on from it.")
        for at in self.snapshots:
            tensors, card = read_tensors(self.files.snapshot(at))
            save_tensors(files.snapshot(at), tensors, {**card, "cell": cell.hash})
            _copy(self.files.grid(at), files.grid(at))
            if self.files.probe(at).exists():
                _copy(self.files.probe(at), files.probe(at))
        _copy(self.files.log, files.log)
        _copy(self.files.scores, files.scores)
        _copy(self.files.state, files.state)


def _copy(source: Path, target: Path) -> None:
    write_atomic(target, lambda temporary: _fill(source, temporary))


def _fill(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def find_shorter(cell: Cell, task_folder: Path) -> Shorter | None:
    """The longest finished cell that ``cell``, whose snapshots are fixed, can go on from."""
    for shorter in _shorter(cell, task_folder):
        snapshots = tuple(at for at in cell.snapshots if at <= shorter.iterations)
        if shorter.obstacle is None and snapshots == shorter.snapshots:
            return shorter
    return None


def continued(cell: Cell, task_folder: Path) -> tuple[Cell, int, str]:
    """``cell`` as it can go on, the iteration that it goes on at, and a clause on that.

    One that is begun goes on from its state, at what its log says, also if it went on from a
    shorter one itself; another from a finished shorter one. Else it stays as it is and begins at 0;
    if there are only shorter ones that nothing can go on from, the clause says why.
    """
    if begun := _begun(cell, task_folder):
        return begun
    known = list(_shorter(cell, task_folder))
    for shorter in known:
        if begun := _begun(shorter.longer(cell), task_folder):
            return begun
    why = ""
    for shorter in known:
        name = shorter.files.folder.name
        if shorter.obstacle is None:
            start = shorter.iterations
            return shorter.longer(cell), start, f"continues {name} from iteration {start}"
        why = why or f"starts anew beside {name}: {shorter.obstacle}"
    return cell, 0, why


def _begun(cell: Cell, task_folder: Path) -> tuple[Cell, int, str] | None:
    """What :func:`continued` gives for a cell that is begun or finished; None for another."""
    files = CellFiles(cell.folder(task_folder))
    if not files.cell.exists():
        return None
    start = _stopped_at(files)
    return cell, start, f"continues at {start} of {cell.iterations}" if start else ""


def _stopped_at(files: CellFiles) -> int:
    """The iteration of an unfinished cell's state; 0 without a state."""
    if files.done.exists() or not files.has_state:
        return 0
    iteration, _ = read_progress(files)
    return iteration


def _shorter(cell: Cell, task_folder: Path) -> Iterator[Shorter]:
    """Finished cells of the same training and fewer iterations, the longest first."""
    wanted = _training(cell.to_json())
    finished = []
    for path in (task_folder / cell.method).glob(f"seed{cell.seed}-*/DONE"):
        files = CellFiles(path.parent)
        try:
            record, manifest = read_cell(files), files.read_manifest()
        except (UserError, OSError):  # damaged, which verify says
            continue
        alike = _training(record.cell.stored) == wanted
        if alike and manifest is not None and record.cell.iterations < cell.iterations:
            finished.append(Shorter(files, record, manifest))
    yield from sorted(finished, key=lambda shorter: shorter.iterations, reverse=True)


def _training(fields: Mapping[str, Any]) -> str:
    """The hash of all that decides a training but its length."""
    return cell_hash({key: value for key, value in fields.items() if key not in _OF_LENGTH})
