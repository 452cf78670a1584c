"""Suites: a source model, its targets, their budgets, and how they are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fsgan_bench.data.avatars import SOURCE
from fsgan_bench.data.locations import Location, Part
from fsgan_bench.data.targets import AvatarImages, TargetImages
from fsgan_bench.errors import UserError, look_up
from fsgan_bench.features.names import FrechetBackbone, IntraProtocol, LpipsBackbone, ReferenceSet
from fsgan_bench.system.bounds import MAX_ITERATIONS, MAX_SNAPSHOTS
from fsgan_bench.system.paths import ASSETS
from fsgan_bench.training.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """How long a cell trains and how often it is looked at.

    Attributes:
        iterations: training iterations.
        snapshots: number of snapshots, iteration 0 and the last included.
    """

    iterations: int
    snapshots: int

    def __post_init__(self) -> None:
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise ValueError(f"a budget has 1 to {MAX_ITERATIONS:,} iterations")
        if not 2 <= self.snapshots <= MAX_SNAPSHOTS:
            raise ValueError(f"a budget has 2 to {MAX_SNAPSHOTS:,} snapshots")


@dataclass(frozen=True)
class Target:
    """A target domain.

    Attributes:
        name: identifier within the suite.
        title: what a figure calls it.
        images: where its images come from.
        budgets: in place of the suite's of the same name.
        aliases: other names that its files may go by.
    """

    name: str
    title: str
    images: TargetImages
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A source, its targets, budgets and evaluation protocol.

    Attributes:
        name: identifier.
        title: one line about it.
        source: where the pretrained pair is.
        source_title: what figures call the source domain.
        targets: by name.
        recipe: training hyperparameters, the same for every method.
        budgets: by name; the first is the default.
        lpips_backbone: feature network of LPIPS.
        frechet_backbone: feature network of the Frechet distance; where it is the same, one pass
            over the images serves both. On ``inception`` the distance is FID, on
            ``inception_legacy`` FID as pytorch-fid computes it, on all others neither.
        frechet_also: further networks on which the Frechet distance is measured in the same run.
        lpips_protocol: the intra-LPIPS that figures and tables show, see
            ``fsgan_bench.metrics.intra_lpips``. Both are stored. Numbers in papers are ``cdc2021``
            on ``vgg`` at 256x256.
        classifier: name of the realisticness classifier.
        settings: of methods, as ``--set`` takes them, where a run has the method and says nothing
            else.
        probe_size: latents of the probe batch.
        frechet_samples: generated images for the Frechet distance, the probe batch first; None for
            the probe batch alone.
        probe_seed: its seed.
        few_shot_seed: seed of the choice of few-shot images, the same for every cell.
        reference_size: real target images that generated ones are compared with.
        reference: what the Frechet distance is to. ``held-out`` are ``reference_size`` images that
            nothing else sees; ``all`` is the whole real set from files, as in the papers' FIDs,
            with what the classifier learns from and few-shot images in it.
        classifier_size: real target images that the classifier learns from; it sees as many of the
            source and a quarter of that of every other non-target domain. Sets from files are
            smaller where there are fewer images.
        resolution: side of its images in px, of a suite without a source; else None.
    """

    name: str
    title: str
    source: Location
    source_title: str
    targets: Mapping[str, Target]
    recipe: Recipe
    budgets: Mapping[str, Budget]
    lpips_backbone: LpipsBackbone = "lite0"
    frechet_backbone: FrechetBackbone = "lite0"
    frechet_also: tuple[FrechetBackbone, ...] = ()
    lpips_protocol: IntraProtocol = "exact"
    classifier: str = "lite0-logistic"
    probe_size: int = 1000
    frechet_samples: int | None = None
    probe_seed: int = 2022
    few_shot_seed: int = 0
    reference_size: int = 1000
    reference: ReferenceSet = "held-out"
    classifier_size: int = 1000
    settings: tuple[str, ...] = ()
    default_shots: int = field(default=10)
    resolution: int | None = None

    def __post_init__(self) -> None:
        if len({self.frechet_backbone, *self.frechet_also}) <= len(self.frechet_also):
            raise ValueError("frechet_also names a network twice, or that of frechet_backbone")
        if self.frechet_samples is not None and self.frechet_samples < self.probe_size:
            raise ValueError(
                f"frechet_samples must be at least probe_size ({self.probe_size}), "
                f"not {self.frechet_samples}"
            )

    @property
    def sampled(self) -> int:
        """Generated images that the Frechet distance takes, the probe batch first."""
        return self.frechet_samples or self.probe_size

    @property
    def backbones(self) -> set[str]:
        """Feature networks that its metrics need."""
        return {self.lpips_backbone, self.frechet_backbone, *self.frechet_also}

    def target(self, name: str) -> Target:
        """The target ``name``; UserError with a suggestion if there is none."""
        return look_up("target", name, self.targets, f"in the suite '{self.name}'")

    def budget(self, name: str | None = None, target: str | None = None) -> Budget:
        """The budget ``name``, by default the first, for a target that may have one of its own.

        Raises:
            UserError: there is no such budget; with a suggestion.
        """
        budgets = {**self.budgets, **(self.target(target).budgets if target else {})}
        sought = name or next(iter(budgets))
        return look_up("budget", sought, budgets, f"in the suite '{self.name}'")

    def parts(self, target: Target) -> tuple[Part, ...]:
        """All that a task of ``target`` is made of and that is looked for on disk."""
        source = (Part("source model", self.source, "nothing runs"),)
        return (*(source if self.source.candidates else ()), *target.images.parts)

    def check_files(self, target: Target, called: str) -> None:
        """Raise UserError unless everything is there that ``target`` cannot run without.

        ``called`` is what ``--suite`` calls the suite.
        """
        for part in self.parts(target):
            if part.location.required and part.location.found is None:
                raise UserError(
                    f"The target '{target.name}' of the suite '{self.name}' lacks its {part.name}: "
                    f"there is nothing at {part.location.path}; fsgan-bench data status --suite "
                    f"{called} shows where else it is looked for, and what else is missing."
                )


NON_TARGET_STYLES = ("ink", "lorelei", "micah", "pixel-art", "bottts")


def _avatar_target(name: str, title: str) -> Target:
    others = tuple(style for style in NON_TARGET_STYLES if style != name)
    return Target(name, title, AvatarImages(name, (SOURCE, "grey-faces", *others)))


AVATARS = Suite(
    name="avatars",
    title="drawn faces at 64x64: no download, no GPU",
    source=Location((ASSETS / "avatars.safetensors",)),
    source_title="faces",
    targets={
        target.name: target
        for target in (
            _avatar_target("sketches", "pencil sketches"),
            _avatar_target("watercolours", "watercolours"),
            _avatar_target("ink", "ink portraits"),
            _avatar_target("sunglasses", "faces with sunglasses"),
            _avatar_target("micah", "bold portraits"),
            _avatar_target("lorelei", "line portraits"),
            _avatar_target("bottts", "robots"),
        )
    },
    recipe=Recipe(r1_gamma=1.0, ema_half_life=40.0, train_noise=False),
    budgets={"quick": Budget(160, 4), "standard": Budget(600, 8)},
)

PAPER = Suite(
    name="paper",
    title="the protocol of the paper's set-ups at 256x256, without source and targets",
    source=Location(()),
    source_title="",
    targets={},
    recipe=Recipe(start_from_average=False),
    budgets={"paper": Budget(5000, 11)},
    lpips_backbone="vgg",
    frechet_backbone="inception_legacy",
    lpips_protocol="cdc2021",
    frechet_samples=5000,
    reference_size=2000,
    reference="all",
    classifier_size=500,
    # Karras et al. 2020, and CDC's code, which augments on request.
    settings=("tgan_ada.images_to_full=500000",),
)
