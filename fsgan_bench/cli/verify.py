"""``fsgan-bench verify``: are finished runs what they were, and do they come from what is there?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import cloup

from fsgan_bench.cli.options import DATA, PATH, PLUGIN


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    help="Suite file of runs; may be repeated.  [default: the built-in one that they name]",
)
@DATA
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the draw of the snapshots that are scored again.",
)
@PLUGIN
def verify(runs: tuple[Path, ...], **options: Any) -> None:
    """Check the finished cells in RUN (results root, task or cell folders, or a pack).

    Every file that should be there, its checksum, the hashes of source, few-shot set, reference
    set, classifier and probe batch, taken anew, and the scores of one snapshot of each task, made
    again: equal on the machine that made them, within a thousandth elsewhere. One line a problem;
    the exit code is 1 if there is any.

    \b
    Example: fsgan-bench verify results/avatars
    """
    from fsgan_bench.plugins.methods import find_methods
    from fsgan_bench.snapshots.verify import verify_runs

    find_methods(options["plugins"])
    checked = verify_runs(runs, **options)
    for note in checked.notes:
        click.echo(f"note: {note}")
    for problem in checked.problems:
        click.secho(problem, err=True, fg="red")
    many = len(checked.problems)
    click.echo(
        f"{checked.cells} finished cell(s), {checked.rescored} snapshot(s) scored again: "
        + (f"{many} problem{'s' if many > 1 else ''}" if many else "all as it was")
    )
    sys.exit(1 if many else 0)
