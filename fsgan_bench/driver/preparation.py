"""What is known of a task before any training, written: task.json, the card, reference lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.images import Images, joined_hash
from fsgan_bench.driver.strips import save_strip
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import PROTOCOL
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.results.records import TaskRecord
from fsgan_bench.system.files import file_hash, write_json, write_lines
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.training.method import Method

PROBE = "probe batch (probe_size, or a kind of processor that draws other latents)"
REFERENCE_SET = "reference set (the real images, reference, reference_size, statistics)"
SAMPLES = "number of images that the Frechet distance takes (frechet_samples)"


def prepare(task: Task) -> None:
    """Write ``task.json``, the classifier's card, reference lines and strips of images.

    Raises:
        UserError: what :func:`check_yardstick` says.
    """
    check_yardstick(task)
    record, files = task_record(task), TaskFiles(task.folder)
    write_json(files.task, {SCHEMA: TaskRecord.version_written, **record})
    if task.classifier is not None:
        write_json(files.classifier, task.classifier.card)
    stored = read_lines(files.references)
    decisive = ("few_shot_hash", "classifier_hash", "protocol")
    stamp = (
        {key: record[key] for key in decisive}
        | _measured_by(task)
        | {
            "source_hash": task.source.hash,
            "networks": [version for _, version in task.scorer.networks.values()],
        }
    )
    current = [line for line in stored if line.get("stamp") == stamp]
    if current and len(current) == len(stored) and not _unmeasured(task, current):
        return
    lines: list[dict[str, Any]] = []
    for name, (images, more) in reference_images(task).items():
        save_strip(images, files.strip(name))
        scored = task.scorer.score(images, more, paired=name != "real")
        if scored.probe is not None:
            scored.probe.save(files.probe(name))
        lines += [{**score.to_json(reference=name), "stamp": stamp} for score in scored.scores]
    save_strip(task.splits.few_shot, files.few_shot)
    known = {_identity(line) for line in lines}
    further = [line for line in current if _identity(line) not in known]
    write_lines(files.references, [*lines, *further])


def _unmeasured(task: Task, lines: Iterable[Mapping[str, Any]]) -> bool:
    """Whether snapshots are scored by a metric that the source's reference line lacks."""
    known = {_identity(line)[1:] for line in lines if line["reference"] == "source"}
    return not known.issuperset(task.scorer.identities(len(task.probe)))


def _identity(line: Mapping[str, Any]) -> tuple[str, ...]:
    return line["reference"], line["metric"], line["backbone"], line["version"]


def check_yardstick(task: Task, emptied: Collection[Path] = ()) -> None:
    """Refuse to put scores beside those of cells that something else has measured.

    Args:
        task: whose cells are to be scored.
        emptied: folders of cells that do not count, as they start over.

    Raises:
        UserError: the task's stored scores are of another probe batch or reference set.
    """
    stored = read_lines(TaskFiles(task.folder).references)
    if not stored:
        return
    before, now = stored[0].get("stamp") or {}, _measured_by(task)
    others = [] if before.get("probe_hash") == now["probe_hash"] else [PROBE]
    if before.get("reference_hash") != joined_hash([]) or "statistics_hash" in before:
        kinds = ("reference_hash", "reference", "statistics_hash")
        if any(before.get(key) != now.get(key) for key in kinds):
            others.append(REFERENCE_SET)
        if before.get("frechet_samples") != now["frechet_samples"]:
            others.append(SAMPLES)
    cells = (cell for cell in task.folder.glob("*/*") if cell not in emptied)
    if others and any(CellFiles(cell).scores.exists() for cell in cells):
        raise UserError(
            f"{task.folder}: its cells were scored with another {' and another '.join(others)}; "
            "what is scored now would not compare with them. Name another --out, or move that "
            "folder away."
        )


def _measured_by(task: Task) -> dict[str, Any]:
    """What the scores of one table must have in common."""
    return {
        "probe_hash": task.probe.hash,
        "reference_hash": task.splits.reference_hash,
        **_statistics_record(task),
        "frechet_samples": task.suite.sampled,
        **({} if task.suite.reference == "held-out" else {"reference": "all"}),
    }


def reference_images(task: Task) -> dict[str, tuple[Images, Iterable[Images]]]:
    """Images of each reference line, and further ones for the Frechet distance."""
    method, modules = Method(), {"generator": task.source.generator}
    source = task.source_images
    references: dict[str, tuple[Images, Iterable[Images]]] = {
        "source": (source, task.probe.generate_further(method, modules))
    }
    if len(task.splits.held_out) > 0:
        references["real"] = (task.splits.held_out, ())
    ideal = task.target.images.ideal
    if ideal is not None:
        further = map(ideal, task.probe.generate_further(method, modules))
        references["ideal"] = ideal(source), further
    return references


def task_record(task: Task) -> dict[str, Any]:
    """What ``task.json`` holds; every hash is taken anew from what the task is made of."""
    request = task.request
    return {
        "suite": task.suite.name,
        "target": request.target,
        "target_title": task.target.title,
        "source_title": task.suite.source_title,
        "shots": request.shots,
        "resolution": task.resolution,
        "source": {"hash": task.source.hash, "card": dict(task.source.card)},
        "few_shot_hash": task.splits.few_shot_hash,
        **_few_shot_record(task),
        "reference_hash": task.splits.reference_hash,
        **_statistics_record(task),
        "probe_hash": task.probe.hash,
        "classifier_hash": task.classifier_hash,
        "protocol": PROTOCOL,
        "lpips_protocol": task.suite.lpips_protocol,
        "notes": list(task.notes),
        "attribution": task.target.images.attribution,
    }


def _statistics_record(task: Task) -> dict[str, str]:
    """The file of statistics that the Frechet distance is to, where the target has one."""
    location = task.target.images.statistics
    file = None if location is None else location.found
    return {} if file is None else {"statistics_hash": file_hash(file)}


def _few_shot_record(task: Task) -> dict[str, Any]:
    """Which files the few-shot images are, where they are files."""
    splits = task.splits
    if not isinstance(splits, FileSplits):
        return {}
    return {
        "few_shot": list(splits.few_shot_names),
        "few_shot_pool": splits.pool_size,
        "real_images": splits.real_size,
    }
