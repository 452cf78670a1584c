"""A task: source, target and shots, with all that its cells share, made once."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fsgan_bench.data.cache import cache_dir, cached_images
from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.images import Images
from fsgan_bench.data.splits import Splits
from fsgan_bench.data.targets import Rejected, SplitSizes
from fsgan_bench.driver.learning import Learnt, learn
from fsgan_bench.driver.probe import Probe
from fsgan_bench.driver.scoring import make_scorer
from fsgan_bench.errors import UserError
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.results.layout import task_folder
from fsgan_bench.stylegan2.checkpoint import Source, load_source
from fsgan_bench.suites.file import get_suite
from fsgan_bench.suites.model import Suite
from fsgan_bench.system.machine import default_device
from fsgan_bench.training.method import Method


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
    device: str = field(default_factory=default_device)
    allow_weak_classifier: bool = False


class Task:
    """Everything that the cells of a task share. What is expensive is made on first use."""

    def __init__(self, request: TaskRequest) -> None:
        self.request = request
        self.suite: Suite = get_suite(request.suite, request.data)
        self.target = self.suite.target(request.target)
        self.suite.check_files(self.target, self.request.suite)
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

    @functools.cached_property
    def probe(self) -> Probe:
        """The fixed latents, of which the Frechet distance may take further ones."""
        size = self.suite.probe_size
        return Probe.draw(
            self.suite.probe_seed,
            size,
            self.suite.sampled - size,
            self.source.generator.architecture.style_dim,
            self.resolution,
            self.request.device,
        )

    @property
    def classifier(self) -> Any:
        """The realisticness classifier, from the cache or trained now.

        None if there are no images of the target, or of anything else, that it could learn from,
        or too few.

        Raises:
            UserError: it fails its checks and nobody said that it may.
        """
        return self.learnt.classifier

    @functools.cached_property
    def learnt(self) -> Learnt:
        """The classifier, or why there is none."""
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
        # The device and the library decide the last bits.
        drawn_by = f"{self.request.device.partition(':')[0]}-{torch.__version__}"
        name = f"{self.source.hash[:16]}-{self.probe.hash[:16]}-{drawn_by}.npy"
        return cached_images(
            cache_dir() / "source" / name,
            shape,
            lambda: self.probe.generate(Method(), {"generator": self.source.generator}),
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
        return make_scorer(
            self.suite,
            self.target.images,
            self.splits,
            self.learnt,
            source_images=lambda: self.source_images,
            sampled=self.suite.sampled,
            resolution=self.resolution,
            device=self.request.device,
        )


@functools.lru_cache(maxsize=2)
def load_task(request: TaskRequest) -> Task:
    """The task of a request, kept for the cells that follow in this process.

    Raises:
        UserError: suite, target or shots are not to be had.
    """
    if request.shots < 1:
        raise UserError(f"--shots must be at least 1, not {request.shots}.")
    return Task(request)
