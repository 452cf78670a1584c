"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)

PLUGIN = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=PATH,
    help="Python file with a method of your own; may be repeated.",
)
