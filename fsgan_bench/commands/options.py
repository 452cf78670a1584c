"""What several commands share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fsgan_bench.errors import printable

PATH = click.Path(path_type=Path)


class Number(click.FloatRange):
    """A number within bounds, and no NaN, which no bound stops."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


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
