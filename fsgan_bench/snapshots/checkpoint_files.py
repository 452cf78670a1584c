"""Checkpoints of other code: which of them are one training, and at which iterations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsgan_bench.errors import UserError

CHECKPOINTS = (".pt", ".pkl", ".safetensors")

_KIMG = "network-snapshot-"
_ALONE = re.compile(r"(?:|iter|iteration|step|checkpoint|ckpt|snapshot|network-snapshot)[-_]?")
"""What may stand before the number in the name of a single file, for it to be an iteration."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Import:
    """What is scored: the checkpoints of one training, or one set of images.

    Attributes:
        title: what figures and tables call it.
        files: checkpoints by iteration; for a set of images the one path.
        images: whether it is a set of images.
        seed: of its training, as far as somebody knows.
    """

    title: str
    files: Mapping[int, Path]
    images: bool = False
    seed: int = 0


def find_checkpoints(paths: Sequence[Path], title: str | None, seed: int = 0) -> list[Import]:
    """Sort checkpoints into trainings by their names.

    Files that differ only in the number at the end are a trajectory, each the iteration that the
    number says; so is a single ``000500.pt``. Of all others each is a row of its own.

    Args:
        paths: the files, or folders of them.
        title: of the one training; by default the name of a folder or of a file.
        seed: of the training.

    Raises:
        UserError: there is no file, or one ``title`` for several trainings.
    """
    files = [file for path in paths for file in _checkpoints(path)]
    groups: dict[tuple[Path, str, str], dict[int, Path]] = {}
    single: list[Path] = []
    for file in dict.fromkeys(files):
        match = re.fullmatch(r"(.*?)([0-9]{1,9})", file.stem)
        if match is None:
            single.append(file)
            continue
        group = groups.setdefault((file.parent, match[1], file.suffix), {})
        if int(match[2]) in group:
            raise UserError(f"{file} and {group[int(match[2])]} are of one iteration.")
        group[int(match[2])] = file
    imports = []
    for (folder, prefix, _), group in groups.items():
        if len(group) > 1 or _ALONE.fullmatch(prefix.lower()):
            name = title or prefix.strip("-_. ") or folder.resolve().name
            imports.append(Import(name, dict(sorted(group.items())), seed=seed))
        else:
            single += group.values()
    imports += [Import(title or file.stem, {0: file}, seed=seed) for file in single]
    if title is not None and len(imports) > 1:
        raise UserError(
            f"--name {title!r}: the files are of {len(imports)} trainings, as their names differ "
            "in more than the number at the end; import one at a time, or leave out --name."
        )
    return imports


def in_iterations(files: Mapping[int, Path], batch: int, say: Say) -> dict[int, Path]:
    """NVIDIA counts thousands of images; as iterations of ``batch`` images they share an axis."""
    if not all(path.name.startswith(_KIMG) for path in files.values()):
        return dict(files)
    say(
        f"{_KIMG}*: their numbers are thousands of images, drawn as iterations of the suite's "
        f"batch of {batch}."
    )
    return {round(1000 * kimg / batch): path for kimg, path in files.items()}


def _checkpoints(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in CHECKPOINTS)
    if not files:
        raise UserError(f"{path} holds no checkpoints, which end in {', '.join(CHECKPOINTS)}.")
    return files
