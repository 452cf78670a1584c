"""What several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from fsgan_bench.errors import printable

PATH = click.Path(path_type=Path)

DATA = click.option(
    "--data",
    type=PATH,
    help="Folder that the suite's paths start from.  [default: that of its file; for a built-in "
    "suite $FSGAN_BENCH_DATA, or data]",
)

PLUGIN = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=PATH,
    help="Python file with a method of your own; may be repeated.",
)


def show_broken(broken: Mapping[str, str]) -> None:
    """Print why methods are left out, each in red on standard error."""
    for reason in broken.values():
        click.secho(f"Broken: {printable(reason)}", err=True, fg="red")
