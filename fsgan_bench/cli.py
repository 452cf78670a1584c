"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fsgan_bench import __version__
from fsgan_bench.bounds import MAX_ITERATIONS, MAX_SHOTS, MAX_SNAPSHOTS
from fsgan_bench.cells import KEEPS
from fsgan_bench.commands.check import check
from fsgan_bench.commands.console import make_console
from fsgan_bench.commands.convert import convert
from fsgan_bench.commands.data import data
from fsgan_bench.commands.new_method import new_method
from fsgan_bench.commands.options import DATA, PATH, PLUGIN, Number, show_broken
from fsgan_bench.commands.pretrain import pretrain
from fsgan_bench.commands.score import score
from fsgan_bench.commands.verdict import verdict
from fsgan_bench.commands.verify import verify
from fsgan_bench.commands.weights import weights
from fsgan_bench.errors import UserError, check_folder, printable
from fsgan_bench.machine import check_device
from fsgan_bench.numerics import PRECISIONS
from fsgan_bench.store import check_writable

F = TypeVar("F", bound=Callable[..., Any])

# Threads that spin while they wait lose most of their time on a machine that does other work too;
# OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk may do to a command at any time: it is full, over quota, read-only or broken."""


class SentenceGroup(click.Group):
    """Turns a :class:`UserError` into one sentence and exit code 2, a failing disk into 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            context.exit(2)
        except OSError as error:
            if error.errno in STORAGE:
                click.echo(f"Error: {error}; the same command continues from here.", err=True)
                context.exit(1)
            if error.filename is None:
                raise
            where = printable(str(error.filename))
            click.echo(f"Error: {where} cannot be used: {error.strerror}.", err=True)
            context.exit(2)


@click.group(cls=SentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fsgan-bench")
def main() -> None:
    """Compare methods that adapt a pretrained GAN to a few images.

    Every method runs under one driver; every snapshot is scored on one fixed probe batch.
    """


def seed_list(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """``0``, ``0,3,7`` or ``0-4``, as a tuple of ints."""
    seeds: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not match:
            raise click.BadParameter(f"'{value}' is not a list of seeds such as 0,1,2 or 0-2.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 1000:
            raise click.BadParameter(f"'{part}' is not a range of at most 1,000 seeds.")
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


@main.command()
@click.option(
    "--methods", required=True, help="Comma-separated names; 'all' for the built-in ones."
)
@click.option("--target", "targets", required=True, help="Target domain(s), comma-separated.")
@click.option("--suite", default="avatars", show_default=True, help="Suite of source and targets.")
@DATA
@click.option("--budget", help="Budget of the suite.  [default: its first]")
@click.option(
    "--shots", type=click.IntRange(1, MAX_SHOTS), help="Few-shot images.  [default: the suite's]"
)
@click.option(
    "--seeds", default="0", show_default=True, callback=seed_list, help="As 0,1,2 or 0-2."
)
@click.option(
    "--iterations", type=click.IntRange(1, MAX_ITERATIONS), help="In place of the budget's."
)
@click.option(
    "--snapshots", type=click.IntRange(2, MAX_SNAPSHOTS), help="How many, in place of the budget's."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.KEY=VALUE",
    help="A method's setting; may be repeated.",
)
@PLUGIN
@click.option(
    "--out", type=PATH, default=Path("results"), show_default=True, help="Root of all results."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--fresh", is_flag=True, help="Start the plan's cells over.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda[:N].")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the networks' convolutions in training; scoring is always fp32.",
)
@click.option(
    "--accumulate",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Micro-batches that a batch is computed in, to save memory.",
)
@click.option("--compile", is_flag=True, help="Translate the networks with torch.compile.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="Cells at a time, the cores shared out among them.  [default: one a core]",
)
@click.option(
    "--cell-timeout",
    type=Number(min=1),
    metavar="SECONDS",
    help="Stop a cell that takes longer, counted anew in every run; its state is kept.",
)
@click.option(
    "--keep-snapshots",
    "keep",
    type=click.Choice(KEEPS),
    default="scored",
    show_default=True,
    help="Which snapshots stay on disk; 'all' keeps the final training state besides.",
)
@click.option(
    "--allow-weak-classifier", is_flag=True, help="Score although the classifier fails its checks."
)
def run(targets: str, dry_run: bool, **options: Any) -> None:
    """Adapt, score, tabulate and draw; finished cells are skipped."""
    from fsgan_bench import report
    from fsgan_bench.executors import Signalled
    from fsgan_bench.locks import owned
    from fsgan_bench.progress import Display
    from fsgan_bench.runner import RunRequest, make_plan, run_plan, start_over

    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in targets.split(",")))))
    if not names:
        raise UserError("--target names no target; see fsgan-bench list targets.")
    check_device(options["device"])
    check_folder("--out", options["out"])
    console = make_console()
    request = RunRequest(targets=names, **options)
    with console.status("planning"):
        plan = make_plan(request)
    report.show_plan(plan, console)
    show_broken(plan.broken)
    if dry_run:
        sys.exit(1 if plan.broken else 0)
    if request.fresh:
        start_over(plan)
    failures: dict[str, str] = {}
    if plan.to_run:
        check_writable(request.out)
        for task in plan.tasks:
            with (
                console.status(
                    f"preparing {task.target.name}: images, classifier, reference lines"
                ),
                owned(task.folder, patience=-1),
            ):
                task.prepare()
            for note in task.notes:
                click.echo(f"{task.target.name}: {note}", err=True)
        try:
            failures = run_plan(plan, Display(console))
        except Signalled as signal:
            click.echo(
                "Stopped. Every cell's state is saved; the same command continues.", err=True
            )
            sys.exit(128 + signal.number)
    undrawn = False
    try:
        report.show_results(plan, console)
    except (OSError, UserError) as error:
        click.echo(
            f"The figures could not be drawn; fsgan-bench figures {request.out} draws them later: "
            f"{error}",
            err=True,
        )
        undrawn = True
    for label, reason in failures.items():
        click.echo(printable(f"{label} failed: {reason}"), err=True)
    if failures:
        click.echo(
            f"{len(failures)} of {len(plan.cells)} cell(s) failed. All scores and the last states "
            "are kept; the same command continues them.",
            err=True,
        )
    show_broken(plan.broken)
    sys.exit(1 if failures or plan.broken or undrawn else 0)


@main.command(name="list")
@click.argument("what", type=click.Choice(["methods", "targets", "suites", "metrics"]))
@click.option(
    "--suite", default="avatars", show_default=True, help="Suite whose targets are listed."
)
@PLUGIN
def list_(what: str, suite: str, plugins: tuple[Path, ...]) -> None:
    """List what can be named."""
    from fsgan_bench import report

    broken = report.show_list(what, suite, plugins, make_console())
    show_broken(broken)
    sys.exit(2 if broken else 0)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, help="Folder to draw into.  [default: beside each run]")
def figures(runs: tuple[Path, ...], out: Path | None) -> None:
    """Redraw figures and tables of RUNS (result folders) from their files alone."""
    from fsgan_bench.figures import draw

    if out is not None:
        check_folder("--out", out)
    for path in draw(list(runs), out):
        click.echo(path)


main.add_command(check)
main.add_command(convert)
main.add_command(data)
main.add_command(new_method)
main.add_command(pretrain)
main.add_command(score)
main.add_command(verdict)
main.add_command(verify)
main.add_command(weights)

if __name__ == "__main__":
    main()
