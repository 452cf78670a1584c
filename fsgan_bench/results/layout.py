"""The folder of a cell: which files it has, what is kept of them, and their checksums."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from fsgan_bench.system.files import append_lines, file_hash, previous_state, write_json

Keep = Literal["none", "last", "scored", "all"]
"""Which snapshots stay: none, the last, every scored one; ``all`` keeps the final state besides."""

KEEPS: tuple[Keep, ...] = get_args(Keep)


@dataclass
class CellFiles:
    """Where a cell keeps what; nothing but its owner writes below ``folder``."""

    folder: Path
    cell: Path = field(init=False)
    state: Path = field(init=False)
    log: Path = field(init=False)
    scores: Path = field(init=False)
    notes: Path = field(init=False)
    timing: Path = field(init=False)
    manifest: Path = field(init=False)
    done: Path = field(init=False)
    failed: Path = field(init=False)

    def __post_init__(self) -> None:
        self.cell = self.folder / "cell.json"
        self.state = self.folder / "state.pt"
        self.log = self.folder / "train.jsonl"
        self.scores = self.folder / "scores.jsonl"
        self.notes = self.folder / "notes.jsonl"
        self.timing = self.folder / "timing.json"
        self.manifest = self.folder / "manifest.json"
        self.done = self.folder / "DONE"
        self.failed = self.folder / "FAILED"

    def snapshot(self, iteration: int) -> Path:
        return self.folder / "snapshots" / f"{iteration:06d}.safetensors"

    def probe(self, iteration: int) -> Path:
        return self.folder / "probe" / f"{iteration:06d}.npz"

    def grid(self, iteration: int) -> Path:
        return self.folder / "grids" / f"{iteration:06d}.png"

    def finished(self, iterations: Iterable[int], keep: Keep) -> list[Path]:
        """The files of a finished cell with snapshots at ``iterations``."""
        looks = sorted(iterations)
        kept = {"none": looks[:0], "last": looks[-1:]}.get(keep, looks)
        states = [self.state] if keep == "all" else []
        return [
            *(self.cell, self.log, self.scores, self.timing, *states),
            *map(self.grid, looks),
            *map(self.snapshot, kept),
            *filter(Path.exists, map(self.probe, looks)),
        ]

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
        folders = (self.folder / name for name in ("", "snapshots", "grids", "probe"))
        for folder in folders:
            for path in folder.glob(".*.*"):
                if path.is_file():
                    path.unlink()

    def drop_states(self) -> None:
        """Delete the training states of a finished cell, but for one that is to stay."""
        kept = self.read_manifest().get("sha256", {})
        previous_state(self.state).unlink(missing_ok=True)
        if self.state.name not in kept:
            self.state.unlink(missing_ok=True)

    def write_manifest(self, iterations: Iterable[int], keep: Keep) -> None:
        """Store the SHA-256 of every file that a finished cell has."""
        files = self.finished(iterations, keep)
        sums = {path.relative_to(self.folder).as_posix(): file_hash(path) for path in files}
        write_json(self.manifest, {"keep": keep, "sha256": sums})

    def read_manifest(self) -> dict[str, Any]:
        """What :meth:`write_manifest` stored; {} if there is none.

        Raises:
            ValueError: it is damaged.
        """
        if not self.manifest.exists():
            return {}
        stored: Any = json.loads(self.manifest.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or not isinstance(stored.get("sha256"), dict):
            raise ValueError(f"{self.manifest.name} is not a manifest")
        return stored
