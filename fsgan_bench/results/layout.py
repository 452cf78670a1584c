"""What lies where below a results root: the only place that knows the names of files.

``<root>/<suite>/<target>-<k>shot`` is the folder of a task (:class:`TaskFiles`), and
``<method>/seed<s>-<hash>`` in it that of a cell (:class:`CellFiles`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError
from fsgan_bench.results.keeping import Keep
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.results.records import ManifestRecord
from fsgan_bench.system.files import append_lines, file_hash, write_json
from fsgan_bench.system.json_files import read_json
from fsgan_bench.system.states import previous_state

IMPORTED = "imported-"
"""Of the folders of what was not trained here; no method's name can begin with it."""

CELL = "cell.json"
"""Every cell's folder has it."""

REFERENCES = "references.jsonl"
"""Every task's folder has it whose references are scored."""

KEPT = "KEPT"
"""A folder with this file holds results for reference: they count where it, or one in it, is
named."""

_PROBE = "probe"


def task_folder(root: Path, suite: str, target: str, shots: int) -> Path:
    """Folder of all cells of a task, and of what they share."""
    return root / suite / f"{target}-{shots}shot"


@dataclass(frozen=True)
class TaskFiles:
    """Where a task keeps what its cells share."""

    folder: Path

    @property
    def task(self) -> Path:
        return self.folder / "task.json"

    @property
    def classifier(self) -> Path:
        """The card of the realisticness classifier."""
        return self.folder / "classifier.json"

    @property
    def references(self) -> Path:
        return self.folder / REFERENCES

    @property
    def few_shot(self) -> Path:
        """The strip of the few-shot images."""
        return self.strip("few_shot")

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    @property
    def ablation_scores(self) -> Path:
        """What other classifiers make of the stored snapshots."""
        return self.folder / "classifier-ablation" / "scores.jsonl"

    def ablation_card(self, key: str) -> Path:
        """The card of one of these classifiers."""
        return self.ablation_scores.with_name(f"{key}.json")

    def ablation_cards(self) -> dict[str, Path]:
        """The cards that are there, by key."""
        return {path.stem: path for path in sorted(self.ablation_scores.parent.glob("*.json"))}

    def strip(self, name: str) -> Path:
        """The image strip of a reference."""
        return self.folder / "strips" / f"{name}.png"

    def probe(self, name: str) -> Path:
        """Per-image values of a reference."""
        return self.folder / _PROBE / f"{name}.npz"

    def imported(self) -> list[Path]:
        """The folders of its cells that were not trained here, sorted."""
        return sorted(file.parent for file in self.folder.glob(f"{IMPORTED}*/*/{CELL}"))

    def cells(self) -> list[Path]:
        """The folders of its cells, sorted."""
        return sorted(file.parent for file in self.folder.glob(f"*/*/{CELL}"))


@dataclass(frozen=True)
class CellFiles:
    """Where a cell keeps what; nothing but its owner writes below ``folder``."""

    folder: Path

    @property
    def task(self) -> TaskFiles:
        return TaskFiles(self.folder.parent.parent)

    @property
    def cell(self) -> Path:
        return self.folder / CELL

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    @property
    def log(self) -> Path:
        return self.folder / "train.jsonl"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.jsonl"

    @property
    def notes(self) -> Path:
        return self.folder / "notes.jsonl"

    @property
    def timing(self) -> Path:
        return self.folder / "timing.json"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def done(self) -> Path:
        return self.folder / "DONE"

    @property
    def failed(self) -> Path:
        return self.folder / "FAILED"

    @property
    def failure(self) -> str | None:
        """Why its last try failed, in a sentence; None if it did not."""
        try:
            return self.failed.read_text(encoding="utf-8").partition("\n")[0]
        except FileNotFoundError:
            return None

    def snapshot(self, iteration: int) -> Path:
        """A sampler, or the images themselves where nothing else was imported."""
        sampler = self.folder / "snapshots" / f"{iteration:06d}.safetensors"
        images = sampler.with_suffix(".zip")
        return images if images.exists() else sampler

    def probe(self, iteration: int) -> Path:
        """Per-image values of a snapshot."""
        return self.folder / _PROBE / f"{iteration:06d}.npz"

    def grid(self, iteration: int) -> Path:
        """The image strip of a snapshot."""
        return self.folder / "grids" / f"{iteration:06d}.png"

    def grids(self) -> dict[int, Path]:
        """The image strips that are there, by iteration, in order."""
        strips = self.grid(0).parent.glob("*.png")
        return dict(sorted((int(file.stem), file) for file in strips if file.stem.isdigit()))

    def probes(self) -> dict[int, Path]:
        """The per-image values that are there, by iteration, in order."""
        files = self.probe(0).parent.glob("*.npz")
        return dict(sorted((int(file.stem), file) for file in files if file.stem.isdigit()))

    @property
    def has_probe(self) -> bool:
        """Whether there are per-image values of any snapshot."""
        return (self.folder / _PROBE).is_dir()

    def finished(self, iterations: Iterable[int], keep: Keep) -> list[Path]:
        """The files of a finished cell with snapshots at ``iterations``, as far as these are kept.

        A cell that began with less to ``keep`` lacks the early snapshots.
        """
        looks = sorted(iterations)
        kept = {"none": looks[:0], "last": looks[-1:]}.get(keep, looks)
        states = [self.state] if keep == "all" else []
        looked = (*map(self.grid, looks), *map(self.snapshot, kept), *map(self.probe, looks))
        there = filter(Path.exists, (self.log, *states, *looked))
        return [self.cell, self.scores, self.timing, *there]

    def note(self, iteration: int, text: str) -> None:
        """Put down something out of the ordinary that happened to the cell."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        append_lines(self.notes, [{"time": now, "iteration": iteration, "note": text}])

    def prune(self, iteration: int, keep: Keep) -> None:
        """Delete the snapshots that are not to stay, given that ``iteration`` is the last."""
        if keep in ("scored", "all"):
            return
        for path in self.snapshot(iteration).parent.glob("*.safetensors"):
            if keep == "none" or path != self.snapshot(iteration):
                path.unlink()

    def tidy(self) -> None:
        """Delete the temporary files of a process that was killed."""
        folders = (self.folder / name for name in ("", "snapshots", "grids", _PROBE))
        for folder in folders:
            for path in folder.glob(".*.*"):
                if path.is_file():
                    path.unlink()

    @property
    def has_state(self) -> bool:
        """Whether there is a training state that the cell can go on from."""
        return self.state.exists() or previous_state(self.state).exists()

    def drop_states(self) -> None:
        """Delete the training states of a finished cell, but for one that is to stay.

        A manifest that is damaged does not say which, so that all stay; verify says so.
        """
        try:
            manifest = self.read_manifest()
        except UserError:
            return
        kept = manifest.sha256 if manifest else {}
        previous_state(self.state).unlink(missing_ok=True)
        if self.state.name not in kept:
            self.state.unlink(missing_ok=True)

    def write_manifest(
        self, iterations: Iterable[int], keep: Keep, *, length_matters: bool | None = None
    ) -> None:
        """Store the SHA-256 of every file that a finished cell has.

        ``length_matters`` tells whether its training would have been another, had it been planned
        to be longer; by default that stays as it is stored, and so does what was left out.
        """
        files = self.finished(iterations, keep)
        sums = {path.relative_to(self.folder).as_posix(): file_hash(path) for path in files}
        facts: dict[str, Any] = {"keep": keep, "length_matters": length_matters, "sha256": sums}
        if length_matters is None:
            before = self.read_manifest()
            facts["length_matters"] = before is None or before.length_matters
            if before is not None and before.left_out.keys() - sums:
                facts["left_out"] = {n: s for n, s in before.left_out.items() if n not in sums}
        write_json(self.manifest, {SCHEMA: ManifestRecord.version_written, **facts})

    def read_manifest(self) -> ManifestRecord | None:
        """What :meth:`write_manifest` stored; None if there is none.

        Raises:
            UserError: it is damaged.
        """
        if not self.manifest.exists():
            return None
        return ManifestRecord.parse(read_json(self.manifest), str(self.manifest))
