"""One cell: train, take snapshots, score them, and continue exactly after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fsgan_bench import __version__
from fsgan_bench.machine import description
from fsgan_bench.method import Method
from fsgan_bench.plan import PROTOCOL, Cell
from fsgan_bench.session import Session
from fsgan_bench.store import (
    append_lines,
    commit,
    load_state,
    read_lines,
    save_state,
    write_json,
    write_lines,
    write_text,
)
from fsgan_bench.stylegan2.checkpoint import save_modules
from fsgan_bench.task import Task, save_strip

LOG_EVERY = 10
SAVE_EVERY_SECONDS = 60.0

Report = Callable[[dict[str, Any]], None]


class Interrupted(Exception):
    """The cell was asked to stop; its state is on disk."""


@dataclass
class CellFiles:
    """Where a cell keeps what; nothing else writes below ``folder``."""

    folder: Path
    state: Path = field(init=False)
    log: Path = field(init=False)
    scores: Path = field(init=False)
    done: Path = field(init=False)
    failed: Path = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.folder / "state.pt"
        self.log = self.folder / "train.jsonl"
        self.scores = self.folder / "scores.jsonl"
        self.done = self.folder / "DONE"
        self.failed = self.folder / "FAILED"

    def snapshot(self, iteration: int) -> Path:
        return self.folder / "snapshots" / f"{iteration:06d}.safetensors"

    def grid(self, iteration: int) -> Path:
        return self.folder / "grids" / f"{iteration:06d}.png"


class Adaptation:
    """Carries a cell from wherever its files say it is to DONE.

    Args:
        cell: what to train.
        task: what its cells share.
        method: the method, configured.
        report: receives progress as dicts with ``iteration``, ``seconds_per_iteration``, ``losses``
            or ``scores``.
        stop: asked after every iteration; True saves the state and raises :class:`Interrupted`.
    """

    def __init__(
        self,
        cell: Cell,
        task: Task,
        method: Method,
        report: Report,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.cell, self.task, self.method = cell, task, method
        self.report, self.stop = report, stop
        self.files = CellFiles(cell.folder(task.folder))
        self.seconds = {"setup": 0.0, "training": 0.0, "scoring": 0.0}
        self.pending: list[dict[str, Any]] = []

    def run(self) -> None:
        """Train to the last iteration and score every snapshot.

        Raises:
            Interrupted: ``stop`` said so.
            Diverged: a loss is not finite.
        """
        self.files.folder.mkdir(parents=True, exist_ok=True)
        self.files.failed.unlink(missing_ok=True)
        session = self._start()
        self._snapshot_if_due(session)
        saved = time.monotonic()
        while session.iteration < self.cell.iterations:
            began = time.perf_counter()
            losses = self.method.step(session)
            session.iteration += 1
            self.seconds["training"] += time.perf_counter() - began
            self._log(session, losses)
            due = session.iteration in self.cell.snapshots
            if due or self.stop() or time.monotonic() - saved > SAVE_EVERY_SECONDS:
                self._save(session)
                saved = time.monotonic()
            self._snapshot_if_due(session)
            if self.stop():
                raise Interrupted
        # What a method prepares is part of what it costs.
        timing = {
            "training_seconds": self.seconds["setup"] + self.seconds["training"],
            "scoring_seconds": self.seconds["scoring"],
        }
        write_json(self.files.folder / "timing.json", timing)
        write_text(self.files.done, "")
        self.files.state.unlink(missing_ok=True)

    def _start(self) -> Session:
        source = self.task.source
        session = Session(
            self.method,
            source.generator,
            source.discriminator,
            self.task.splits.few_shot,
            recipe=self.cell.recipe,
            seed=self.cell.seed,
            iterations=self.cell.iterations,
            device=self.task.request.device,
        )
        if self.files.state.exists():
            state = load_state(self.files.state)
            session.load_state_dict(state["session"])
            self.seconds |= state["seconds"]
        else:
            began = time.perf_counter()
            session.prepare()
            self.seconds["setup"] = time.perf_counter() - began
            write_json(self.files.folder / "cell.json", self._provenance())
        done = session.iteration
        kept = [line for line in read_lines(self.files.log) if line["iteration"] <= done]
        write_lines(self.files.log, kept)
        return session

    def _provenance(self) -> dict[str, Any]:
        task = self.task
        return {
            "hash": self.cell.hash,
            "cell": {**self.cell.to_json(), "protocol": PROTOCOL},
            "provenance": {
                "fsgan_bench": __version__,
                "commit": commit(),
                "threads": torch.get_num_threads(),
                "device": task.request.device,
                **description(),
                "classifier_hash": task.classifier_hash,
            },
        }

    def _log(self, session: Session, losses: Mapping[str, float]) -> None:
        done = session.iteration
        if done % LOG_EVERY and done != self.cell.iterations:
            return
        seconds = round(self.seconds["training"], 3)
        self.pending.append({"iteration": done, "seconds": seconds, **losses})
        self.report(
            {
                "iteration": done,
                "seconds_per_iteration": self.seconds["training"] / done,
                "losses": dict(losses),
            }
        )

    def _save(self, session: Session) -> None:
        append_lines(self.files.log, self.pending)
        self.pending.clear()
        save_state(self.files.state, {"session": session.state_dict(), "seconds": self.seconds})

    def _snapshot_if_due(self, session: Session) -> None:
        """Store and score the averaged sampler, unless the files say that it is scored."""
        iteration = session.iteration
        stored = read_lines(self.files.scores)
        scored = any(line["iteration"] == iteration for line in stored)
        if iteration not in self.cell.snapshots or scored:
            return
        began = time.perf_counter()
        header = {"cell": self.cell.hash, "iteration": iteration}
        save_modules(self.files.snapshot(iteration), session.averaged, header)
        modules = dict(session.averaged.items())
        images = self.task.generate(self.method, modules)
        save_strip(images, self.files.grid(iteration))
        further = self.task.generate_further(self.method, modules)
        scores = self.task.scorer.score(images, further)
        lines = [score.to_json(iteration=iteration) for score in scores]
        write_lines(self.files.scores, [*stored, *lines])
        self.seconds["scoring"] += time.perf_counter() - began
        values = {line["metric"]: line["value"] for line in lines}
        self.report({"iteration": iteration, "scores": values})
