"""``fsgan-bench status``: what runs where, how far it is, and what stands still."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.cli.options import PATH
from fsgan_bench.cli.sparkline import sparkline

if TYPE_CHECKING:
    from rich.text import Text

    from fsgan_bench.driver.executors.submissions import Submission
    from fsgan_bench.results.standing import Standing

STYLES = {"running": "green", "failed": "red", "stopped": "yellow", "outdated": "yellow"}


@cloup.command()
@click.argument("runs", nargs=-1, type=PATH)
@click.option("--all", "everything", is_flag=True, help="List finished cells too.")
def status(runs: tuple[Path, ...], everything: bool) -> None:
    """Say what runs where, how far it is, what failed, and since when nothing moved.

    RUNS are result folders, by default results. Everything is read from their files, so that it
    works from another terminal and from any host that sees them, and disturbs nobody.

    \b
    Example: fsgan-bench status results
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from fsgan_bench.driver.executors.submissions import FOLDER, read_submissions
    from fsgan_bench.results.reader import load
    from fsgan_bench.results.standing import STATES, standings

    roots = list(runs) or [Path("results")]
    begun = [root for root in roots if not (root / FOLDER).is_dir() or any(root.rglob("cell.json"))]
    found = standings(load(begun)) if begun else []
    console = make_console()
    for root in roots:
        for submission in read_submissions(root):
            console.print(_submitted(submission), highlight=False, soft_wrap=True)
            for line in _unprepared(submission):
                console.print(line, style="red", highlight=False, soft_wrap=True)
    counts = {state: sum(each.state == state for each in found) for state in STATES}
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    console.print(f"{len(found)} cell(s) begun: {words}." if found else "No cell has begun yet.")
    listed = [each for each in found if everything or each.state != "done"]
    if not listed:
        return
    columns = ("cell", "state", "iteration", "left", "p_t", "nothing new for", "where, or why")
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    now = datetime.now().astimezone()
    for each in listed:
        table.add_row(
            Text(f"{each.task}: {each.label}, seed {each.seed}"),
            Text(each.state, style=STYLES.get(each.state, "")),
            f"{each.iteration:,} of {each.iterations:,}",
            _left(each),
            _quality(each, console.encoding),
            "" if each.state == "done" else duration(now - each.moved),
            Text(each.owner or each.reason, overflow="fold"),
        )
    console.print(table)


def duration(time: timedelta) -> str:
    """``45 s``, ``12 min``, ``3 h 05 min`` or ``2 days``."""
    seconds = max(0, round(time.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86400} day{'s' if seconds >= 2 * 86400 else ''}"


def _submitted(submission: Submission) -> Text:
    """The jobs that an engine has, and how many of their cells have not begun."""
    from rich.text import Text

    from fsgan_bench.results.layout import CellFiles

    folders = [submission.root / name for names in submission.jobs.values() for name in names]
    waiting = sum(not CellFiles(folder).cell.exists() for folder in folders if _is_cell(folder))
    many = len(submission.jobs)
    return Text(
        f"{submission.engine} was given {many} job{'s' * (many > 1)}, {submission.name}, at "
        f"{submission.since} ({', '.join(submission.jobs)}); {waiting} of their cells not begun."
    )


def _unprepared(submission: Submission) -> Iterator[Text]:
    """Why tasks could not be prepared: their cells never begin."""
    from rich.text import Text

    from fsgan_bench.results.layout import CellFiles

    for folder in [submission.root / name for names in submission.jobs.values() for name in names]:
        reason = CellFiles(folder).failure
        if not _is_cell(folder) and reason is not None:
            yield Text(f"{folder.name} could not be prepared: {reason}")


def _is_cell(folder: Path) -> bool:
    """A submission holds cells, and tasks that are prepared, which are not so deep."""
    return folder.name.startswith("seed")


def _left(each: Standing) -> str:
    if each.state != "running" or math.isnan(each.seconds_left):
        return ""
    return duration(timedelta(seconds=each.seconds_left))


def _quality(each: Standing, encoding: str) -> str:
    known = each.realisticness
    return f"{sparkline(known, encoding=encoding)} {known[-1]:.3f}" if known else ""
