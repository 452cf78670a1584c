"""How long cells will take: from what cells of the same kind took on this machine before.

Where a method has not run yet, one of its iterations is timed.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsgan_bench.data.cache import cache_dir
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import what_happened
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.system import machine
from fsgan_bench.system.files import write_json
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session

_BESIDES = "besides"
"""On record, what regularisers and snapshots take."""

FORM = 1
"""Version of the file of paces; of one of another version nothing is taken."""


class NoEstimate(Exception):
    """How long a plan takes cannot be told; the message says why."""


@dataclass(frozen=True)
class Pace:
    """Seconds an iteration and seconds a scored snapshot."""

    iteration: float
    snapshot: float

    def seconds(self, cell: Cell, start: int) -> float:
        """What is left of ``cell`` from iteration ``start`` on."""
        snapshots = sum(at >= start for at in cell.snapshots)
        return self.iteration * (cell.iterations - start) + self.snapshot * snapshots


def until_done(seconds: Iterable[float], workers: int) -> float:
    """When the last cell ends, of cells that take so long and come in this order to workers."""
    busy_until = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(busy_until, busy_until[0] + each)
    return max(busy_until)


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


def expected(
    cell: Cell, task: Task, method: type[Method], device: str, threads: int
) -> tuple[Pace | None, bool]:
    """The pace to expect of ``cell`` on ``device``, and whether it was seen before.

    Else iterations of ``method`` are timed now, on the task's device; None if that is another one.

    Raises:
        NoEstimate: the timing failed, as the training itself may; it says how.
    """
    paces = known_paces()
    timed = f"timed {cell.method}"
    for name, seen in ((cell.method, True), (timed, False)):
        known = paces.get(pace_key(cell, name, device, threads))
        if known is not None:
            return Pace(**known), seen
    if device != task.request.device:
        return None, False
    try:
        pace = _time(cell, task, method, threads)
    except (Exception, SystemExit) as error:  # whatever the training may end in
        raise NoEstimate(what_happened(error)) from error
    _store(known_paces() | {pace_key(cell, timed, device, threads): vars(pace)})
    return pace, False


def _store(paces: dict[str, dict[str, float]]) -> None:
    """Put paces on record; a folder that cannot be written to only costs a worse estimate."""
    with contextlib.suppress(OSError):
        write_json(pace_file(), {SCHEMA: FORM, **paces})


def _time(cell: Cell, task: Task, method: type[Method], threads: int) -> Pace:
    """Time an iteration of ``method``, after a first one; the rest is as in plain fine-tuning.

    On a CPU this thread's time of the processor counts, which is the clock's on a quiet machine:
    other work there makes no estimate longer.
    """
    with machine.threads(threads):
        key = pace_key(cell, _BESIDES, task.request.device, threads)
        known = known_paces().get(key)
        if known is None:
            known = vars(_time_besides(cell, task))
            _store(known_paces() | {key: known})
        besides = Pace(**known)
        step, _ = _trial(
            cell, task, method(build_config(method, {**cell.config, **method.shortened}))
        )
        return Pace(step(1) + besides.iteration, besides.snapshot)


def _time_besides(cell: Cell, task: Task) -> Pace:
    """What regularisers take, in the mean over the iterations, and a snapshot, in plain
    fine-tuning."""
    step, session = _trial(cell, task, Method())
    plain = step(1)
    regularisers = sum(
        (step(first) - plain) * count / cell.iterations
        for regularised, (first, count) in _kinds_of_iterations(cell).items()
        if any(regularised)
    )
    share = max(1, len(task.probe) // 8)
    networks = {"generator": session.averaged["generator"]}
    sampling = _seconds(
        task.request.device, lambda: task.probe.generate(session.method, networks, share)
    )
    return Pace(max(0.0, regularisers), 2 * len(task.probe) / share * sampling)


def _trial(cell: Cell, task: Task, method: Method) -> tuple[Callable[[int], float], Session]:
    """A function from an iteration to the seconds that it takes, and its session."""
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
    session.prepare()

    def step(iteration: int) -> float:
        session.iteration = iteration
        return _seconds(task.request.device, lambda: method.step(session))

    step(1)
    return step, session


def _seconds(device: str, work: Callable[[], object]) -> float:
    clock = time.thread_time if device == "cpu" else time.perf_counter
    began = clock()
    work()
    return clock() - began


def _kinds_of_iterations(cell: Cell) -> dict[tuple[bool, ...], tuple[int, int]]:
    """By which regularisers an iteration has in it: the first such iteration, and their number."""
    periods = (cell.recipe.r1_every, cell.recipe.path_length_every)
    kinds: dict[tuple[bool, ...], tuple[int, int]] = {}
    for i in range(cell.iterations):
        kind = tuple(every > 0 and i % every == 0 for every in periods)
        first, count = kinds.get(kind, (i, 0))
        kinds[kind] = first, count + 1
    return kinds
