"""A task: source, target and shots, with all that its cells share, prepared once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.images import Images, grid, save_png, to_uint8
from fsgan_bench.data.splits import Splits
from fsgan_bench.data.targets import SplitSizes
from fsgan_bench.errors import UserError
from fsgan_bench.method import Method
from fsgan_bench.metrics.features import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.scores import Yardstick
from fsgan_bench.plan import PROTOCOL, task_folder
from fsgan_bench.registry import classifier_entry
from fsgan_bench.scoring import Scorer
from fsgan_bench.store import read_lines, write_json, write_lines
from fsgan_bench.streams import Streams
from fsgan_bench.stylegan2.checkpoint import Source, load_source
from fsgan_bench.suite import Suite, get_suite

STRIP_COLUMNS = 8
STRIP_TILES = 16


@dataclass(frozen=True)
class TaskRequest:
    """What names a task, small enough to be sent to a worker process.

    Attributes:
        suite: its name or file.
        target, shots: the rest of the task.
        root: root of all results.
        data: folder of the suite's files, see ``fsgan_bench.suite.get_suite``.
        device: ``cpu`` or ``cuda``.
        allow_weak_classifier: score even with a classifier that fails its checks.
    """

    suite: str
    target: str
    shots: int
    root: Path
    data: Path | None = None
    device: str = "cpu"
    allow_weak_classifier: bool = False


class Task:
    """Everything that the cells of a task share. What is expensive is made on first use."""

    def __init__(self, request: TaskRequest) -> None:
        self.request = request
        self.suite: Suite = get_suite(request.suite, request.data)
        self.target = self.suite.target(request.target)
        self.suite.check_files(self.target)
        self.folder = task_folder(request.root, self.suite.name, request.target, request.shots)

    @functools.cached_property
    def source(self) -> Source:
        source = load_source(self.suite.source.path)
        source.generator.to(self.request.device)
        source.discriminator.to(self.request.device)
        return source

    @functools.cached_property
    def splits(self) -> Splits:
        suite = self.suite
        sizes = SplitSizes(
            self.request.shots, suite.classifier_size, suite.reference_size, suite.probe_size
        )
        return self.target.images.splits(sizes, suite.few_shot_seed, self.resolution)

    @property
    def resolution(self) -> int:
        return self.source.generator.architecture.resolution

    @functools.cached_property
    def probe(self) -> Tensor:
        """The fixed probe batch of latents, [probe_size, style_dim]."""
        size = (self.suite.probe_size, self.source.generator.architecture.style_dim)
        return torch.randn(size, generator=Streams(self.suite.probe_seed)["probe"])

    @functools.cached_property
    def classifier(self) -> Any:
        """The realisticness classifier, from the cache or trained now.

        None if there are no images of the target, or of anything else, that it could learn from.

        Raises:
            UserError: it fails its checks and nobody said that it may.
        """
        get_classifier = classifier_entry(self.suite.classifier)
        target = self.splits.classifier
        if not len(target):
            return None
        others = self.target.images.non_target(self.suite.classifier_size, self.resolution)
        if not others:
            return None
        classifier = get_classifier(
            self.suite.classifier,
            target,
            others,
            source=next(iter(others)),
            ideal=self.target.images.ideal,
            device=self.request.device,
        )
        classifier.check_usable(allow=self.request.allow_weak_classifier)
        return classifier

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each set of images that is missing or of which some were left out."""
        missing = (part for part in self.suite.parts(self.target) if part.location.found is None)
        left_out = self.splits.notes if isinstance(self.splits, FileSplits) else ()
        return (*(f"no {part.name}: {part.without}." for part in missing), *left_out)

    @functools.cached_property
    def scorer(self) -> Scorer:
        backbone = load_backbone(self.suite.lpips_backbone, self.request.device)
        yardstick = Yardstick(
            classifier=self.classifier,
            few_shot=backbone.features(self.splits.few_shot).lpips,
            reference=FrechetReference(backbone.pooled(self.splits.reference)),
        )
        return Scorer(backbone, yardstick)

    def generate(
        self, method: Method, modules: Mapping[str, nn.Module], count: int | None = None
    ) -> Images:
        """Images of the probe batch, or of its first ``count``, 8 bit: uint8 [N, R, R, 3]."""
        parts = []
        with torch.inference_mode():
            for z in self.probe[:count].split(50):
                parts.append(to_uint8(method.sample(modules, z.to(self.request.device))))
        return np.concatenate(parts)

    def prepare(self) -> None:
        """Write what is known before any training: task.json, the card, reference lines, strips."""
        description = self._description()
        write_json(self.folder / "task.json", description)
        if self.classifier is not None:
            write_json(self.folder / "classifier.json", self.classifier.card)
        stored = read_lines(self.folder / "references.jsonl")
        decisive = ("probe_hash", "few_shot_hash", "reference_hash", "classifier_hash", "protocol")
        stamp = {key: description[key] for key in decisive} | {"source_hash": self.source.hash}
        if stored and all(line.get("stamp") == stamp for line in stored):
            return
        lines: list[dict[str, Any]] = []
        for name, images in self._references().items():
            save_strip(images, self.folder / "strips" / f"{name}.png")
            lines += [
                {**score.to_json(reference=name), "stamp": stamp}
                for score in self.scorer.score(images)
            ]
        save_strip(self.splits.few_shot, self.folder / "strips" / "few_shot.png")
        write_lines(self.folder / "references.jsonl", lines)

    def _references(self) -> dict[str, Images]:
        source = self.generate(Method(), {"generator": self.source.generator})
        references = {"source": source}
        if len(self.splits.held_out):
            references["real"] = self.splits.held_out
        if self.target.images.ideal is not None:
            references["ideal"] = self.target.images.ideal(source)
        return references

    def _description(self) -> dict[str, Any]:
        request = self.request
        return {
            "suite": self.suite.name,
            "target": request.target,
            "target_title": self.target.title,
            "source_title": self.suite.source_title,
            "shots": request.shots,
            "resolution": self.resolution,
            "source": {"hash": self.source.hash, "card": dict(self.source.card)},
            "few_shot_hash": self.splits.few_shot_hash,
            **self._few_shot_record(),
            "reference_hash": self.splits.reference_hash,
            "probe_hash": tensor_hash(self.probe),
            "classifier_hash": self.classifier and self.classifier.hash,
            "protocol": PROTOCOL,
            "attribution": self.target.images.attribution,
        }

    def _few_shot_record(self) -> dict[str, Any]:
        """Which files the few-shot images are, where they are files."""
        if not isinstance(self.splits, FileSplits):
            return {}
        return {
            "few_shot": list(self.splits.few_shot_names),
            "few_shot_pool": self.splits.pool_size,
            "real_images": self.splits.real_size,
        }


def tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes, in hex."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def save_strip(images: Images, path: Path) -> None:
    """Save the first 16 images as 2 rows of 8, without borders; missing tiles are white."""
    tiles = np.full((STRIP_TILES, *images.shape[1:]), 255, dtype=np.uint8)
    count = min(len(images), STRIP_TILES)
    tiles[:count] = images[:count]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(grid(tiles, STRIP_COLUMNS, padding=0), path)


@functools.lru_cache(maxsize=2)
def load_task(request: TaskRequest) -> Task:
    """The task of a request, kept for the cells that follow in this process.

    Raises:
        UserError: suite, target or shots are not to be had.
    """
    if request.shots < 1:
        raise UserError(f"--shots must be at least 1, not {request.shots}.")
    return Task(request)
