"""Suites: a source model, its targets, their budgets, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fsgan_bench.data.avatars import DOMAINS, SOURCE
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError, suggest
from fsgan_bench.recipe import Recipe

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Budget:
    """How long a cell trains and how often it is looked at.

    Attributes:
        iterations: training iterations.
        snapshots: number of snapshots, iteration 0 and the last included.
    """

    iterations: int
    snapshots: int


@dataclass(frozen=True)
class Target:
    """A target domain of the avatars.

    Attributes:
        name: the domain's name in ``fsgan_bench.data.avatars``.
        title: what a figure calls it.
        non_target: domains that the classifier learns to reject, by name.
    """

    name: str
    title: str
    non_target: tuple[str, ...]

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        """The known ideal adaptation of source images, where there is one."""
        return DOMAINS[self.name].ideal

    @property
    def attribution(self) -> str:
        return DOMAINS[self.name].attribution


@dataclass(frozen=True)
class Suite:
    """A source, its targets, budgets and evaluation protocol.

    Attributes:
        name: identifier.
        title: one line about it.
        source: path of the pretrained pair.
        source_title: what figures call the source domain.
        targets: by name.
        recipe: training hyperparameters, the same for every method.
        budgets: by name; ``quick`` is the default.
        backbone: feature network of every metric.
        classifier: name of the realisticness classifier.
        probe_size: latents of the probe batch.
        probe_seed: its seed.
        few_shot_seed: seed of the choice of few-shot images, the same for every cell.
        reference_size: real target images that generated ones are compared with.
        classifier_size: real target images that the classifier learns from.
    """

    name: str
    title: str
    source: Path
    source_title: str
    targets: Mapping[str, Target]
    recipe: Recipe
    budgets: Mapping[str, Budget]
    backbone: str = "lite0"
    classifier: str = "lite0-logistic"
    probe_size: int = 1000
    probe_seed: int = 2022
    few_shot_seed: int = 0
    reference_size: int = 1000
    classifier_size: int = 1000
    default_shots: int = field(default=10)

    def target(self, name: str) -> Target:
        """The target ``name``; UserError with a suggestion if there is none."""
        if name not in self.targets:
            known = ", ".join(self.targets)
            raise UserError(
                f"The suite '{self.name}' has no target '{name}'; it has {known}."
                f"{suggest(name, self.targets)}"
            )
        return self.targets[name]

    def budget(self, name: str) -> Budget:
        """The budget ``name``; UserError with a suggestion if there is none."""
        if name not in self.budgets:
            known = ", ".join(self.budgets)
            raise UserError(
                f"The suite '{self.name}' has no budget '{name}'; it has {known}."
                f"{suggest(name, self.budgets)}"
            )
        return self.budgets[name]


NON_TARGET_STYLES = ("ink", "lorelei", "micah", "pixel-art", "bottts")


def _avatar_target(name: str, title: str) -> Target:
    others = tuple(style for style in NON_TARGET_STYLES if style != name)
    return Target(name, title, (SOURCE, "grey-faces", *others))


AVATARS = Suite(
    name="avatars",
    title="drawn faces at 64x64: no download, no GPU",
    source=ASSETS / "avatars.safetensors",
    source_title="faces",
    targets={
        target.name: target
        for target in (
            _avatar_target("sketches", "pencil sketches"),
            _avatar_target("sunglasses", "faces with sunglasses"),
            _avatar_target("ink", "ink portraits"),
            _avatar_target("watercolours", "watercolours"),
            _avatar_target("micah", "bold portraits"),
            _avatar_target("lorelei", "line portraits"),
            _avatar_target("bottts", "robots"),
        )
    },
    recipe=Recipe(ema_half_life=40.0),
    budgets={"quick": Budget(600, 9), "standard": Budget(3000, 16)},
)

SUITES: dict[str, Suite] = {AVATARS.name: AVATARS}


def get_suite(name: str) -> Suite:
    """The suite ``name``; UserError with a suggestion if there is none."""
    if name not in SUITES:
        known = ", ".join(SUITES)
        raise UserError(f"There is no suite '{name}'; known are {known}.{suggest(name, SUITES)}")
    return SUITES[name]
