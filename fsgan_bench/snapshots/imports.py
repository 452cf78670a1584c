"""Cells that were not trained here: images and checkpoints of other code, scored like our own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fsgan_bench import __version__
from fsgan_bench.data.images import Images
from fsgan_bench.data.sources import find_images, read_images
from fsgan_bench.driver.strips import save_strip
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import PROTOCOL
from fsgan_bench.metrics.scored import Scored
from fsgan_bench.results.cell import cell_hash
from fsgan_bench.results.layout import IMPORTED, CellFiles
from fsgan_bench.results.record import SCHEMA
from fsgan_bench.results.records import CellFields, CellRecord, TimingRecord
from fsgan_bench.snapshots.checkpoint_files import Import, in_iterations
from fsgan_bench.snapshots.image_files import write_images
from fsgan_bench.snapshots.restore import look_again
from fsgan_bench.stylegan2.checkpoint import Networks, load_networks, save_modules
from fsgan_bench.system.files import (
    file_hash,
    write_json,
    write_lines,
    write_text,
)
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.locks import owned
from fsgan_bench.system.machine import description
from fsgan_bench.system.provenance import commit

Say = Callable[[str], None]


@dataclass(frozen=True)
class Imported:
    """An imported cell, its new scores as they are stored, and what could not be known."""

    files: CellFiles
    scores: list[dict[str, Any]] = field(default_factory=list)


Samples = Mapping[int, Callable[[Path, dict[str, Any]], None]]
"""How each snapshot is written to a file with a card, by iteration."""


@dataclass(frozen=True)
class ReadImport:
    """What is imported, once it is read.

    Attributes:
        what: it is.
        method: name of its folder.
        samples: how its snapshots are written.
        record: what ``cell.json`` says of them all.
    """

    what: Import
    method: str
    samples: Samples
    record: dict[str, Any]


def read_import(task: Task, what: Import, say: Say = lambda _: None) -> ReadImport:
    """Read what was trained elsewhere; of the task its source is needed, and nothing prepared.

    Raises:
        UserError: a file is missing, damaged or does not fit the task.
    """
    method = IMPORTED + _slug(what.title)
    samples, record = (_images if what.images else _generators)(task, what, say)
    return ReadImport(what, method, samples, record)


def import_cell(task: Task, read: ReadImport, say: Say = lambda _: None) -> Imported:
    """Store and score what was trained elsewhere as a cell of ``task``, whose lines are prepared.

    What is there already is not made again. Snapshots are copied into the cell, generators in our
    layout and images as the PNGs that are scored, so that it stands for itself.

    Args:
        task: with its reference lines.
        read: from :func:`read_import`.
        say: receives a sentence if it is there already.

    Raises:
        UserError: another cell has the title and the seed.
    """
    what = read.what
    cell: dict[str, Any] = {
        "suite": task.suite.name,
        "target": task.target.name,
        "shots": task.request.shots,
        "method": read.method,
        "title": what.title,
        "paper": "",
        "method_version": "",
        "config": {},
        "seed": what.seed,
        "iterations": max(read.samples),
        "snapshots": sorted(read.samples),
        "source_hash": task.source.hash,
        "few_shot_hash": task.splits.few_shot_hash,
        "imported": read.record,
    }
    digest = cell_hash(cell)
    folder = task.folder / cell["method"] / f"seed{what.seed}-{digest[:8]}"
    _check_alone(folder, what)
    files = CellFiles(folder)
    with owned(folder, patience=-1):
        if not files.done.exists():
            write_json(files.cell, _document(task, cell, digest))
            for iteration, write in read.samples.items():
                write(_target(files, what, iteration), {"cell": digest, "iteration": iteration})
                _score(task, files, cell, iteration)
            seconds = sum(line["seconds"] for line in read_lines(files.scores))
            form = TimingRecord.version_written
            write_json(files.timing, {SCHEMA: form, "scoring_seconds": round(seconds, 3)})
            files.write_manifest(cell["snapshots"], "scored")
            write_text(files.done, "")
        else:
            say(f"{what.title} is there already: {folder}")
    return Imported(files, read_lines(files.scores))


def score_image_set(task: Task, images: Images) -> Scored:
    """Score images [N, R, R, 3] that nobody knows the latents of, as snapshots are scored.

    The first ``probe_size`` are the batch, further ones up to ``frechet_samples`` count for the
    Frechet distance; what pairs an image with the source's is left out.
    """
    batch, further = split_images(task, images)
    return task.scorer.score(batch, (further,) if len(further) else (), paired=False)


def split_images(task: Task, images: Images) -> tuple[Images, Images]:
    """The images in place of the probe batch, and those for the Frechet distance alone."""
    size = task.suite.probe_size
    return images[:size], images[size : task.suite.sampled]


def _images(task: Task, what: Import, say: Say) -> tuple[Samples, dict[str, Any]]:
    ((iteration, path),) = what.files.items()
    suite = task.suite
    total = len(find_images(path, task.resolution))
    image_set = read_images(path, task.resolution, suite.sampled, repeats="keep")
    images = image_set.images
    for note in image_set.notes:
        say(f"{path}: {note}")
    say(
        f"{path}: nobody knows the latents and seeds of these images; what pairs them with the "
        "source's is left out."
    )
    if total > suite.sampled:
        say(
            f"{path}: the first {suite.sampled:,} of {total:,} images are scored, by name, as "
            "every method is scored on so many."
        )
    if len(images) < suite.probe_size:
        say(
            f"{path}: {len(images):,} images, fewer than the {suite.probe_size:,} of the probe "
            "batch; the Frechet distance is biased upwards, and every error is larger."
        )
    if len(images) < 2:
        raise UserError(f"{path} has {len(images)} image(s); a score needs at least 2.")
    digest = hashlib.sha256("\n".join(image_set.hashes).encode()).hexdigest()

    def write(target: Path, card: dict[str, Any]) -> None:
        target.unlink(missing_ok=True)
        write_images(target, [images], card)

    record = {
        "kind": "images",
        "files": {path.name: digest},
        "count": len(images),
        "paired": False,
    }
    return {iteration: write}, record


def _generators(task: Task, what: Import, say: Say) -> tuple[Samples, dict[str, Any]]:
    files = in_iterations(what.files, task.suite.recipe.batch, say)
    others = sum(not _from_source(task, read) for read in _loaded(task, files.values()))
    hashes = {path.name: file_hash(path) for path in files.values()}
    paired = others == 0 and not _lacks_noise(task.source.notes)
    samples = {iteration: _writer(path) for iteration, path in files.items()}
    if not paired:
        say(
            f"{what.title}: its layer noise is not the source's, so nobody knows whether it was "
            "adapted from it; what pairs its images with the source's is left out."
        )
    elif 0 not in samples:
        say(f"{what.title}: its layer noise is the source's, so iteration 0 is the source.")
        samples = {0: _writer(task.source.path), **samples}
    record = {"kind": "generator", "files": hashes, "count": len(files), "paired": paired}
    return samples, record


def _loaded(task: Task, paths: Iterable[Path]) -> Iterator[Networks]:
    for path in paths:
        read = load_networks(path)
        made, needed = read.generator.architecture, task.source.generator.architecture
        if (made.resolution, made.style_dim) != (needed.resolution, needed.style_dim):
            raise UserError(
                f"{path} draws {made.resolution}x{made.resolution} from {made.style_dim} numbers, "
                f"and the suite '{task.suite.name}' scores {needed.resolution}x{needed.resolution} "
                f"from the {needed.style_dim} of its probe batch."
            )
        yield read


def _lacks_noise(notes: Sequence[str]) -> bool:
    """Whether a file's notes say that its layer noise was filled in."""
    return any("fixed noise" in note for note in notes)


def _from_source(task: Task, read: Networks) -> bool:
    """Whether it carries the layer noise of the source, which adaptation leaves as it is.

    That noise was drawn at random when the source's training began, so nothing else has it.
    """
    if _lacks_noise(read.notes):
        return False
    ours, theirs = task.source.generator.fixed_noise(), read.generator.fixed_noise()
    return any(bool(noise.any()) for noise in ours) and all(
        torch.equal(one.cpu(), other.cpu()) for one, other in zip(ours, theirs, strict=True)
    )


def _writer(path: Path) -> Callable[[Path, dict[str, Any]], None]:
    def write(target: Path, card: dict[str, Any]) -> None:
        generator = load_networks(path).generator
        save_modules(target, nn.ModuleDict({"generator": generator}), card)

    return write


def _target(files: CellFiles, what: Import, iteration: int) -> Path:
    snapshot = files.snapshot(iteration)
    return snapshot.with_suffix(".zip") if what.images else snapshot


def _score(task: Task, files: CellFiles, cell: Mapping[str, Any], iteration: int) -> None:
    fields = CellFields.parse(cell, str(files.cell))
    seen = look_again(task, fields, files.snapshot(iteration))
    scored = task.scorer.score(seen.images, seen.further, paired=seen.paired)
    save_strip(seen.images, files.grid(iteration))
    if scored.probe is not None:
        scored.probe.save(files.probe(iteration))
    others = [line for line in read_lines(files.scores) if line["iteration"] != iteration]
    lines = [*others, *(score.to_json(iteration=iteration) for score in scored.scores)]
    write_lines(files.scores, sorted(lines, key=lambda line: int(line["iteration"])))


def _document(task: Task, cell: Mapping[str, Any], digest: str) -> dict[str, Any]:
    return {
        SCHEMA: CellRecord.version_written,
        "hash": digest,
        "cell": {**json.loads(json.dumps(cell)), "protocol": PROTOCOL},
        "provenance": {
            "kind": "imported",
            "fsgan_bench": __version__,
            "commit": commit(),
            "threads": torch.get_num_threads(),
            "device": task.request.device,
            **description(task.request.device),
            "classifier_hash": task.classifier_hash,
        },
    }


def _check_alone(folder: Path, what: Import) -> None:
    """Refuse a second cell of one title and seed: figures would take them for one."""
    beside = folder.parent.glob(f"seed{what.seed}-*/cell.json")
    others = [file.parent for file in beside if file.parent != folder]
    if others:
        raise UserError(
            f"'{what.title}' with seed {what.seed} was imported from other files already "
            f"({others[0]}); give another --name or --seed, or delete that folder."
        )


def _slug(title: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[: 64 - len(IMPORTED)].strip("-")
    if not slug:
        raise UserError(f"--name {title!r} has no letter or digit, so no folder can be named so.")
    return slug
