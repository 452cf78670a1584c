"""``fsgan-bench data``: what a suite's files are, and a suite from files of your own."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.cli.options import DATA, DEVICE, PATH
from fsgan_bench.errors import UserError


@cloup.group()
def data() -> None:
    """Look after the files that suites are made of."""


@data.command()
@click.option("--suite", default="ffhq", show_default=True, help="A suite, or its TOML file.")
@DATA
def status(suite: str, data: Path | None) -> None:
    """Say what of a suite's files is there, what is missing, and what that prevents.

    \b
    Example: fsgan-bench data status --suite ffhq --data /data
    """
    from fsgan_bench.suites.status import show_status

    if data is not None and not data.is_dir():
        raise UserError(f"--data {data}: there is no such folder.")
    show_status(suite, data, make_console())


@data.command()
@click.argument("file", metavar="FILE.toml", type=PATH)
@click.option("--source", type=PATH, required=True, help="Pretrained model: .pt, .pkl, ...")
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="[NAME=]PATH",
    help="Few-shot images: a folder, a zip or an LMDB; may be repeated.",
)
@click.option(
    "--real",
    "reals",
    multiple=True,
    metavar="[NAME=]PATH",
    help="More real images of a target, for realisticness and the Frechet distance.",
)
@click.option("--source-images", type=PATH, help="Real images of the source's domain.")
def init(
    file: Path,
    source: Path,
    targets: tuple[str, ...],
    reals: tuple[str, ...],
    source_images: Path | None,
) -> None:
    """Write a suite of your own model and images to FILE.toml, if they can be read.

    Says what it found in them, and what is missing for a run.

    \b
    Example: fsgan-bench data init my.toml --source model.pt --target manga=manga/
    """
    from fsgan_bench.suites.create import write_suite

    for line in write_suite(file, source, targets, reals, source_images):
        click.echo(line)


@data.command()
@click.argument("images", type=PATH)
@click.argument("file", metavar="OUT.npz", type=PATH)
@click.option(
    "--backbone",
    type=click.Choice(["inception", "inception_legacy", "lite0"]),
    default="inception",
    show_default=True,
    help="inception is clean-fid's, inception_legacy pytorch-fid's.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 4096),
    default=256,
    show_default=True,
    help="Side in pixels that the images are brought to first: the generator's.",
)
@DEVICE
def statistics(images: Path, file: Path, backbone: str, size: int, device: str) -> None:
    """Write the FID statistics of IMAGES (a folder, zip or LMDB) to OUT.npz.

    The file holds mu and sigma, as pytorch-fid and clean-fid read them; a suite's target takes it,
    or one of theirs, as statistics in place of real images.

    \b
    Example: fsgan-bench data statistics faces/ faces.npz --size 64
    """
    from fsgan_bench.suites.statistics import make_statistics

    for line in make_statistics(images, file, backbone, size, device):
        click.echo(line)
