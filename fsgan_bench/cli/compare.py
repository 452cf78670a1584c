"""``fsgan-bench compare``: what changed between two results roots, and did scores get worse?"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.cli.options import PATH, Number

if TYPE_CHECKING:
    from rich.console import Console

    from fsgan_bench.analysis.changes import Changes, ScoreChange

STYLES = {"regressed": "bold red", "worse": "yellow", "better": "green", "differs": "yellow"}


@cloup.command()
@click.argument("before", type=PATH)
@click.argument("after", type=PATH)
@click.option(
    "--margin",
    type=Number(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="How much worse is a regression: of realisticness, or as a part of the source's score.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def compare(before: Path, after: Path, margin: float, as_json: bool) -> None:
    """Say what changed from BEFORE to AFTER (result folders), and whether scores differ.

    Cells are matched by task, method, settings and seed. A score differs if the 95 % interval of
    the difference, paired by seeds and by latents, leaves out zero. Exit code 1 if any score got
    worse by more than that error and by more than the margin, or is undefined now.

    \b
    Example: fsgan-bench compare results-before results
    """
    from fsgan_bench.analysis.changes import changes
    from fsgan_bench.results.reader import load

    found = changes(load(before), load(after), margin)
    if as_json:
        click.echo(json.dumps(_document(found), indent=2, allow_nan=False))
    else:
        _show(found, make_console())
    sys.exit(1 if found.regressions else 0)


def _show(found: Changes, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if found.made:
        table = Table("made with", "before", "after", "cells", box=box.SIMPLE_HEAD, pad_edge=False)
        for what, before, after, count in found.made:
            texts = (Text(text, overflow="fold") for text in (what, before, after))
            table.add_row(*texts, str(count))
        console.print(table)
    else:
        console.print("All cells were made with the same settings, versions and hardware.")
    table = Table(
        *("task", "method", "score", "seeds", "before", "after", "difference", "so it is"),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for change in found.scores:
        words = (
            change.task,
            change.method,
            change.scale.heading,
            str(change.seeds),
            f"{change.before:.4g}",
            *_after(change),
        )
        outcome = Text(change.outcome, style=STYLES.get(change.outcome, ""))
        table.add_row(*map(Text, words), outcome)
    console.print(table)
    for note in found.notes:
        console.print(Text(note))
    if any(change.seeds == 1 for change in found.scores):
        console.print("With one seed the error covers the latents, not how trainings differ.")
    if unknown := len(found.that("error unknown")):
        console.print(
            f"{unknown} score{' has' if unknown == 1 else 's have'} no known error and cannot be "
            "judged; more seeds would give one."
        )
    many = len(found.regressions)
    known = " whose error is known" if unknown else ""
    console.print(
        f"{many} score{'' if many == 1 else 's'} got worse by more than the error and the margin."
        if many
        else f"No score{known} got worse by more than its error and the margin."
    )


def _after(change: ScoreChange) -> tuple[str, str]:
    if math.isnan(change.after):
        return "undefined", ""
    error = change.difference.stderr
    known = f" ± {error:.2g}" if math.isfinite(error) else ""
    return f"{change.after:.4g}", f"{change.difference.value:+.4g}{known}"


def _document(found: Changes) -> dict[str, Any]:
    return {
        "made": [
            {"what": what, "before": before, "after": after, "cells": count}
            for what, before, after, count in found.made
        ],
        "scores": [_score(change) for change in found.scores],
        "notes": list(found.notes),
        "regressions": len(found.regressions),
    }


def _score(change: ScoreChange) -> dict[str, Any]:
    numbers = {
        "before": change.before,
        "after": change.after,
        "difference": change.difference.value,
        "stderr": change.difference.stderr,
        "margin": change.margin,
    }
    return {
        "task": change.task,
        "method": change.method,
        "score": change.scale.key,
        "seeds": change.seeds,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "judgement": change.outcome,
    }
