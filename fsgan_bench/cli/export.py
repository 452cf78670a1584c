"""``fsgan-bench export``: all scores as one long table."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import PATH


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--out", type=PATH, required=True, help="File: .parquet, .csv or .json.")
def export(runs: tuple[Path, ...], out: Path) -> None:
    """Write all scores in RUN (results folders) as one long table, a row a number.

    Snapshots and reference lines, with settings, hashes and provenance; docs/export.md describes
    the columns. Parquet takes pyarrow: pip install 'fsgan-bench[parquet]'.

    \b
    Example: fsgan-bench export results/avatars --out scores.csv
    """
    from fsgan_bench.results.export import export_results

    rows = export_results(runs, out)
    click.echo(f"{out}: {rows:,} rows")
