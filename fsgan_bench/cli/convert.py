"""``fsgan-bench convert``: a checkpoint in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from fsgan_bench.cli.options import PATH


@click.command()
@click.argument("source", metavar="IN", type=PATH)
@click.argument("target", metavar="OUT", type=PATH)
def convert(source: Path, target: Path) -> None:
    """Write the checkpoint IN (.safetensors, .pt or NVIDIA's .pkl) as OUT (.safetensors or .pt).

    The moving-average generator, the raw one and the discriminator, as far as they are there, keep
    every bit; optimiser states are left out.
    """
    from fsgan_bench.stylegan2.checkpoint import convert as write

    write(source, target)
    click.echo(target)
