"""A suite file for a model and images of one's own, written once all of it has been read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.splits import LEAST_TO_LEARN_FROM
from fsgan_bench.data.targets import SplitSizes
from fsgan_bench.errors import UserError, check_folder, check_name, look_up
from fsgan_bench.stylegan2.checkpoint import load_raw, load_source
from fsgan_bench.suites.file import parse_suite
from fsgan_bench.suites.model import PAPER, Target
from fsgan_bench.suites.status import describe_model, missing_files, missing_weights
from fsgan_bench.system.files import write_text
from fsgan_bench.system.paths import exists, meant, same_place


def write_suite(
    file: Path,
    source: Path,
    targets: Sequence[str],
    reals: Sequence[str] = (),
    source_images: Path | None = None,
) -> list[str]:
    """Write a suite file with the paper's protocol, and say what is in it.

    Everything that it names is read first: the model, and each image set at the model's resolution.

    Args:
        file: the file to write; relative paths are stored relative to its folder.
        source: pretrained pair, or a generator alone, of which only the source can be scored.
        targets: few-shot images as ``NAME=PATH``, or as ``PATH``, which then names the target.
        reals: real images in the same form; without a name they belong to the only target.
        source_images: real images of the source's domain.

    Returns:
        Lines for the user.

    Raises:
        UserError: the file exists, or something cannot be used; nothing is written then.
    """
    if file.suffix != ".toml":
        raise UserError(f"{file} must end in .toml, as suite files do.")
    if file.exists():
        raise UserError(f"{file} exists already; name a new file, or edit that one.")
    check_folder(str(file), file.parent)
    few_shot = _by_name("--target", targets)
    source = meant(source)
    source_images = None if source_images is None else meant(source_images)
    if len(few_shot) == 1 and len(reals) == 1 and _split(reals[0])[0] is None:
        real = {next(iter(few_shot)): meant(Path(reals[0]))}
    else:
        real = _by_name("--real", reals)
    for name in real:
        look_up("--target", name, few_shot)
    for path in (*real.values(), *([source_images] if source_images else [])):
        if not exists(path):
            raise UserError(f"The image set {path} does not exist.")
    for path in (*few_shot.values(), *real.values()):
        if source_images is not None and same_place(path, source_images):
            raise UserError(
                f"--source-images {source_images} holds the images of a target too; the "
                "classifier learns to tell the two apart, so name others, or none."
            )
    text = _toml(file, source, few_shot, real, source_images)
    suite = parse_suite(text, file)
    model = load_source(source)
    resolution = model.generator.architecture.resolution
    described, lacking = describe_model(model)
    lines = [described, *lacking]
    if load_raw(source) is None:
        text += "\n[recipe]\nstart_from_average = true  # the source holds no raw generator\n"
    asked = PAPER.classifier_size, PAPER.reference_size, PAPER.probe_size

    def split(target: Target, shots: int) -> FileSplits:
        splits = target.images.splits(SplitSizes(shots, *asked), PAPER.few_shot_seed, resolution)
        assert isinstance(splits, FileSplits)
        return splits

    if source_images is not None:
        first = next(iter(suite.targets.values())).images
        lines += first.non_target(PAPER.classifier_size, resolution).notes
    shots = PAPER.default_shots
    for name, target in suite.targets.items():
        pool = split(target, 1).pool_size
        shared = name in real and same_place(few_shot[name], real[name])
        # Of one set for both, the other half stays real.
        shots = min(shots, max(1, pool // 2) if shared else pool)
    for name, target in suite.targets.items():
        splits = split(target, shots)
        lines.append(f"{name}: {splits.pool_size} few-shot, {splits.real_size} real images")
        lines += [*splits.notes, *_too_few(name, splits)]
    if shots < PAPER.default_shots:
        text = f"default_shots = {shots}\n{text}"
    write_text(file, text)
    weights = missing_weights(suite, str(file))
    return [
        *lines,
        *missing_files(suite),
        *weights,
        f"{file} is written; {'once it has them, ' if weights else ''}it is run by fsgan-bench run "
        f"--suite {file} --methods {'none' if lacking else 'all'} --target {','.join(few_shot)}",
    ]


def _too_few(name: str, splits: FileSplits) -> list[str]:
    """A warning if there are real images, but not enough of them for a classifier."""
    learned = len(splits.classifier)
    if not splits.real_size or learned >= LEAST_TO_LEARN_FROM:
        return []
    return [
        f"Warning: {name} goes without realisticness: of its {splits.real_size} real images "
        f"{learned} would be the classifier's, which needs {LEAST_TO_LEARN_FROM} at least."
    ]


def _split(argument: str) -> tuple[str | None, str]:
    """``NAME=PATH`` as its two parts; a path that may hold ``=`` itself has no name."""
    name, equals, path = argument.partition("=")
    is_path = exists(meant(Path(argument))) and not (path and exists(meant(Path(path))))
    return (name, path) if equals and not is_path else (None, argument)


def _by_name(option: str, arguments: Sequence[str]) -> dict[str, Path]:
    """Paths of ``NAME=PATH`` or ``PATH`` by name, which is else the file's or the folder's."""
    named: dict[str, Path] = {}
    for argument in arguments:
        given, path = _split(argument)
        name = _slug(Path(path)) if given is None else given
        check_name(f"target ({option} {argument})", name)
        if not path:
            raise UserError(f"{option} {argument} names no folder of images; write NAME=PATH.")
        if name in named:
            raise UserError(f"{option} gives '{name}' twice; write {option} NAME={path}.")
        named[name] = meant(Path(path))
    return named


def _slug(path: Path) -> str:
    """A name made of a path's last part; ``mine`` where none of its letters can be in a name."""
    return re.sub(r"[^a-z0-9_-]+", "-", path.resolve().stem.lower()).strip("-_")[:64] or "mine"


def _toml(
    file: Path,
    source: Path,
    few_shot: Mapping[str, Path],
    real: Mapping[str, Path],
    source_images: Path | None,
) -> str:
    def quoted(path: Path) -> str:
        # The system follows links before "..", so that the way leads from where the file lies.
        way = os.path.relpath(path.absolute(), file.parent.resolve())
        relative = path if path.is_absolute() else Path(way)
        if not relative.as_posix().isprintable():
            raise UserError(f"{path}: no suite file can hold this name; rename it.")
        return _quoted(relative.as_posix())

    lines = [
        f"name = {_quoted(_slug(file))}",
        f"base = {_quoted(PAPER.name)}  # its recipe, budget and metrics, unless they stand here",
        f"source = {quoted(source)}",
    ]
    if source_images is not None:
        lines.append(f"source_images = {quoted(source_images)}")
    for name, path in few_shot.items():
        lines += ["", f"[targets.{name}]", f"few_shot = {quoted(path)}"]
        if name in real:
            lines.append(f"real = {quoted(real[name])}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
