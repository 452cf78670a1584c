"""``fsgan-bench convert``: a checkpoint, or an adapted generator, in another layout."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import DATA, PATH, PLUGIN


@cloup.command()
@click.argument("source", metavar="IN", type=PATH)
@click.argument("target", metavar="OUT", type=PATH)
@click.option(
    "--iteration", type=click.IntRange(0), help="Snapshot of a cell.  [default: the last kept]"
)
@click.option("--suite", help="Suite file of a cell.  [default: the built-in one that it names]")
@DATA
@PLUGIN
def convert(
    source: Path,
    target: Path,
    iteration: int | None,
    suite: str | None,
    data: Path | None,
    plugins: tuple[Path, ...],
) -> None:
    """Write IN as OUT (.pt as rosinality's code loads it, or .safetensors).

    IN is a checkpoint (.safetensors, .pt or NVIDIA's .pkl), a cell's folder, or a snapshot in it.

    The moving-average generator, the raw one and the discriminator, as far as they are there, keep
    every bit; optimiser states are left out. Of a cell the adapted generator is written, where its
    method samples with a plain generator.

    \b
    Example: fsgan-bench convert results/avatars/sketches-10shot/cdc/* adapted.pt
    """
    from fsgan_bench.stylegan2.checkpoint import convert as write

    if (source / "cell.json").is_file() or (source.parent.parent / "cell.json").is_file():
        from fsgan_bench.snapshots.export import export_network

        at = export_network(
            source, target, iteration=iteration, suite=suite, data=data, plugins=plugins
        )
        click.echo(f"{target}: the generator after {at:,} iterations")
        return
    if iteration is not None:
        raise click.UsageError(f"--iteration: {source} is no folder of a cell.")
    write(source, target)
    click.echo(target)
