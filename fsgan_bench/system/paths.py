"""Paths: those of the package's own files, and those that users name."""

from __future__ import annotations

import contextlib
import os
from importlib import resources
from pathlib import Path

ASSETS = Path(str(resources.files("fsgan_bench"))) / "assets"
"""The package's own data: models, suites, templates."""


def readings(root: Path, text: str) -> list[Path]:
    """The paths below ``root`` that somebody may mean by ``text``, the literal one first.

    A ``..`` leads out of a ``root`` that does not exist yet too.

    A ``~`` in front may be the home folder, and a ``\\`` Windows' separator.
    """
    meant = [root / text if root.exists() else Path(os.path.normpath(root / text))]
    if text.startswith("~"):
        with contextlib.suppress(RuntimeError):  # there is no such user
            meant.append(Path(text).expanduser())
    if "\\" in text:
        meant.append(root / text.replace("\\", "/"))
    return meant


def meant(path: Path) -> Path:
    """The first of :func:`readings` that is there, else ``path``."""
    return next((each for each in readings(Path(), str(path)) if exists(each)), path)


def exists(path: Path | str) -> bool:
    """Whether there is something at ``path`` that this process can reach.

    ``Path.exists`` raises where a name is too long for the file system or a folder above may not
    be searched; what a user names, or a suite file lists, is then merely not there.
    """
    return os.path.exists(path)  # noqa: PTH110


def same_place(one: Path, other: Path) -> bool:
    """Whether both are there and are one file or folder."""
    return exists(one) and exists(other) and one.samefile(other)
