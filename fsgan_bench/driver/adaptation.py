"""One cell: train, take snapshots, score them, and continue exactly after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from fsgan_bench import __version__
from fsgan_bench.data.images import Images
from fsgan_bench.driver import events
from fsgan_bench.driver.events import Noted, Trained
from fsgan_bench.driver.extension import find_shorter
from fsgan_bench.driver.strips import save_strip
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import PROTOCOL
from fsgan_bench.metrics.scored import Scored
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.keeping import Keep
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.results.records import CellRecord
from fsgan_bench.stylegan2.checkpoint import holds_modules, save_modules
from fsgan_bench.system.files import (
    append_lines,
    write_json,
    write_lines,
    write_text,
)
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.machine import description, peak_resident
from fsgan_bench.system.provenance import commit
from fsgan_bench.system.states import recover_state, save_state
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session

LOG_EVERY = 10
SAVE_EVERY_SECONDS = 60.0

SAVE_SHARE = 20.0
"""A cell trains at least so many times as long as its last save took: where hundreds of cells share
a file server, saving slows down, and must not become what they spend their time on."""

Report = Callable[[Trained | events.SnapshotScored | Noted], None]


class Interrupted(Exception):
    """The cell was asked to stop; its state is on disk."""


def look_at(task: Task, method: Method, modules: Mapping[str, nn.Module]) -> tuple[Images, Scored]:
    """What a sampler draws for the probe batch, uint8 [N, R, R, 3], and its scores."""
    known = _still_the_source(task, method, modules)
    images = task.source_images if known else task.probe.generate(method, modules)
    return images, task.scorer.score(images, task.probe.generate_further(method, modules))


def _still_the_source(task: Task, method: Method, modules: Mapping[str, nn.Module]) -> bool:
    """Whether the sampler is the source generator itself, whose images are known."""
    if type(method).sample is not Method.sample or set(modules) != {"generator"}:
        return False
    ours, source = (each.state_dict() for each in (modules["generator"], task.source.generator))
    return ours.keys() == source.keys() and all(
        torch.equal(value, source[name]) for name, value in ours.items()
    )


class Adaptation:
    """Carries a cell from wherever its files say it is to DONE.

    Args:
        cell: what to train.
        task: what its cells share.
        method: the method, configured.
        report: receives what is told on the way.
        stop: asked after every iteration; True saves the state and raises :class:`Interrupted`.
        keep: which snapshots stay.
    """

    def __init__(
        self,
        cell: Cell,
        task: Task,
        method: Method,
        report: Report,
        stop: Callable[[], bool] = lambda: False,
        keep: Keep = "scored",
        fresh: bool = False,
    ) -> None:
        self.cell, self.task, self.method = cell, task, method
        self.report, self.stop, self.keep, self.fresh = report, stop, keep, fresh
        self.files = CellFiles(cell.folder(task.folder))
        self.seconds = {"setup": 0.0, "training": 0.0, "scoring": 0.0}
        self.pending: list[dict[str, Any]] = []

    def run(self) -> None:
        """Train to the last iteration and score every snapshot.

        Raises:
            Interrupted: ``stop`` said so.
            UserError: the source model or the few-shot images are others than planned.
            Diverged: a loss is not finite.
        """
        self.files.folder.mkdir(parents=True, exist_ok=True)
        self.files.failed.unlink(missing_ok=True)
        self.files.tidy()
        session = self._start()
        self._snapshot_if_due(session)
        saved, wait = time.monotonic(), SAVE_EVERY_SECONDS
        while session.iteration < self.cell.iterations:
            began = time.perf_counter()
            losses = _checked(self.method.step(session))
            session.iteration += 1
            self.seconds["training"] += time.perf_counter() - began
            self._log(session, losses)
            due = session.iteration in self.cell.snapshots
            stopping = self.stop()
            if due or stopping or time.monotonic() - saved > wait:
                began = time.monotonic()
                self._save(session)
                saved = time.monotonic()
                wait = max(SAVE_EVERY_SECONDS, SAVE_SHARE * (saved - began))
            if stopping:
                raise Interrupted
            self._snapshot_if_due(session)
        self.files.prune(session.iteration, self.keep)
        # What a method prepares is part of what it costs.
        timing = {
            "training_seconds": self.seconds["setup"] + self.seconds["training"],
            "scoring_seconds": self.seconds["scoring"],
        }
        write_json(self.files.timing, timing)
        self.files.write_manifest(
            self.cell.snapshots, self.keep, length_matters=session.length_matters
        )
        write_text(self.files.done, "")
        self.files.drop_states()

    def _start(self) -> Session:
        source = self.task.source
        for what, planned, found in (
            ("source model", self.cell.source_hash, source.hash),
            ("few-shot set", self.cell.few_shot_hash, self.task.splits.few_shot_hash),
        ):
            if found != planned:
                raise UserError(f"The {what} has changed since the run was planned; start it anew.")
        if not self.files.cell.exists():
            # Also a cell that fails before its first iteration is there to be seen.
            write_json(self.files.cell, self._provenance())
        session = Session(
            self.method,
            *source.start(from_average=self.cell.recipe.start_from_average),
            self.task.splits.few_shot,
            recipe=self.cell.recipe,
            seed=self.cell.seed,
            iterations=self.cell.iterations,
            device=self.task.request.device,
            numerics=self.cell.numerics,
            average=source.generator,
        )
        notes: list[str] = []
        begun = self.files
        shorter = None if self.fresh else find_shorter(self.cell, self.task.folder)
        if shorter is not None and not self.files.has_state:
            shorter.hand_over(self.files, self.cell, self.task.classifier_hash)
            begun = shorter.files
            notes.append(f"continues {shorter.files.folder.name} from {shorter.iterations}")
        if state := recover_state(self.files.state, notes.append):
            session.load_state_dict(state["session"])
            self.seconds |= state["seconds"]
            notes += self._moved(begun)
        else:
            if self.files.scores.exists():
                self._moved(begun)
            began = time.perf_counter()
            session.prepare()
            self.seconds["setup"] = time.perf_counter() - began
            write_json(self.files.cell, self._provenance())
        for note in notes:
            self._note(session, note)
        done = session.iteration
        kept = [line for line in read_lines(self.files.log) if line["iteration"] <= done]
        write_lines(self.files.log, kept)
        return session

    def _note(self, session: Session, text: str) -> None:
        self.files.note(session.iteration, text)
        self.report(Noted(self.cell.hash, session.iteration, text))

    def _moved(self, cell: CellFiles) -> list[str]:
        """A sentence if ``cell`` was begun under conditions that may give other bits.

        Where its description is missing or damaged, the cell has one of now.
        """
        now = self._provenance()
        try:
            begun = read_cell(cell).provenance.model_dump()
        except UserError:
            begun = now["provenance"]
            write_json(self.files.cell, now)
        if begun.get("classifier_hash") != self.task.classifier_hash:
            raise UserError(
                "It was begun with another classifier than there is now, and one judge scores a "
                "whole trajectory; --fresh starts over."
            )
        other = [
            f"{key} {begun.get(key)} before, {now['provenance'].get(key)} now"
            for key in ("platform", "processor", "accelerator", "packages", "threads", "device")
            if begun.get(key) != now["provenance"].get(key)
        ]
        return [f"continued elsewhere than begun: {'; '.join(other)}"] if other else []

    def _provenance(self) -> dict[str, Any]:
        task = self.task
        return {
            SCHEMA: CellRecord.version_written,
            "hash": self.cell.hash,
            "cell": {**self.cell.to_json(), "protocol": PROTOCOL},
            "provenance": {
                "fsgan_bench": __version__,
                "commit": commit(),
                "threads": torch.get_num_threads(),
                "device": task.request.device,
                "numerics": asdict(self.cell.numerics),
                **description(task.request.device),
                "classifier_hash": task.classifier_hash,
            },
        }

    def _log(self, session: Session, losses: Mapping[str, float]) -> None:
        done = session.iteration
        if done % LOG_EVERY and done != self.cell.iterations:
            return
        seconds = round(self.seconds["training"], 3)
        self.pending.append({"iteration": done, "seconds": seconds, **losses})
        pace = self.seconds["training"] / done
        self.report(Trained(self.cell.hash, done, pace, dict(losses), peak_resident()))

    def _save(self, session: Session) -> None:
        append_lines(self.files.log, self.pending)
        self.pending.clear()
        save_state(self.files.state, {"session": session.state_dict(), "seconds": self.seconds})

    def _snapshot_if_due(self, session: Session) -> None:
        """Store and score the averaged sampler, unless the files say that it is scored."""
        iteration = session.iteration
        if iteration not in self.cell.snapshots:
            return
        stored = read_lines(self.files.scores)
        others = [line for line in stored if line["iteration"] != iteration]
        if len(others) < len(stored):
            snapshot = self.files.snapshot(iteration)
            if not snapshot.exists() or holds_modules(snapshot, session.averaged):
                return
            self._note(session, f"{snapshot.name} is damaged or of other weights; scored again")
        began = time.perf_counter()
        header = {"cell": self.cell.hash, "iteration": iteration}
        save_modules(self.files.snapshot(iteration), session.averaged, header)
        images, scored = look_at(self.task, self.method, dict(session.averaged.items()))
        save_strip(images, self.files.grid(iteration))
        lines = [score.to_json(iteration=iteration) for score in scored.scores]
        if scored.probe is not None:
            scored.probe.save(self.files.probe(iteration))
        by_iteration = sorted([*others, *lines], key=lambda line: line["iteration"])
        write_lines(self.files.scores, by_iteration)
        self.files.prune(iteration, self.keep)
        self.seconds["scoring"] += time.perf_counter() - began
        values = {line["metric"]: line["value"] for line in lines}
        self.report(events.SnapshotScored(self.cell.hash, iteration, values))


def _checked(losses: object) -> Mapping[str, float]:
    """What a method's step returned, if it is numbers by name; else TypeError."""
    if isinstance(losses, dict) and all(isinstance(value, float) for value in losses.values()):
        return losses
    raise TypeError(f"step must return numbers by name, not {losses!r:.80}")
