"""What several commands share."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import cloup

from fsgan_bench.errors import UserError, one_line
from fsgan_bench.system.bounds import BOUNDS
from fsgan_bench.system.names import names_in

PATH = click.Path(path_type=Path)

GIVEN = "fsgan_bench.arguments"
"""Where the command's context keeps the arguments as they were given."""


def given_command() -> str:
    """The command that is being carried out, as a shell takes it."""
    return shlex.join(["fsgan-bench", *click.get_current_context().meta[GIVEN]])


class Number(click.FloatRange):
    """A number within bounds, and no NaN, which no bound stops."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


DEVICE = click.option(
    "--device",
    default="cpu",
    show_default=True,
    envvar="FSGAN_BENCH_DEVICE",
    show_envvar=True,
    help="cpu or cuda[:N].",
)

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

TRACK = click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="DASHBOARD",
    help="Send losses, scores and images to tensorboard, wandb or mlflow, below tracking in the "
    "results root; may be repeated.",
)


ENGINE = cloup.option_group(
    "Cluster",
    click.option(
        "--executor",
        default="local",
        show_default=True,
        metavar="NAME[:PROFILE]",
        help="What carries out the cells: local, slurm or ray; PROFILE is a TOML file or its name.",
    ),
    click.option("--address", help="Of a running Ray.  [default: one is started for the run]"),
    click.option(
        "--pack",
        type=click.IntRange(*BOUNDS["pack"]),
        default=1,
        show_default=True,
        help="Cells a job of SLURM or Ray, one after another.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(*BOUNDS["retries"]),
        default=2,
        show_default=True,
        help="Further tries of a cell whose job the engine lost.",
    ),
    click.option(
        "--detach",
        is_flag=True,
        help="Leave the jobs once they are submitted; the same command without it joins them.",
    ),
)


DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and stop; what it tells is measured: images are drawn, methods timed.",
)


def seed_list(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """``0``, ``0,3,7`` or ``0-4``, as a tuple of ints."""
    seeds: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not match:
            raise click.BadParameter(f"'{value}' is not a list of seeds such as 0,1,2 or 0-2.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise click.BadParameter(f"'{part}' counts down; write {last}-{first}.")
        if last >= first + 1000:
            raise click.BadParameter(f"'{part}' is not a range of at most 1,000 seeds.")
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


def target_list(value: str) -> tuple[str, ...]:
    """The distinct names of a comma-separated list; UserError if there is none."""
    names = tuple(names_in(value))
    if not names:
        raise UserError("--target names no target; see fsgan-bench list targets.")
    return names


def show_broken(broken: Mapping[str, str]) -> None:
    """Print why methods or other plugins are left out, each in red on standard error."""
    for reason in broken.values():
        click.secho(f"Broken: {one_line(reason, longest=1000)}", err=True, fg="red")
