"""Paths: those of the package's own files, and those that users name."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

ASSETS = Path(str(resources.files("fsgan_bench"))) / "assets"
"""The package's own data: models, suites, templates."""


def exists(path: Path | str) -> bool:
    """Whether there is something at ``path`` that this process can reach.

    ``Path.exists`` raises where a name is too long for the file system or a folder above may not
    be searched; what a user names, or a suite file lists, is then merely not there.
    """
    return os.path.exists(path)  # noqa: PTH110
