"""From a request to cells: what is to be trained, with a content hash for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fsgan_bench.system.json_files import json_hash
from fsgan_bench.training.look import Look
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.recipe import Recipe

_DENSITY = 1.6

DESCRIPTIVE = ("title", "paper", "method_origin", "look")
"""Fields that decide nothing."""


def cell_hash(fields: Mapping[str, Any]) -> str:
    """SHA-256 of all fields of a cell but those that only describe it, in hex."""
    return json_hash({key: value for key, value in fields.items() if key not in DESCRIPTIVE})


def snapshot_schedule(iterations: int, count: int) -> tuple[int, ...]:
    """Iterations of ``count`` snapshots from 0 to ``iterations``, denser early.

    Fewer come back if there are not enough iterations for ``count`` different ones.
    """
    if count < 2:
        return tuple(sorted({0, iterations}))
    steps = (round(iterations * (i / (count - 1)) ** _DENSITY) for i in range(count))
    return tuple(sorted({0, iterations, *steps}))


@dataclass(frozen=True)
class Cell:
    """One adaptation: everything that decides its weights, and when it is looked at.

    Attributes:
        suite, target, shots: the task.
        method, title, paper, method_version: the method.
        method_source: SHA-256 of a third-party method's file, or None.
        method_origin: what brings a third-party method, or None.
        look: how the method says that it is drawn; appears only if it does.
        config: the method's settings, all of them.
        seed: of every random draw of the training.
        iterations: length of the training.
        snapshots: iterations at which the sampler is stored and scored.
        recipe: the shared hyperparameters.
        source_hash, few_shot_hash: what it starts from and what it adapts to.
        numerics: how it computes. In JSON and in the hash only what differs from the defaults
            appears, beside the other fields.
    """

    suite: str
    target: str
    shots: int
    method: str
    title: str
    paper: str
    method_version: str
    method_source: str | None
    config: Mapping[str, Any]
    seed: int
    iterations: int
    snapshots: tuple[int, ...]
    recipe: Recipe
    source_hash: str
    few_shot_hash: str
    numerics: Numerics = field(default_factory=Numerics)
    method_origin: str | None = None
    look: Look | None = None

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["numerics"]
        if self.look is None:
            del fields["look"]
        if self.recipe.train_noise:
            del fields["recipe"]["train_noise"]
        return json.loads(json.dumps(fields | self.numerics.changes))  # type: ignore[no-any-return]

    @property
    def hash(self) -> str:
        return cell_hash(self.to_json())

    def folder(self, task_folder: Path) -> Path:
        """Where the cell keeps its files."""
        return task_folder / self.method / f"seed{self.seed}-{self.hash[:8]}"

    @property
    def label(self) -> str:
        return f"{self.method} seed {self.seed}"
