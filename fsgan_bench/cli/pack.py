"""``fsgan-bench pack``: what a reader needs to check a claim, as a zip."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import PATH


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--out", type=PATH, required=True, help="New .zip.")
@click.option("--weights", is_flag=True, help="Pack the snapshots too.")
def pack(runs: tuple[Path, ...], out: Path, weights: bool) -> None:
    """Pack the finished cells in RUN with their tasks into a zip that verify takes.

    Scores, logs, per-image values, image strips, figures, cards and checksums; of snapshots only
    the checksums, unless --weights is given.

    \b
    Example: fsgan-bench pack results/avatars --out results.zip
    """
    from fsgan_bench.results.pack import pack_runs

    cells = pack_runs(runs, out, weights, say=lambda line: click.echo(line, err=True))
    click.echo(f"{out}: {cells} cell(s), {out.stat().st_size:,} bytes; fsgan-bench verify {out}")
