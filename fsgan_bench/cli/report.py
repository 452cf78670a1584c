"""``fsgan-bench report``: one page to scrub through, from files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsgan_bench.cli.options import PATH
from fsgan_bench.errors import UserError, check_folder

if TYPE_CHECKING:
    from fsgan_bench.driver.run import Plan

NAME = "report.html"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=Path(NAME), show_default=True, help="HTML file to write.")
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Write RUNS (result folders) as one HTML file to scrub through, from their files alone.

    It holds curves, images, tables, verdict, cards and provenance, needs no network, and opens from
    disk or from any web server. fsgan-bench run and reproduce write it beside the tasks.
    """
    from fsgan_bench.report import page
    from fsgan_bench.results.reader import load

    if out.is_dir():
        raise UserError(f"--out {out} is a folder; the name of an HTML file is needed.")
    check_folder("--out", out.parent)
    click.echo(page.write(load(list(runs)), out))


def report_folder(plan: Plan) -> Path:
    """The folder of a plan's suite, whose tasks are on one page."""
    return plan.tasks[0].folder.parent


def write_report(plan: Plan) -> Path | None:
    """Write the page of all tasks of a plan's suite beside them; None if nothing is there yet."""
    from fsgan_bench.report import page
    from fsgan_bench.results.reader import load

    folder = report_folder(plan)
    if not any(task.folder.exists() for task in plan.tasks):
        return None
    return page.write(load([folder]), folder / NAME)
