"""``fsgan-bench track``: runs that are there already, on a dashboard."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import PATH
from fsgan_bench.errors import check_folder


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option(
    "--to", "name", required=True, help="tensorboard, wandb, mlflow, or an installed one."
)
@click.option(
    "--out",
    type=PATH,
    default=Path("tracking"),
    show_default=True,
    help="Folder for what a tracker keeps on disk.",
)
def track(runs: tuple[Path, ...], name: str, out: Path) -> None:
    """Send RUNS (result folders) to a dashboard: losses, scores, images and settings of each cell.

    A cell that was sent before is replaced (by W&B online, continued). fsgan-bench run --track
    sends while it runs.

    \b
    Example: fsgan-bench track results/avatars --to tensorboard
    """
    from fsgan_bench.results.folders import find_cells
    from fsgan_bench.trackers.following import send_all
    from fsgan_bench.trackers.tracker import find_tracker

    check_folder("--out", out)
    kind = find_tracker(name)
    cells = [cell for found in find_cells(list(runs)).values() for cell in found]
    failed = send_all(kind, out, cells, lambda line: click.echo(line, err=True))
    click.echo(f"{len(cells) - failed} of {len(cells)} cell(s) sent to {name}.")
    sys.exit(1 if failed else 0)
