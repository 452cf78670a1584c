"""Suites by name, and the reader of their TOML files: built-in ones and a user's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from fsgan_bench.data.locations import located, optional
from fsgan_bench.data.targets import SOURCE_IMAGES, FileImages
from fsgan_bench.errors import NAME, NAME_RULE, UserError, check_keys, in_words, look_up
from fsgan_bench.features.names import FrechetBackbone, IntraProtocol, LpipsBackbone, ReferenceSet
from fsgan_bench.suites.model import AVATARS, PAPER, Budget, Suite, Target
from fsgan_bench.system.bounds import MAX_IMAGES, MAX_SEED, MAX_SHOTS
from fsgan_bench.system.paths import ASSETS
from fsgan_bench.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUITES: tuple[str, ...] = (AVATARS.name, "ffhq", "lsun-church")
DATA_VARIABLE = "FSGAN_BENCH_DATA"

SafeName = Annotated[str, Field(pattern=f"^{NAME}$")]
_PATH_PATTERN = r"^[^\x00-\x1f]+$"
_Path = Annotated[str, Field(pattern=_PATH_PATTERN, max_length=4096)]
SettingText = Annotated[str, Field(pattern=r"^[^\s.=]+\.[^\s.=]+=.*$")]
"""METHOD.KEY=VALUE, as ``--set`` takes it."""
OneOrMorePaths = _Path | list[_Path]
"""One path, which must be there, or several, of which the first that is there counts."""


class _Target(BaseModel):
    """A target from files. ``{target}`` in a path stands for its name and then its aliases."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str | None = None
    few_shot: OneOrMorePaths | None = None
    real: OneOrMorePaths | None = None
    statistics: OneOrMorePaths | None = None
    non_target: dict[SafeName, OneOrMorePaths] | None = None
    grey_source: bool | None = None
    aliases: list[str] = []
    budgets: dict[str, dict[str, int]] = {}


class _SuiteFile(BaseModel):
    """What a suite file may say; what it leaves out is as in its base."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: SafeName
    source: Annotated[OneOrMorePaths, Field(min_length=1)] | None = None
    resolution: int | None = Field(default=None, ge=8, le=4096)
    base: str = AVATARS.name
    title: str = "a suite of the user's"
    source_title: str | None = None
    targets: (
        Annotated[
            Annotated[list[str], Tag("names")] | Annotated[dict[SafeName, _Target], Tag("tables")],
            Discriminator(lambda value: "tables" if isinstance(value, dict) else "names"),
        ]
        | None
    ) = Field(default=None, min_length=1)
    few_shot: OneOrMorePaths | None = None
    real: OneOrMorePaths | None = None
    statistics: OneOrMorePaths | None = None
    source_images: OneOrMorePaths | None = None
    non_target: dict[SafeName, OneOrMorePaths] = {}
    grey_source: bool = True
    recipe: dict[str, int | float | bool] = {}
    budgets: dict[str, dict[str, int]] = {}
    lpips_backbone: LpipsBackbone | None = None
    frechet_backbone: FrechetBackbone | None = None
    frechet_also: list[FrechetBackbone] | None = None
    lpips_protocol: IntraProtocol | None = None
    classifier: str | None = None
    probe_size: int | None = Field(default=None, ge=2, le=MAX_IMAGES)
    frechet_samples: int | None = Field(default=None, le=MAX_IMAGES)
    reference_size: int | None = Field(default=None, ge=2, le=MAX_IMAGES)
    reference: ReferenceSet | None = None
    classifier_size: int | None = Field(default=None, ge=32, le=MAX_IMAGES)
    settings: list[SettingText] | None = None
    few_shot_seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    default_shots: int | None = Field(default=None, ge=1, le=MAX_SHOTS)


BACKSLASHES = "a backslash between double quotes begins an escape: write / or use single quotes"

_TAKEN_OVER = (
    *("name", "title", "lpips_backbone", "frechet_backbone", "lpips_protocol", "classifier"),
    *("resolution", "probe_size", "frechet_samples", "reference_size", "reference"),
    *("classifier_size", "few_shot_seed", "default_shots"),
)
"""Settings that a suite takes from its file as they are."""

_UNION_MEMBERS = (
    "names",
    "tables",
    "str",
    "list[str]",
    "[key]",
    *("constrained-str", "list[constrained-str]"),
)
"""What pydantic adds to the location of an error."""


def get_suite(name: str, data: Path | None = None) -> Suite:
    """The built-in suite ``name``, or the one that a TOML file describes.

    Args:
        name: a name of ``SUITES``, or the path of a ``.toml`` file.
        data: folder that the suite's relative paths start from. By default the folder of the file,
            or for a built-in suite $FSGAN_BENCH_DATA or else ``data``.

    Raises:
        UserError: there is no such suite, or the file is not one.
    """
    if name.endswith(".toml"):
        return read_suite(Path(name), data)
    look_up("suite", name, dict.fromkeys(SUITES))
    if name == AVATARS.name:
        return AVATARS
    root = data or Path(os.environ.get(DATA_VARIABLE) or "data")
    return read_suite(ASSETS / "suites" / f"{name}.toml", root)


def read_suite(path: Path, data: Path | None = None) -> Suite:
    """Read a suite from a TOML file.

    Args:
        path: the file.
        data: folder that relative paths start from; by default the file's own, and for the targets
            of a built-in base that of :func:`get_suite`.

    Raises:
        UserError: the file is missing or damaged, or says something that a suite cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"There is no suite file {path}.") from None
    except OSError as error:
        raise UserError(f"The suite file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"The suite file {path} cannot be read: it is no UTF-8.") from error
    return parse_suite(text, path, data)


def parse_suite(text: str, path: Path, data: Path | None = None) -> Suite:
    """As :func:`read_suite`, for what stands in the file ``path`` or will stand there."""
    try:
        content = _SuiteFile.model_validate(tomllib.loads(text))
        return _suite(path, content, data)
    except tomllib.TOMLDecodeError as error:
        hint = f" ({BACKSLASHES})" if "\\" in text else ""
        raise UserError(f"The suite file {path} cannot be read: {error}{hint}.") from error
    except RecursionError:
        raise UserError(f"The suite file {path} cannot be read: it is nested too deep.") from None
    except ValidationError as error:
        first = error.errors()[0]
        location = [str(part) for part in first["loc"] if part not in _UNION_MEMBERS]
        if first["type"] == "extra_forbidden":
            *parents, key = location
            owner = ", ".join([f"The suite file {path}", *parents])
            if parents and key in Budget.__dataclass_fields__:
                raise UserError(
                    f"{owner} has no setting '{key}', as budgets have it: write it below "
                    f"[budgets.NAME], or for this target alone [{'.'.join(parents)}.budgets.NAME]."
                ) from None
            if parents and key in _SuiteFile.model_fields:
                raise UserError(
                    f"{owner} has no setting '{key}', as the whole suite has it: write it above "
                    "the first [table] of the file."
                ) from None
            check_keys(owner, [key], (_Target if parents else _SuiteFile).model_fields)
        if first["type"] == "missing":
            raise UserError(f"The suite file {path} lacks {'.'.join(location)}.") from None
        where = ", ".join([f"The suite file {path}", *location])
        raise UserError(f"{where}: {_plain(first)}.") from None
    except ValueError as error:
        raise UserError(f"The suite file {path}: {error}.") from None


def _plain(error: Mapping[str, object]) -> str:
    """What pydantic says, in the words of who reads a TOML file."""
    message = in_words(error)
    if error["type"] == "string_pattern_mismatch" and f"^{NAME}$" in message:
        return f"{error['input']!r} cannot be a name: it takes {NAME_RULE}"
    if error["type"] == "string_pattern_mismatch" and _PATH_PATTERN in message:
        return f"{error['input']!r} cannot be a path; {BACKSLASHES}"
    return message


def _suite(path: Path, content: _SuiteFile, data: Path | None) -> Suite:
    if content.name in SUITES and path.parent != ASSETS / "suites":
        raise UserError(f"{path}: {content.name!r} is the name of a built-in suite; take another.")
    look_up("base of a suite", content.base, dict.fromkeys((*SUITES, PAPER.name)))
    base = PAPER if content.base == PAPER.name else get_suite(content.base, data)
    root = path.parent if data is None else data
    budgets = _budgets(content.budgets)
    check_keys(f"The recipe in {path}", content.recipe, asdict(base.recipe))
    for key, value in content.recipe.items():
        if isinstance(value, bool) is not isinstance(getattr(base.recipe, key), bool):
            raise UserError(f"The recipe in {path}: {key} cannot be {str(value).lower()}.")
    if isinstance(content.targets, dict):
        source_title = content.source_title or ""
        targets = {
            name: _target(path, name, table, content, root)
            for name, table in content.targets.items()
        }
    else:
        source_title = content.source_title or base.source_title
        names = content.targets or list(base.targets)
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"The suite file {path} names '{twice[0]}' twice in targets.")
        named = [base.target(name) for name in names]
        targets = {target.name: _without_budgets(target, budgets) for target in named}
    budgets = {**base.budgets, **budgets}
    for target in targets.values():
        check_keys(f"The target '{target.name}' in {path}", target.budgets, budgets)
    source = located(root, content.source) if content.source else base.source
    if not source.candidates and content.resolution is None:
        raise UserError(
            f"The suite file {path} needs source, the path of a pretrained pair; or resolution, "
            "the side of its images, if only real images are to be evaluated."
        )
    if source.candidates and content.resolution is not None:
        raise UserError(
            f"The suite file {path}: the resolution is that of the source; leave resolution out."
        )
    if not targets:
        raise UserError(f"The suite file {path} has no targets, and '{base.name}' has none either.")
    settings = base.settings if content.settings is None else tuple(content.settings)
    also = base.frechet_also if content.frechet_also is None else tuple(content.frechet_also)
    return replace(
        base,
        settings=settings,
        frechet_also=also,
        **content.model_dump(include=set(_TAKEN_OVER), exclude_none=True),
        source=source,
        source_title=source_title,
        targets=targets,
        recipe=TypeAdapter(Recipe).validate_python({**asdict(base.recipe), **content.recipe}),
        budgets=budgets,
    )


def _target(path: Path, name: str, table: _Target, content: _SuiteFile, root: Path) -> Target:
    names = (name, *table.aliases)
    few_shot = table.few_shot or content.few_shot
    if not few_shot:
        raise UserError(
            f"The suite file {path}, target '{name}', needs few_shot, a path of images."
        )
    others = {SOURCE_IMAGES: content.source_images} | {
        **content.non_target,
        **(table.non_target or {}),
    }
    others_at = {other: optional(root, paths, names) for other, paths in others.items()}
    grey_source = content.grey_source if table.grey_source is None else table.grey_source
    images = FileImages(
        located(root, few_shot, names),
        optional(root, table.real or content.real, names),
        {other: location for other, location in others_at.items() if location is not None},
        grey_source,
        optional(root, table.statistics or content.statistics, names),
    )
    budgets, aliases = _budgets(table.budgets), tuple(table.aliases)
    return Target(name, table.title or name, images, budgets, aliases)


def _without_budgets(target: Target, overridden: Iterable[str]) -> Target:
    """A base's target whose own budgets do not stand above those of the file."""
    kept = {n: budget for n, budget in target.budgets.items() if n not in set(overridden)}
    return replace(target, budgets=kept)


def _budgets(tables: dict[str, dict[str, int]]) -> dict[str, Budget]:
    for name, table in tables.items():
        check_keys(f"The budget '{name}'", table, [field.name for field in fields(Budget)])
    return TypeAdapter(dict[str, Budget]).validate_python(tables)
