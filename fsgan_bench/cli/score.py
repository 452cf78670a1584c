"""``fsgan-bench score``: more metrics on what is stored, without training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import cloup

from fsgan_bench.cli.options import DATA, DEVICE, PATH, PLUGIN, show_broken


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "--metrics",
    "names",
    required=True,
    help="Comma-separated: kid, prdc (precision, recall, density, coverage), nn_lpips, or any "
    "other of fsgan-bench list metrics.",
)
@click.option("--suite", help="Suite file of the runs.  [default: the built-in one that they name]")
@DATA
@PLUGIN
@DEVICE
def score(runs: tuple[Path, ...], names: str, **options: Any) -> None:
    """Add metrics to the finished cells in RUN (results root, task or cell folders).

    Draws the probe batch from the stored snapshots again and adds lines to scores.jsonl, and to
    references.jsonl for the source, real images and the ideal. What is there stays, and is not
    scored again.

    \b
    Example: fsgan-bench score results/avatars --metrics kid,prdc
    """
    from fsgan_bench.plugins.metrics import choose_metrics
    from fsgan_bench.snapshots.rescore import score_runs
    from fsgan_bench.system.machine import check_device

    check_device(options["device"])
    metrics, broken = choose_metrics(names)
    added = score_runs(runs, metrics, say=click.echo, **options)
    click.echo(f"{added.count} score(s) added")
    show_broken(broken | added.broken)
    sys.exit(2 if added.broken else 1 if broken else 0)
