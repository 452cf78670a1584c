"""More metrics on stored snapshots: lines are added to scores.jsonl, none is taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsgan_bench.driver.preparation import reference_images, task_record
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import Metric
from fsgan_bench.results.folders import find_cells, read_cell, read_task
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.records import CellFields
from fsgan_bench.snapshots.restore import look_again, stored_task
from fsgan_bench.system.files import file_hash, write_lines
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.locks import Taken, owned

Say = Callable[[str], None]


@dataclass
class Additions:
    """How many lines a scoring added, and how a metric of another package failed, by its name.

    A metric that has failed is not tried again.
    """

    count: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    def left(self, metrics: Sequence[Metric]) -> list[Metric]:
        """The metrics that have not failed."""
        return [metric for metric in metrics if metric.name not in self.broken]


_MADE_FROM = ("few_shot_hash", "reference_hash", "probe_hash")


def score_runs(
    runs: Sequence[Path],
    metrics: Sequence[Metric],
    *,
    say: Say,
    suite: str | None = None,
    data: Path | None = None,
    plugins: Sequence[Path] = (),
    device: str = "cpu",
) -> Additions:
    """Score the stored snapshots of all finished cells below ``runs``, and the reference lines.

    What was scored already, in the same version, is passed over.

    Args:
        runs: folders of results, searched recursively.
        metrics: what to score by.
        say: receives a sentence for each cell and for whatever is left out.
        suite: suite file of the runs; by default the built-in suite that they name.
        data: folder that the suite's paths start from.
        plugins: plugin files with methods of the runs.
        device: ``cpu`` or ``cuda``.

    Raises:
        UserError: no runs, or a task that was made from other images or another
            source than are there.
    """
    added = Additions()
    for folder, cells in find_cells(runs).items():
        finished = [files for files in map(CellFiles, cells) if files.done.exists()]
        if len(finished) < len(cells):
            say(f"{folder}: {len(cells) - len(finished)} unfinished cell(s) passed over")
        kept: list[tuple[CellFiles, CellFields, list[int]]] = []
        for files in finished:
            cell = read_cell(files).cell
            snapshots = [at for at in cell.snapshots if files.snapshot(at).exists()]
            if snapshots:
                kept.append((files, cell, snapshots))
            else:
                say(f"{files.folder}: passed over, no snapshots are stored")
        if not kept:
            continue
        try:
            task = stored_task(folder, kept[0][1], suite, data, device)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        _check_inputs(task)
        possible = []
        for metric in metrics:
            reason = metric.missing(task.scorer.yardstick)
            if reason is None:
                possible.append(metric)
            else:
                say(f"{folder}: {task.scorer.identity(metric)[0]} is left out: {reason}")
        with owned(task.folder, patience=-1):
            added.count += _score_references(task, possible, added)
        for each in kept:
            added.count += _score_cell(task, *each, possible, plugins, say, added)
    return added


def _score_cell(
    task: Task,
    files: CellFiles,
    cell: CellFields,
    snapshots: Sequence[int],
    metrics: Sequence[Metric],
    plugins: Sequence[Path],
    say: Say,
    additions: Additions,
) -> int:
    if cell.source_hash != task.source.hash or cell.few_shot_hash != task.splits.few_shot_hash:
        say(f"{files.folder}: passed over, made with another source or few-shot set")
        return 0
    added = 0
    left_out: dict[str, str] = {}
    try:
        with owned(files.folder):
            manifest = files.read_manifest()
            try:
                for iteration in snapshots:
                    added += _score_snapshot(
                        task, files, cell, iteration, metrics, plugins, additions, left_out
                    )
            finally:
                # Also of scores that an earlier, interrupted call has added.
                known = None if manifest is None else manifest.sha256.get(files.scores.name)
                if manifest and manifest.keep and file_hash(files.scores) != known:
                    files.write_manifest(cell.snapshots, manifest.keep)
    except Taken as taken:
        say(f"{files.folder}: passed over, {taken}")
    except UserError as error:
        raise UserError(f"{files.folder}: {error}") from None
    for name, reason in left_out.items():
        say(f"{files.folder}: {name} is left out: {reason}")
    say(f"{files.folder}: {added} score(s) added at {len(snapshots)} snapshot(s)")
    return added


def _score_snapshot(
    task: Task,
    files: CellFiles,
    cell: CellFields,
    iteration: int,
    metrics: Sequence[Metric],
    plugins: Sequence[Path],
    additions: Additions,
    left_out: dict[str, str],
) -> int:
    """Add a snapshot's scores; how many. ``left_out`` receives why a metric is not among them."""
    stored = read_lines(files.scores)
    known = [line for line in stored if line["iteration"] == iteration]
    wanted = _unscored(task, additions.left(metrics), known)
    if cell.imported is None:
        wanted = _able(task, wanted, len(task.probe), True, left_out)
    if not wanted:
        return 0
    seen = look_again(task, cell, files.snapshot(iteration), plugins)
    wanted = _able(task, wanted, len(seen.images), seen.paired, left_out)
    scored = task.scorer.score(seen.images, seen.further, wanted, paired=seen.paired)
    additions.broken.update(scored.broken)
    scored.add_to(files.probe(iteration))
    lines = [*stored, *(score.to_json(iteration=iteration) for score in scored.scores)]
    write_lines(files.scores, sorted(lines, key=lambda line: int(line["iteration"])))
    return len(scored.scores)


def _score_references(task: Task, metrics: Sequence[Metric], additions: Additions) -> int:
    files = TaskFiles(task.folder)
    stored = read_lines(files.references)
    lines = list(stored)
    for name, (images, further) in reference_images(task).items():
        known = [line for line in stored if line["reference"] == name]
        left = additions.left(metrics)
        applicable = [metric for metric in left if name != "real" or not metric.paired]
        wanted = _unscored(task, applicable, known)
        if not wanted or not known:
            continue
        scored = task.scorer.score(images, further, wanted)
        additions.broken.update(scored.broken)
        scored.add_to(files.probe(name))
        stamp = {"stamp": known[0]["stamp"]}
        lines += [score.to_json(reference=name) | stamp for score in scored.scores]
    if len(lines) > len(stored):
        write_lines(files.references, lines)
    return len(lines) - len(stored)


def _able(
    task: Task, metrics: Sequence[Metric], count: int, paired: bool, left_out: dict[str, str]
) -> list[Metric]:
    """The metrics that so many images can be scored by."""
    able = []
    for metric in metrics:
        if reason := task.scorer.unable(metric, count, paired):
            left_out[task.scorer.identity(metric)[0]] = reason
        else:
            able.append(metric)
    return able


def _unscored(
    task: Task, metrics: Sequence[Metric], lines: Sequence[Mapping[str, Any]]
) -> list[Metric]:
    known = {(line["metric"], line["backbone"], line["version"]) for line in lines}
    return [metric for metric in metrics if task.scorer.identity(metric) not in known]


def _check_inputs(task: Task) -> None:
    """Refuse a task whose images, latents or source are others than its scores were made with."""
    stored, now = read_task(TaskFiles(task.folder)), task_record(task)
    other = [key for key in _MADE_FROM if getattr(stored, key) != now[key]]
    if stored.source.hash != now["source"]["hash"]:
        other.append("source")
    if other:
        raise UserError(
            f"{task.folder} was made with other data than are there now ({', '.join(other)}), so "
            "its snapshots cannot be scored beside its scores."
        )
