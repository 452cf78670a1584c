"""``fsgan-bench report``: one page to scrub through, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cloup

from fsgan_bench.cli.options import PATH
from fsgan_bench.errors import UserError, check_folder

if TYPE_CHECKING:
    from fsgan_bench.driver.plan import Plan

NAME = "report.html"


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=Path(NAME), show_default=True, help="HTML file to write.")
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Write RUNS (result folders) as one HTML file to scrub through, from their files alone.

    It holds curves, images, tables, verdict, cards and provenance, needs no network, and opens from
    disk or from any web server. fsgan-bench run and reproduce write one of
    their own cells into the folder of the suite.

    \b
    Example: fsgan-bench report results/avatars --out report.html
    """
    from fsgan_bench.report import page
    from fsgan_bench.results.reader import load

    if out.is_dir():
        raise UserError(f"--out {out} is a folder; the name of an HTML file is needed.")
    check_folder("--out", out.parent)
    click.echo(page.write_page(load(list(runs)), out))


def report_file(plan: Plan) -> Path:
    """Where the page of a plan's cells is: in the folder of its suite."""
    return plan.tasks[0].folder.parent / NAME


def write_report(plan: Plan, cells: Sequence[Path]) -> Path | None:
    """Write the page of these cells of a plan; None if none of them has begun."""
    from fsgan_bench.report import page
    from fsgan_bench.results.layout import CellFiles
    from fsgan_bench.results.reader import load

    begun = [cell for cell in cells if CellFiles(cell).cell.exists()]
    return page.write_page(load(begun), report_file(plan)) if begun else None
