"""``fsgan-bench run``: adapt, score, tabulate and draw."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from fsgan_bench.cli.console import make_console, planning, preparing
from fsgan_bench.cli.options import (
    DATA,
    DEVICE,
    DRY_RUN,
    ENGINE,
    PATH,
    PLUGIN,
    TRACK,
    Number,
    given_command,
    seed_list,
    show_broken,
    target_list,
)
from fsgan_bench.errors import UserError, check_folder, one_line
from fsgan_bench.results.keeping import KEEPS
from fsgan_bench.system.bounds import BOUNDS
from fsgan_bench.system.files import check_writable
from fsgan_bench.training.numerics import PRECISIONS

if TYPE_CHECKING:
    from rich.console import Console

    from fsgan_bench.driver.placing import Signalled
    from fsgan_bench.driver.plan import Plan
    from fsgan_bench.driver.task import Task
    from fsgan_bench.trackers.tracker import Tracker


JOINS = "The jobs go on; the same command without --detach joins them and draws what came out."


@cloup.command()
@cloup.option_group(
    "What to run",
    click.option(
        "--methods",
        required=True,
        help="Comma-separated names; 'all' for the built-in ones, 'none' to score the source "
        "alone.",
    ),
    click.option("--target", "targets", required=True, help="Target domain(s), comma-separated."),
    click.option(
        "--suite", default="avatars", show_default=True, help="Suite of source and targets."
    ),
    DATA,
    click.option(
        "--shots",
        type=click.IntRange(*BOUNDS["shots"]),
        help="Few-shot images.  [default: the suite's]",
    ),
    click.option(
        "--seeds", default="0", show_default=True, callback=seed_list, help="As 0,1,2 or 0-2."
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="METHOD.KEY=VALUE[,VALUE...]",
        help="A method's setting; may be repeated. Several values make a cell each, several such "
        "settings a cell for each combination; where a value is itself a list, --set is given once "
        "a value.",
    ),
    PLUGIN,
)
@cloup.option_group(
    "How long",
    click.option("--budget", help="Budget of the suite.  [default: its first]"),
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
    click.option("--fresh", is_flag=True, help="Start the plan's cells over."),
    click.option(
        "--keep-snapshots",
        type=click.Choice(KEEPS),
        default="scored",
        show_default=True,
        help="Which snapshots stay on disk; 'all' keeps the final training state besides.",
    ),
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
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="fp32",
        show_default=True,
        help="Of the networks' convolutions in training; scoring is always fp32.",
    ),
    click.option(
        "--accumulate",
        type=click.IntRange(*BOUNDS["accumulate"]),
        default=1,
        show_default=True,
        help="Micro-batches that a batch is computed in, to save memory.",
    ),
    click.option("--compile", is_flag=True, help="Translate the networks with torch.compile."),
    click.option(
        "--cell-timeout",
        type=Number(min=1),
        metavar="SECONDS",
        help="Stop a cell that takes longer, counted anew in every run; its state is kept.",
    ),
)
@ENGINE
def run(targets: str, dry_run: bool, trackers: tuple[str, ...], **options: Any) -> None:
    """Adapt, score, tabulate and draw; finished cells are skipped.

    \b
    Example: fsgan-bench run --methods tgan,cdc --target sketches --seeds 0-2
    """
    from fsgan_bench.cli import printing
    from fsgan_bench.cli.report import write_report
    from fsgan_bench.driver.plan import make_plan
    from fsgan_bench.driver.request import RunRequest
    from fsgan_bench.driver.run import start_over
    from fsgan_bench.trackers.tracker import find_tracker

    names = target_list(targets)
    check_folder("--out", options["out"])
    dashboards = {name: find_tracker(name) for name in trackers}
    console = make_console()
    request = RunRequest(targets=names, **options)
    with planning(console):
        plan = make_plan(request)
        if not dry_run:
            check_root(plan)
        time_left = printing.estimate(plan)
    printing.show_plan(plan, time_left, console)
    show_broken(plan.broken)
    if dry_run:
        sys.exit(1 if plan.broken else 0)
    if request.fresh:
        start_over(plan)
    failures = carry_out(plan, console, dashboards)
    if request.detach:
        return
    undrawn = False
    try:
        printing.show_results(plan, console)
        if page := write_report(plan, [cell.folder(task.folder) for task, cell in plan.cells]):
            console.print(f"Report: {printing.relative(page)}", soft_wrap=True)
    except (OSError, UserError) as error:
        click.echo(
            f"The figures could not be drawn; fsgan-bench figures {request.out} draws them later: "
            f"{error}",
            err=True,
        )
        undrawn = True
    show_failures(plan, failures)
    show_broken(plan.broken)
    sys.exit(1 if failures or plan.broken or undrawn else 0)


def check_root(plan: Plan) -> None:
    """Raise UserError if there is something to do and its results cannot be written."""
    if plan.to_prepare:
        check_writable(plan.request.out)


def carry_out(
    plan: Plan, console: Console, dashboards: Mapping[str, type[Tracker]]
) -> dict[str, str]:
    """Prepare the tasks and run the cells that are not done; the reasons of those that failed.

    The report is kept current meanwhile, and ``dashboards``, by name, are sent what cells write.

    After a signal it says how to go on, and ends the process with the signal's exit code.
    """
    from fsgan_bench.cli.progress import Display
    from fsgan_bench.cli.report import report_file
    from fsgan_bench.driver.listener import Listener, Together
    from fsgan_bench.driver.placing import Signalled
    from fsgan_bench.driver.run import run_plan
    from fsgan_bench.report.live import LiveReport
    from fsgan_bench.trackers.following import LiveTracking

    folders = {cell.hash: cell.folder(task.folder) for task, cell in plan.cells}

    def say(line: str) -> None:
        click.echo(line, err=True)

    @contextmanager
    def preparation(task: Task) -> Iterator[None]:
        with preparing(console, task.target.name):
            yield
        for note in task.notes:
            say(f"{task.target.name}: {note}")

    followers: list[Listener] = [
        Display(console),
        LiveReport(list(folders.values()), report_file(plan), say),
        *(
            LiveTracking(name, kind, plan.request.out / "tracking", folders, say)
            for name, kind in dashboards.items()
        ),
    ]
    try:
        failures = run_plan(plan, Together(*followers), given_command(), preparation)
    except Signalled as signal:
        if plan.executor.outlives_run:
            click.echo(f"Left. {JOINS}", err=True)
        else:
            show_failures(plan, signal.failures)
            click.echo(_stopped(signal), err=True)
        sys.exit(128 + signal.number)
    if plan.request.detach:
        click.echo(f"Submitted. {JOINS}", err=True)
    return failures


def _stopped(signal: Signalled) -> str:
    """How what was stopped goes on."""
    if signal.at_once:
        return "Stopped at once; the same command continues from the last states that were saved."
    whose = "The state of every other cell" if signal.failures else "Every cell's state"
    return f"Stopped. {whose} is saved; the same command continues."


def show_failures(plan: Plan, failures: dict[str, str]) -> None:
    """Say which cells failed, and why."""
    for label, reason in failures.items():
        click.echo(one_line(f"{label} failed: {reason}", longest=1000), err=True)
    if failures:
        preparing = {f"preparing {each.request.target}" for each in plan.preparations}
        click.echo(
            f"{len(failures.keys() - preparing)} of {len(plan.cells)} cell(s) failed. All scores "
            "and the last states are kept; the same command continues them.",
            err=True,
        )
