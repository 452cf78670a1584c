"""Suites: a source model, its targets, their budgets, and how they are scored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fsgan_bench.data.avatars import DOMAINS, SOURCE
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError, check_keys, look_up
from fsgan_bench.metrics.names import FrechetBackbone, IntraProtocol, LpipsBackbone
from fsgan_bench.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.snapshots < 2:
            raise ValueError("a budget needs at least 1 iteration and 2 snapshots")


@dataclass(frozen=True)
class Target:
    """A target domain of the avatars.

    Attributes:
        name: the domain's name in ``fsgan_bench.data.avatars``.
        title: what a figure calls it.
        non_target: domains that the classifier learns to reject, by name; the source comes first.
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
        lpips_backbone: feature network of LPIPS.
        frechet_backbone: feature network of the Frechet distance; where it is the same, one pass
            over the images serves both. On ``inception`` the distance is FID, on
            ``inception_legacy`` FID as pytorch-fid computes it, on all others neither.
        lpips_protocol: the intra-LPIPS that figures and tables show, see
            ``fsgan_bench.metrics.intra_lpips``. Both are stored. Numbers in papers are ``cdc2021``
            on ``vgg`` at 256x256.
        classifier: name of the realisticness classifier.
        probe_size: latents of the probe batch.
        frechet_samples: generated images for the Frechet distance, the probe batch first; None for
            the probe batch alone.
        probe_seed: its seed.
        few_shot_seed: seed of the choice of few-shot images, the same for every cell.
        reference_size: real target images that generated ones are compared with.
        classifier_size: real target images that the classifier learns from; it sees as many of the
            source and a quarter of that of every other non-target domain.
    """

    name: str
    title: str
    source: Path
    source_title: str
    targets: Mapping[str, Target]
    recipe: Recipe
    budgets: Mapping[str, Budget]
    lpips_backbone: LpipsBackbone = "lite0"
    frechet_backbone: FrechetBackbone = "lite0"
    lpips_protocol: IntraProtocol = "exact"
    classifier: str = "lite0-logistic"
    probe_size: int = 1000
    frechet_samples: int | None = None
    probe_seed: int = 2022
    few_shot_seed: int = 0
    reference_size: int = 1000
    classifier_size: int = 1000
    default_shots: int = field(default=10)

    def __post_init__(self) -> None:
        if self.frechet_samples is not None and self.frechet_samples < self.probe_size:
            raise ValueError(
                f"frechet_samples must be at least probe_size ({self.probe_size}), "
                f"not {self.frechet_samples}"
            )

    @property
    def backbones(self) -> set[str]:
        """Feature networks that its metrics need."""
        return {self.lpips_backbone, self.frechet_backbone}

    def target(self, name: str) -> Target:
        """The target ``name``; UserError with a suggestion if there is none."""
        return look_up(f"target in the suite '{self.name}'", name, self.targets)

    def budget(self, name: str) -> Budget:
        """The budget ``name``; UserError with a suggestion if there is none."""
        return look_up(f"budget in the suite '{self.name}'", name, self.budgets)


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
    budgets={"quick": Budget(700, 9), "standard": Budget(3500, 16)},
)

SUITES: dict[str, Suite] = {AVATARS.name: AVATARS}


def get_suite(name: str) -> Suite:
    """The built-in suite ``name``, or the one that a TOML file describes.

    Raises:
        UserError: there is no such suite, or the file is not one.
    """
    if name.endswith(".toml"):
        return read_suite(Path(name))
    return look_up("suite", name, SUITES)


class _SuiteFile(BaseModel):
    """What a suite file may say; what it leaves out is as in the embedded suite."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    source: str
    title: str = "a suite of the user's"
    targets: list[str] = Field(default=list(AVATARS.targets), min_length=1)
    recipe: dict[str, int | float | bool] = {}
    budgets: dict[str, dict[str, int]] = {}
    lpips_backbone: LpipsBackbone = AVATARS.lpips_backbone
    frechet_backbone: FrechetBackbone = AVATARS.frechet_backbone
    lpips_protocol: IntraProtocol = AVATARS.lpips_protocol
    classifier: str = AVATARS.classifier
    probe_size: int = Field(default=AVATARS.probe_size, ge=2)
    frechet_samples: int | None = AVATARS.frechet_samples
    reference_size: int = Field(default=AVATARS.reference_size, ge=2)
    classifier_size: int = Field(default=AVATARS.classifier_size, ge=32)
    default_shots: int = Field(default=AVATARS.default_shots, ge=1)


def read_suite(path: Path) -> Suite:
    """Read a suite of the avatars' targets with a source, recipe and budgets of the user's own.

    Raises:
        UserError: the file is missing or damaged, or says something that a suite cannot be.
    """
    try:
        content = _SuiteFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        check_keys(f"The recipe in {path}", content.recipe, asdict(AVATARS.recipe))
        recipe = TypeAdapter(Recipe).validate_python({**asdict(AVATARS.recipe), **content.recipe})
        budgets = TypeAdapter(dict[str, Budget]).validate_python(content.budgets)
        return replace(
            AVATARS,
            **content.model_dump(exclude={"source", "targets", "recipe", "budgets"}),
            source=path.parent / content.source,
            targets={name: AVATARS.target(name) for name in content.targets},
            recipe=recipe,
            budgets={**AVATARS.budgets, **budgets},
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The suite file {path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f", {part}" for part in first["loc"])
        raise UserError(f"The suite file {path}{where}: {first['msg']}.") from None
    except ValueError as error:
        raise UserError(f"The suite file {path}: {error}.") from None
