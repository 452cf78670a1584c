"""``fsgan-bench verdict``: do these runs bear out the paper's observations?"""

from __future__ import annotations

import json
from pathlib import Path

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.cli.options import PATH, Number
from fsgan_bench.errors import check_folder


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option(
    "--margin",
    type=Number(0, 1, min_open=True, max_open=True),
    help="Difference in realisticness, or in diversity relative to the source's, that counts as "
    "none.  [default: 0.05]",
)
@click.option("--out", type=PATH, help="Folder to write into.  [default: beside the figures]")
def verdict(runs: tuple[Path, ...], as_json: bool, margin: float | None, out: Path | None) -> None:
    """Test the paper's two observations on RUNS (result folders), from their files alone.

    Observation 1: all methods converge to similar realisticness. Observation 2: they differ in how
    fast diversity decays, and the slower are better. Each is supported, not supported or undecided;
    verdict.md and verdict.json beside the figures hold the numbers.

    \b
    Example: fsgan-bench verdict results/avatars
    """
    from fsgan_bench.analysis import document
    from fsgan_bench.analysis import verdict as report
    from fsgan_bench.analysis.findings import MARGIN
    from fsgan_bench.results.reader import load

    if out is not None:
        check_folder("--out", out)
    result = report.verdict(load(runs), MARGIN if margin is None else margin)
    paths = report.write_verdict(result, out)
    if as_json:
        click.echo(json.dumps(document.to_json(result), indent=2))
        return
    report.show(result, make_console())
    for path in paths:
        click.echo(path)
