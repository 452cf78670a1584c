"""A task: source, target and shots, with all that its cells share, prepared once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fsgan_bench.data.cache import cache_dir, cached_images, release
from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.images import Images, to_uint8
from fsgan_bench.data.splits import Splits
from fsgan_bench.data.targets import Rejected, SplitSizes
from fsgan_bench.driver.attributes import attribute_readers
from fsgan_bench.driver.learning import learn, too_few
from fsgan_bench.driver.reference import compared, frechet_reference
from fsgan_bench.driver.strips import save_strip
from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import distance_to_nearest
from fsgan_bench.metrics.metric import NO_REFERENCE, PROTOCOL, Yardstick
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.results.layout import TaskFiles, task_folder
from fsgan_bench.results.records import SCHEMA, TaskRecord
from fsgan_bench.stylegan2.checkpoint import Source, load_source
from fsgan_bench.suites.file import get_suite
from fsgan_bench.suites.model import Suite
from fsgan_bench.system.files import file_hash, write_json, write_lines
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.training.method import Method, check_sample
from fsgan_bench.training.streams import Streams

PIXELS_PER_BATCH = 50 * 64 * 64
"""Generated at a time, but no more than 50 images: bounds memory whatever the resolution."""


@dataclass(frozen=True)
class TaskRequest:
    """What names a task, small enough to be sent to a worker process.

    Attributes:
        suite: its name or file.
        target, shots: the rest of the task.
        root: root of all results.
        data: folder of the suite's files, see ``fsgan_bench.suites.file.get_suite``.
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
        if not self.suite.source.candidates:
            raise UserError(
                f"The suite '{self.suite.name}' names no source model, so nothing can be adapted; "
                "fsgan-bench evaluate still says what its real images would score."
            )
        source = load_source(self.suite.source.path)
        source.generator.to(self.request.device)
        if source.discriminator is not None:
            source.discriminator.to(self.request.device)
        return source

    @property
    def split_sizes(self) -> SplitSizes:
        """How many images the suite asks for."""
        suite = self.suite
        return SplitSizes(
            self.request.shots, suite.classifier_size, suite.reference_size, suite.probe_size
        )

    @functools.cached_property
    def splits(self) -> Splits:
        images = self.target.images
        return images.splits(self.split_sizes, self.suite.few_shot_seed, self.resolution)

    @property
    def resolution(self) -> int:
        return self.suite.resolution or self.source.generator.architecture.resolution

    def check_resolution(self) -> None:
        """Raise UserError if the source's images are too small for a network that scores them."""
        for name in sorted(self.suite.backbones):
            least = load_backbone(name, self.request.device).min_size
            if self.resolution < least:
                raise UserError(
                    f"The suite '{self.suite.name}' cannot be scored: its source draws images of "
                    f"{self.resolution} pixels a side, and the feature network '{name}' needs "
                    f"at least {least}."
                )

    @property
    def sample_batch(self) -> int:
        """Images that are generated at a time."""
        return max(1, min(50, PIXELS_PER_BATCH // self.resolution**2))

    @functools.cached_property
    def probe(self) -> Tensor:
        """The fixed probe batch of latents, [probe_size, style_dim]."""
        return self._latents[: self.suite.probe_size]

    @property
    def sampled(self) -> int:
        """Images of a snapshot that the Frechet distance takes, the probe batch first."""
        return self.suite.frechet_samples or self.suite.probe_size

    @functools.cached_property
    def _latents(self) -> Tensor:
        """The probe batch, and further latents if the Frechet distance takes more."""
        stream = Streams(self.suite.probe_seed)["probe"]
        probe, dim = self.suite.probe_size, self.source.generator.architecture.style_dim
        further = self.sampled - probe
        return torch.cat([torch.randn(n, dim, generator=stream) for n in (probe, further)])

    @functools.cached_property
    def classifier(self) -> Any:
        """The realisticness classifier, from the cache or trained now.

        None if there are no images of the target, or of anything else, that it could learn from,
        or too few.

        Raises:
            UserError: it fails its checks and nobody said that it may.
        """
        return self._classifier_or_reason[0]

    @functools.cached_property
    def _classifier_or_reason(self) -> tuple[Any, str]:
        """The classifier, or None and why there is none."""
        return learn(
            self.suite.classifier,
            self.splits,
            lambda: self.rejected.images,
            ideal=self.target.images.ideal,
            device=self.request.device,
            allow_weak=self.request.allow_weak_classifier,
        )

    @functools.cached_property
    def rejected(self) -> Rejected:
        """What the classifier learns to reject: nothing that the target's sets hold."""
        splits = self.splits
        known = (splits.few_shot, splits.classifier, splits.reference, splits.held_out)
        images = self.target.images
        return images.non_target(self.suite.classifier_size, self.resolution, known)

    @functools.cached_property
    def source_images(self) -> Images:
        """What the source generator draws for the probe batch, kept between runs."""
        shape = (len(self.probe), self.resolution, self.resolution, 3)
        name = f"{self.source.hash[:16]}-{tensor_hash(self.probe)[:16]}.npy"
        return cached_images(
            cache_dir() / "source" / name,
            shape,
            lambda: self.generate(Method(), {"generator": self.source.generator}),
        )

    @property
    def classifier_hash(self) -> str | None:
        return None if self.classifier is None else str(self.classifier.hash)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each metric that is left out or needs care, and for images left out."""
        left_out = self.splits.notes if isinstance(self.splits, FileSplits) else ()
        rejected = self.rejected.notes if len(self.splits.classifier) else ()
        return (*self.scorer.notes, *self.source.notes, *left_out, *rejected)

    @functools.cached_property
    def scorer(self) -> Scorer:
        device, reference = self.request.device, self.splits.reference
        lpips = load_backbone(self.suite.lpips_backbone, device)
        frechet = load_backbone(self.suite.frechet_backbone, device)
        few_shot = lpips.features(self.splits.few_shot).lpips
        real = frechet.pooled(reference) if len(reference) > 1 else None
        also = self._also(reference) if real is not None else []
        release(reference)
        statistics = self.statistics_file
        known = frechet_reference(
            self.suite, self.target.images, frechet, real, statistics, self.resolution
        )
        held_out, ideal = self.splits.held_out, self.target.images.ideal

        @functools.cache
        def real_nearest() -> NDArray[np.float32]:
            batches = (part.lpips for part in lpips.batches(held_out))
            return np.concatenate([distance_to_nearest(part, few_shot) for part in batches])

        yardstick = Yardstick(
            few_shot=few_shot,
            classifier=self.classifier,
            no_classifier=self._classifier_or_reason[1],
            no_reference=too_few(self.splits, "it takes two real images at least", NO_REFERENCE),
            reference=known,
            statistics=statistics.name if statistics else "",
            compared=compared(self.suite, known, self.sampled, len(self.splits.classifier)),
            real=real,
            real_nearest=real_nearest if len(held_out) > 0 else None,
            source=lambda: self.source_images,
            ideal=None if ideal is None else lambda: ideal(self.source_images),
            attributes=attribute_readers(self.target.images, self.resolution, lpips),
        )
        return Scorer(lpips, frechet, yardstick, also)

    def _also(self, held_out: Images) -> list[tuple[Backbone, FrechetReference]]:
        """The further backbones of the Frechet distance, with what it is to."""
        also = []
        for name in self.suite.frechet_also:
            backbone = load_backbone(name, self.request.device)
            features = backbone.pooled(held_out)
            reference = frechet_reference(
                self.suite, self.target.images, backbone, features, None, self.resolution
            )
            assert reference is not None
            also.append((backbone, reference))
        return also

    def generate(
        self, method: Method, modules: Mapping[str, nn.Module], count: int | None = None
    ) -> Images:
        """Images of the probe batch, or of its first ``count``, 8 bit: uint8 [N, R, R, 3]."""
        return np.concatenate(list(self._generate(method, modules, self.probe[:count])))

    def generate_further(
        self, method: Method, modules: Mapping[str, nn.Module]
    ) -> Iterator[Images]:
        """What the Frechet distance takes beyond the probe batch, in batches [B, R, R, 3]."""
        return self._generate(method, modules, self._latents[self.suite.probe_size :])

    def _generate(
        self, method: Method, modules: Mapping[str, nn.Module], latents: Tensor
    ) -> Iterator[Images]:
        side = self.resolution
        for z in latents.split(self.sample_batch) if len(latents) else ():
            with torch.inference_mode():
                sampled = method.sample(modules, z.to(self.request.device))
                check_sample(sampled, (len(z), 3, side, side))
                images = to_uint8(sampled)
            yield images

    def prepare(self) -> None:
        """Write what is known before any training: task.json, the card, reference lines, strips."""
        description, files = self.description(), TaskFiles(self.folder)
        write_json(files.task, {SCHEMA: TaskRecord.version_written, **description})
        if self.classifier is not None:
            write_json(files.classifier, self.classifier.card)
        stored = read_lines(files.references)
        decisive = ("probe_hash", "few_shot_hash", "reference_hash", "classifier_hash", "protocol")
        stamp = (
            {key: description[key] for key in decisive}
            | self._statistics_record()
            | {
                "source_hash": self.source.hash,
                "networks": [version for _, version in self.scorer.networks.values()],
                "frechet_samples": len(self._latents),
                **({} if self.suite.reference == "held-out" else {"reference": "all"}),
            }
        )
        if stored and all(line.get("stamp") == stamp for line in stored):
            return
        lines: list[dict[str, Any]] = []
        for name, (images, further) in self.references().items():
            save_strip(images, files.strip(name))
            scored = self.scorer.score(images, further, paired=name != "real")
            if scored.probe is not None:
                scored.probe.save(files.probe(name))
            lines += [{**score.to_json(reference=name), "stamp": stamp} for score in scored.scores]
        save_strip(self.splits.few_shot, files.few_shot)
        write_lines(files.references, lines)

    def references(self) -> dict[str, tuple[Images, Iterable[Images]]]:
        """Images of each reference line, and further ones for the Frechet distance."""
        method, modules = Method(), {"generator": self.source.generator}
        source = self.generate(method, modules)
        references: dict[str, tuple[Images, Iterable[Images]]] = {
            "source": (source, self.generate_further(method, modules))
        }
        if len(self.splits.held_out) > 0:
            references["real"] = (self.splits.held_out, ())
        ideal = self.target.images.ideal
        if ideal is not None:
            references["ideal"] = (
                ideal(source),
                map(ideal, self.generate_further(method, modules)),
            )
        return references

    def description(self) -> dict[str, Any]:
        """What ``task.json`` holds; every hash is taken anew from what the task is made of."""
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
            **self._statistics_record(),
            "probe_hash": tensor_hash(self.probe),
            "classifier_hash": self.classifier_hash,
            "protocol": PROTOCOL,
            "lpips_protocol": self.suite.lpips_protocol,
            "notes": list(self.notes),
            "attribution": self.target.images.attribution,
        }

    @property
    def statistics_file(self) -> Path | None:
        """The statistics that the Frechet distance is to, where the target has a file of them."""
        location = self.target.images.statistics
        return None if location is None else location.found

    def _statistics_record(self) -> dict[str, str]:
        file = self.statistics_file
        return {} if file is None else {"statistics_hash": file_hash(file)}

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


@functools.lru_cache(maxsize=2)
def load_task(request: TaskRequest) -> Task:
    """The task of a request, kept for the cells that follow in this process.

    Raises:
        UserError: suite, target or shots are not to be had.
    """
    if request.shots < 1:
        raise UserError(f"--shots must be at least 1, not {request.shots}.")
    return Task(request)
