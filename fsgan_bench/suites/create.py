"""A suite file for a model and images of one's own, written once all of it has been read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fsgan_bench.data.file_splits import file_splits
from fsgan_bench.data.sources import load_images
from fsgan_bench.errors import UserError, check_folder, check_name, look_up
from fsgan_bench.stylegan2.checkpoint import load_raw, load_source
from fsgan_bench.suites.file import parse_suite
from fsgan_bench.suites.model import PAPER
from fsgan_bench.suites.status import describe_model, missing_weights
from fsgan_bench.system.files import write_text


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
    if len(few_shot) == 1 and len(reals) == 1 and "=" not in reals[0]:
        reals = [f"{next(iter(few_shot))}={reals[0]}"]
    real = _by_name("--real", reals)
    for name in real:
        look_up("--target", name, few_shot)
    text = _toml(file, source, few_shot, real, source_images)
    suite = parse_suite(text, file)
    model = load_source(source)
    resolution = model.generator.architecture.resolution
    described, lacking = describe_model(model)
    lines = [described, *lacking]
    if load_raw(source) is None:
        text += "\n[recipe]\nstart_from_average = true  # the source holds no raw generator\n"
    if source_images is not None:
        load_images(source_images, resolution, 2 * PAPER.classifier_size, repeats="drop")
    shots = PAPER.default_shots
    for name, path in few_shot.items():
        splits = file_splits(path, 1, 0, size=resolution, real=real.get(name))
        shots = min(shots, splits.pool_size)
        lines.append(f"{name}: {splits.pool_size} few-shot, {splits.real_size} real images")
        lines += splits.notes
    if shots < PAPER.default_shots:
        text = f"default_shots = {shots}\n{text}"
    write_text(file, text)
    return [
        *lines,
        *missing_weights(suite, str(file)),
        f"{file} is written; it is run by fsgan-bench run --suite {file} --methods "
        f"{'none' if lacking else 'all'} --target {','.join(few_shot)}",
    ]


def _by_name(option: str, arguments: Sequence[str]) -> dict[str, Path]:
    """Paths of ``NAME=PATH`` or ``PATH`` by name, which is else the file's or the folder's."""
    named: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.rpartition("=")
        name = name if equals else _slug(Path(path))
        check_name(f"target ({option} {argument})", name)
        if not path:
            raise UserError(f"{option} {argument} names no folder of images; write NAME=PATH.")
        if name in named:
            raise UserError(f"{option} gives '{name}' twice; write {option} NAME={path}.")
        named[name] = Path(path)
    return named


def _slug(path: Path) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", path.resolve().stem.lower()).strip("-_")


def _toml(
    file: Path,
    source: Path,
    few_shot: Mapping[str, Path],
    real: Mapping[str, Path],
    source_images: Path | None,
) -> str:
    def quoted(path: Path) -> str:
        relative = path if path.is_absolute() else Path(os.path.relpath(path, file.parent))
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
