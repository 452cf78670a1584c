"""The classifier ablation (Zhao et al. 2022, Fig. 6 left): other classifiers score snapshots.

Each of them learns the target against other non-targets than the suite's own classifier, or is
another network. What it makes of pure noise and of the reference images is stored beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from fsgan_bench.data.images import Images
from fsgan_bench.driver.preparation import reference_images
from fsgan_bench.driver.task import Task, TaskRequest, load_task
from fsgan_bench.errors import UserError
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.realisticness import probabilities
from fsgan_bench.plugins.classifiers import make_classifier
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.results.merge import ABLATION_KEY
from fsgan_bench.snapshots.restore import look_again
from fsgan_bench.system import machine
from fsgan_bench.system.files import write_json, write_lines
from fsgan_bench.system.json_files import read_json, read_lines
from fsgan_bench.system.locks import owned

FINE_TUNED = "timm:tf_efficientnet_lite0"

GREYED = ("grey-faces", "grey source")
"""Non-targets that are the source's images without colour."""


@dataclass(frozen=True)
class AblationClassifier:
    """A classifier of the ablation: its title, its name in the registry, and what it rejects."""

    key: str
    title: str
    classifier: str | None
    rejects: Callable[[list[str]], list[str]]


ABLATION: tuple[AblationClassifier, ...] = (
    AblationClassifier("mixture", "mixture (the suite's classifier)", None, lambda names: names),
    AblationClassifier("source", "source alone", None, lambda names: names[:1]),
    AblationClassifier(
        "others",
        "other styles, without the source",
        None,
        lambda names: [name for name in names[1:] if name not in GREYED],
    ),
    AblationClassifier(
        "fine-tuned", "mixture, network fine-tuned", FINE_TUNED, lambda names: names
    ),
)
"""``rejects`` is given the names of all non-target domains, the source's first."""


def score_again(
    task: Task,
    cells: Sequence[Path],
    *,
    plugins: Sequence[Path] = (),
    jobs: int = 1,
    threads: int = 1,
    say: Callable[[str], None],
) -> None:
    """Score the stored snapshots of finished ``cells`` by each classifier; what is known is kept.

    Writes ``classifier-ablation/scores.jsonl`` and each one's card beside it, after every cell.

    Args:
        task: of the cells.
        cells: their folders.
        plugins: plugin files with their methods.
        jobs: processes at a time.
        threads: of each.
        say: receives a sentence for whatever is left out.
    """
    files = TaskFiles(task.folder)
    snapshots = {folder: _snapshots(folder) for folder in cells}
    lines = read_lines(files.ablation_scores)
    stored = {key: read_json(card) for key, card in files.ablation_cards().items()}
    everything = stored.keys() >= {variant.key for variant in ABLATION}
    if everything and not any(_missing(snapshots, lines, stored).values()):
        return
    classifiers = _classifiers(task, say)
    cards = {key: classifier.card for key, classifier in classifiers.items()}
    for key, card in cards.items():
        write_json(files.ablation_card(key), card)
    seen = {line["judge"] for line in lines if "reference" in line and _by(line, cards)}
    if new := {key: each for key, each in classifiers.items() if key not in seen}:
        _store(files, cards, _score_references(task, new))
    work = []
    for folder, wanted in _missing(snapshots, lines, cards).items():
        if not all(CellFiles(folder).snapshot(at).exists() for at in wanted):
            say(f"{folder} cannot be scored again: its snapshots are not stored.")
        elif wanted:
            work.append(
                joblib.delayed(_score_cell)(task.request, folder, wanted, tuple(plugins), threads)
            )
    for scored in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
        _store(files, cards, scored)


def _store(
    files: TaskFiles, cards: Mapping[str, Mapping[str, Any]], scored: Sequence[dict[str, Any]]
) -> None:
    """Add lines to what other processes may have stored meanwhile; each is there once."""
    with owned(files.folder, patience=-1):
        lines = [*read_lines(files.ablation_scores), *scored]
        by_key = {
            tuple(line.get(name) for name in ABLATION_KEY): line
            for line in lines
            if line["judge"] not in cards or _by(line, cards)
        }
        write_lines(files.ablation_scores, sorted(by_key.values(), key=_order))


def _snapshots(folder: Path) -> tuple[str, tuple[int, ...]]:
    """A cell's hash, and the iterations of its snapshots."""
    record = read_cell(CellFiles(folder))
    return record.hash, record.cell.snapshots


def _missing(
    snapshots: Mapping[Path, tuple[str, Sequence[int]]],
    lines: Sequence[Mapping[str, Any]],
    cards: Mapping[str, Mapping[str, Any]],
) -> dict[Path, dict[int, list[str]]]:
    """For each cell and iteration, those of these classifiers that have not scored there."""
    known = {
        (line["judge"], line.get("cell"), line.get("iteration"))
        for line in lines
        if _by(line, cards)
    }
    found = {}
    for folder, (cell, iterations) in snapshots.items():
        left = {at: [key for key in cards if (key, cell, at) not in known] for at in iterations}
        found[folder] = {at: keys for at, keys in left.items() if keys}
    return found


def _by(line: Mapping[str, Any], cards: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether one of these very classifiers has scored."""
    card = cards.get(line["judge"])
    return card is not None and card["hash"] == line["classifier_hash"]


def _order(line: Mapping[str, Any]) -> tuple[str, str, int]:
    return line.get("cell", ""), line["judge"], int(line.get("iteration", 0))


def _classifiers(task: Task, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The classifiers that can be had, by key."""
    target = task.splits.classifier
    non_target = task.rejected.images
    if len(target) == 0 or not non_target:
        raise UserError(
            f"The target '{task.target.name}' has no images to train classifiers with, so there is "
            "nothing to compare."
        )
    classifiers: dict[str, Any] = {}
    for variant in ABLATION:
        negatives = {name: non_target[name] for name in variant.rejects(list(non_target))}
        name = variant.classifier or task.suite.classifier
        source = next(iter(non_target))
        try:
            classifiers[variant.key] = make_classifier(
                name,
                target,
                negatives,
                source=source if source in negatives else None,
                ideal=task.target.images.ideal if source in negatives else None,
                device=task.request.device,
            )
        except UserError as error:
            say(f"classifier ablation, {variant.title}: left out. {error}")
    return classifiers


def _score_references(task: Task, classifiers: Mapping[str, Any]) -> list[dict[str, Any]]:
    noise = np.random.default_rng(task.suite.probe_seed)
    shape = (len(task.probe), task.resolution, task.resolution, 3)
    references = {name: images for name, (images, _) in reference_images(task).items()}
    references["noise"] = noise.integers(0, 256, shape, dtype=np.uint8)
    return [
        {"reference": name} | line
        for name, images in references.items()
        for line in _lines(task, classifiers, images)
    ]


def _score_cell(
    request: TaskRequest,
    folder: Path,
    wanted: Mapping[int, Sequence[str]],
    plugins: tuple[Path, ...],
    threads: int,
) -> list[dict[str, Any]]:
    """In a process of its own: the ``wanted`` classifiers' scores of one cell's snapshots."""
    machine.prepare(threads, request.device)
    task, files = load_task(request), CellFiles(folder)
    classifiers = _classifiers(task)
    record = read_cell(files)
    lines = []
    for at, keys in wanted.items():
        seen = look_again(task, record.cell, files.snapshot(at), plugins)
        position = {"cell": record.hash, "iteration": at}
        judges = {key: classifiers[key] for key in keys}
        lines += [position | line for line in _lines(task, judges, seen.images)]
    return lines


def _lines(task: Task, classifiers: Mapping[str, Any], images: Images) -> Iterator[dict[str, Any]]:
    """Each classifier's mean score of the images [N, R, R, 3], one pass a network."""
    pooled: dict[str, Any] = {}
    trunk = load_backbone(task.suite.frechet_backbone, task.request.device)
    for key, classifier in classifiers.items():
        if getattr(classifier, "trunk", "") == trunk.version and not pooled:
            pooled[trunk.version] = trunk.pooled(images)
        scores = probabilities(classifier, images, pooled)
        yield {
            "judge": key,
            "classifier_hash": str(classifier.hash),
            "value": float(scores.mean()),
            "stderr": float(scores.std(ddof=1) / len(scores) ** 0.5),
            "n": len(scores),
        }
