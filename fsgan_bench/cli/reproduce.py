"""``fsgan-bench reproduce``: the paper's figures and tables, from nothing or from what is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import cloup

from fsgan_bench.cli.console import make_console, planning
from fsgan_bench.cli.options import (
    DATA,
    DEVICE,
    DRY_RUN,
    ENGINE,
    PATH,
    PLUGIN,
    TRACK,
    seed_list,
    show_broken,
    target_list,
)
from fsgan_bench.cli.run import carry_out, check_root, show_failures
from fsgan_bench.errors import check_folder, look_up
from fsgan_bench.system.bounds import BOUNDS

ALL = "all"


def _seeds(
    context: click.Context, option: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    return None if value is None else seed_list(context, option, value)


@cloup.command()
@click.argument("parts", nargs=-1, metavar="[PART...]")
@cloup.option_group(
    "What to run",
    click.option(
        "--suite", default="avatars", show_default=True, help="Suite of source and targets."
    ),
    DATA,
    click.option("--target", "targets", help="Comma-separated.  [default: the budget's number]"),
    click.option(
        "--seeds", callback=_seeds, help="As 0,1,2 or 0-2.  [default: the budget's number]"
    ),
    click.option(
        "--methods", default="all", show_default=True, help="To compare; yours with --plugin."
    ),
    PLUGIN,
)
@cloup.option_group(
    "How long",
    click.option("--budget", default="quick", show_default=True, help="quick, standard or full."),
    click.option(
        "--iterations", type=click.IntRange(*BOUNDS["iterations"]), help="In place of the budget's."
    ),
    click.option(
        "--snapshots",
        type=click.IntRange(*BOUNDS["snapshots"]),
        help="How many, in place of the budget's.",
    ),
)
@cloup.option_group(
    "Results",
    click.option(
        "--out", type=PATH, default=Path("results"), show_default=True, help="Root of all results."
    ),
    DRY_RUN,
    click.option(
        "--allow-weak-classifier",
        is_flag=True,
        help="Score although the classifier fails its checks.",
    ),
    TRACK,
)
@cloup.option_group(
    "Computing",
    DEVICE,
    click.option(
        "--jobs",
        type=click.IntRange(*BOUNDS["jobs"]),
        help="Cells at a time, the cores shared out among them.  [default: one a core]",
    ),
)
@ENGINE
def reproduce(
    parts: tuple[str, ...],
    targets: str | None,
    seeds: tuple[int, ...] | None,
    budget: str,
    dry_run: bool,
    trackers: tuple[str, ...],
    **options: Any,
) -> None:
    """Run what is missing for the paper's figures and tables, and draw them.

    PART is trajectories, grids, tables, classifier-ablation, METHOD-ablation of a method that has
    one, data-size, or all (the default). Cells are those of fsgan-bench run: finished ones are
    taken as they are, and with nothing missing everything is drawn again from the files.

    quick: one target, three seeds, ablations with one. standard: three targets, three seeds in the
    ablations too, two methods' data sizes. full: all targets, five seeds, all methods' data sizes.
    Cells train as the suite's budget of that name says, or as its longest.

    \b
    Example: fsgan-bench reproduce trajectories tables --dry-run
    """
    from fsgan_bench.cli import printing
    from fsgan_bench.cli.report import write_report
    from fsgan_bench.driver.request import RunRequest
    from fsgan_bench.reproduction.plan import (
        SCOPES,
        ReproduceRequest,
        draw_reproduction,
        known_parts,
        plan_reproduction,
    )
    from fsgan_bench.trackers.tracker import find_tracker

    known = known_parts()
    for part in parts:
        look_up("part", part, dict.fromkeys((*known, ALL)))
    look_up("budget", budget, SCOPES)
    check_folder("--out", options["out"])
    dashboards = {name: find_tracker(name) for name in trackers}
    everything = not parts or ALL in parts
    request = ReproduceRequest(
        parts=known if everything else tuple(part for part in known if part in parts),
        budget=budget,
        targets=None if targets is None else target_list(targets),
        seeds=seeds,
        run=RunRequest(targets=(), **options),
    )
    console = make_console()
    with planning(console):
        found = plan_reproduction(request)
        if not dry_run:
            check_root(found.plan)
        time_left = printing.estimate(found.plan)
    printing.show_plan(found.plan, time_left, console)
    for note in found.notes:
        click.echo(note, err=True)
    show_broken(found.plan.broken)
    if dry_run:
        sys.exit(1 if found.plan.broken else 0)
    failures = carry_out(found.plan, console, dashboards)
    if request.run.detach:
        return
    for path in draw_reproduction(request, found, say=lambda line: click.echo(line, err=True)):
        click.echo(path)
    compared = [cell for cells in found.compared.values() for cell in cells]
    if page := write_report(found.plan, compared):
        click.echo(page)
    show_failures(found.plan, failures)
    show_broken(found.plan.broken)
    sys.exit(1 if failures or found.plan.broken else 0)
