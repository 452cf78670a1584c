"""Every claim of speed as a ratio to what public code does, measured here and now.

Seconds are the processor's, on one thread, except where other processes work.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from comparisons import COMPARISONS, Size
from measuring import Row

from fsgan_bench.system import machine

COLUMNS = ("work", "against", "ours (s)", "theirs (s)", "ratio", "lowest to highest", "goal")


def line(row: Row) -> str:
    """A row of the table in Markdown."""
    seconds = [f"{each:.3g}" for each in (row.ours, row.theirs)]
    ratios = [f"{row.ratio:.3g}", f"{row.low:.3g} to {row.high:.3g}", f"{row.goal:.2g}"]
    return "| " + " | ".join([row.work, row.against, *seconds, *ratios]) + " |"


@click.command()
@click.option("--only", default=",".join(COMPARISONS), show_default=True, help="Which, by comma.")
@click.option("--rounds", default=Size.rounds, show_default=True, help="Turns that count.")
@click.option("--images", default=Size.images, show_default=True, help="Of the probe batch.")
@click.option("--out", type=click.Path(path_type=Path), help="A JSON file with all of it.")
def main(only: str, rounds: int, images: int, out: Path | None) -> None:
    """Print a table of ratios: theirs by ours, so that above 1 ours is faster."""
    machine.prepare(1)
    if unknown := [name for name in only.split(",") if name not in COMPARISONS]:
        raise click.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(COMPARISONS)}", param_hint="--only"
        )
    click.echo("| " + " | ".join(COLUMNS) + " |\n|---|---|" + "---:|" * 5)
    rows = []
    for name in only.split(","):
        rows.append(COMPARISONS[name](Size(images=images, rounds=rounds)))
        click.echo(line(rows[-1]))
    if out:
        described = {"machine": machine.description(), "rows": [asdict(row) for row in rows]}
        out.write_text(json.dumps(described, indent=2) + "\n")


if __name__ == "__main__":
    main()
