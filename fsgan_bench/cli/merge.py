"""``fsgan-bench merge``: results of several machines or groups as one root."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import PATH


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN RUN...")
@click.option("--out", type=PATH, required=True, help="New root of results.")
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Put the finished cells of several results folders into one new root.

    Cells of one hash must agree to the byte in all that their seed decides. What does not is named,
    the first RUN's stays, and the exit code is 1. Snapshots stay where they are: links lead there.

    \b
    Example: fsgan-bench merge results-a results-b --out results-both
    """
    from fsgan_bench.results.merge import merge_runs

    conflicts = merge_runs(runs, out, say=lambda line: click.echo(line, err=True))
    for conflict in conflicts:
        click.secho(conflict, err=True, fg="red")
    click.echo(f"{out}: fsgan-bench figures {out} draws it")
    sys.exit(1 if conflicts else 0)
