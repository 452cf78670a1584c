"""What several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fsgan_bench.errors import UserError, one_line

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


def seed_list(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """``0``, ``0,3,7`` or ``0-4``, as a tuple of ints."""
    seeds: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not match:
            raise click.BadParameter(f"'{value}' is not a list of seeds such as 0,1,2 or 0-2.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 1000:
            raise click.BadParameter(f"'{part}' is not a range of at most 1,000 seeds.")
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


def target_list(value: str) -> tuple[str, ...]:
    """The distinct names of a comma-separated list; UserError if there is none."""
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in value.split(",")))))
    if not names:
        raise UserError("--target names no target; see fsgan-bench list targets.")
    return names


def show_broken(broken: Mapping[str, str]) -> None:
    """Print why methods or other plugins are left out, each in red on standard error."""
    for reason in broken.values():
        click.secho(f"Broken: {one_line(reason, longest=1000)}", err=True, fg="red")
