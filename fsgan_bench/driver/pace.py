"""How long cells will take: from what cells of the same kind took on this machine before.

Where a method has not run yet, one plain iteration is timed in its place.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsgan_bench.data.cache import cache_dir
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import what_happened
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.system.files import write_json
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session

PLAIN = "plain"

FORM = 1
"""Version of the file of paces; of one of another version nothing is taken."""


class NoEstimate(Exception):
    """How long a plan takes cannot be told; the message says why."""


@dataclass(frozen=True)
class Pace:
    """Seconds an iteration and seconds a scored snapshot."""

    iteration: float
    snapshot: float

    def seconds(self, cell: Cell) -> float:
        return self.iteration * cell.iterations + self.snapshot * len(cell.snapshots)


def pace_file() -> Path:
    return cache_dir() / "pace.json"


def known_paces() -> dict[str, dict[str, float]]:
    """Paces on record, by key; {} if there are none or the file is damaged."""
    try:
        stored: Any = json.loads(pace_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict) or stored.get(SCHEMA, FORM) != FORM:
        return {}
    return {key: pace for key, pace in stored.items() if _is_pace(pace)}


def _is_pace(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"iteration", "snapshot"}
        and all(isinstance(v, int | float) and 0 <= v < math.inf for v in value.values())
    )


def pace_key(cell: Cell, method: str, device: str, threads: int) -> str:
    numerics = "".join(f"/{name}={value}" for name, value in cell.numerics.changes.items())
    return f"{cell.suite}/{method}/batch{cell.recipe.batch}/{device}/{threads}{numerics}"


def record(cell: Cell, key: str, training_seconds: float, scoring_seconds: float) -> None:
    """Remember what a finished cell took."""
    paces = known_paces()
    paces[key] = {
        "iteration": training_seconds / cell.iterations,
        "snapshot": scoring_seconds / len(cell.snapshots),
    }
    _store(paces)


def expected(cell: Cell, task: Task, device: str, threads: int) -> tuple[Pace | None, bool]:
    """The pace to expect of ``cell`` on ``device``, and whether it was seen before.

    Else a plain iteration is timed now, on the task's device; None if that is another one.

    Raises:
        NoEstimate: the timing failed, as the training itself may; it says how.
    """
    paces = known_paces()
    for name, seen in ((cell.method, True), (PLAIN, False)):
        known = paces.get(pace_key(cell, name, device, threads))
        if known is not None:
            return Pace(**known), seen
    if device != task.request.device:
        return None, False
    try:
        pace = _time_plain(cell, task)
    except Exception as error:  # whatever the training may end in
        raise NoEstimate(what_happened(error)) from error
    _store(paces | {pace_key(cell, PLAIN, device, threads): vars(pace)})
    return pace, False


def _store(paces: dict[str, dict[str, float]]) -> None:
    """Put paces on record; a folder that cannot be written to only costs a worse estimate."""
    with contextlib.suppress(OSError):
        write_json(pace_file(), {SCHEMA: FORM, **paces})


def _time_plain(cell: Cell, task: Task, repeats: int = 3) -> Pace:
    """Time plain fine-tuning, and generating an eighth of the probe batch."""
    method = Method()
    session = Session(
        method,
        *task.source.pair,
        task.splits.few_shot,
        recipe=cell.recipe,
        seed=cell.seed,
        iterations=cell.iterations,
        device=task.request.device,
        numerics=replace(cell.numerics, compile=False),
    )
    session.iteration = 1
    method.step(session)
    began = time.perf_counter()
    for _ in range(repeats):
        method.step(session)
    iteration = (time.perf_counter() - began) / repeats
    began = time.perf_counter()
    share = max(1, len(task.probe) // 8)
    task.probe.generate(method, {"generator": session.averaged["generator"]}, share)
    seconds = time.perf_counter() - began
    return Pace(iteration, 2 * len(task.probe) / share * seconds)
