"""``fsgan-bench generate``: images from adapted generators, single, side by side or moving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from fsgan_bench.cli.options import DATA, DEVICE, PATH, PLUGIN, Number
from fsgan_bench.errors import UserError
from fsgan_bench.system.bounds import MAX_IMAGES

ALL = "all"


@cloup.command()
@click.argument("samplers", nargs=-1, required=True, type=PATH, metavar="CELL|SNAPSHOT|FILE...")
@cloup.option_group(
    "Latents",
    click.option(
        "--count",
        type=click.IntRange(1, MAX_IMAGES),
        help="Images of each.  [default: 1000; 8 on a sheet; 1 in a walk]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Of the first latent; the next has the next.",
    ),
    click.option(
        "--same-noise-as",
        "other",
        type=PATH,
        help="Latents of a folder or zip written before, or a cell: its probe batch.",
    ),
    click.option(
        "--truncation",
        type=Number(min=0, max=2),
        default=1.0,
        show_default=True,
        help="psi, which scales the distance of w to the mean; 1 for none, as in scoring.",
    ),
    click.option(
        "--layer-noise",
        "noise",
        type=click.Choice(["fixed", "fresh"]),
        default="fixed",
        show_default=True,
        help="The snapshot's own, as in scoring, or drawn for each image.",
    ),
)
@cloup.option_group(
    "Sheets and animations",
    click.option("--grid", is_flag=True, help="One sheet, .png, a row each if there are several."),
    click.option(
        "--interpolate",
        "anchors",
        type=click.IntRange(2, 1000),
        metavar="N",
        help="A closed walk through N latents, as an animation.",
    ),
    click.option(
        "--frames",
        type=click.IntRange(2, 10_000),
        default=120,
        show_default=True,
        help="Of a walk.",
    ),
    click.option(
        "--iterations",
        type=click.Choice([ALL]),
        help="An animation of the same latents along all stored snapshots of the cells.",
    ),
    click.option(
        "--seconds",
        type=Number(min=0.1, max=600),
        default=4.0,
        show_default=True,
        help="Length of an animation.",
    ),
    click.option(
        "--tile",
        type=click.IntRange(16, 1024),
        default=128,
        show_default=True,
        help="Side of an image on a sheet or in an animation, in pixels.",
    ),
)
@cloup.option_group(
    "Where from and where to",
    click.option(
        "--out",
        type=PATH,
        required=True,
        help="New folder or .zip of PNGs; of a sheet .png; of an animation .webp, .gif or .mp4.",
    ),
    click.option(
        "--iteration", type=click.IntRange(0), help="Snapshot of a cell.  [default: last]"
    ),
    click.option("--suite", help="Suite file of the cells.  [default: the built-in one they name]"),
    DATA,
    PLUGIN,
    DEVICE,
)
def generate(samplers: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Draw images from adapted generators: cells, snapshots in them, or checkpoints.

    Single PNGs go with a manifest.json: the seed of each latent, the snapshot's checksum,
    truncation and noise. --grid shows several generators for the same latents, --interpolate a walk
    through the latents in step, --iterations all how the images change along the adaptation.

    \b
    Example: fsgan-bench generate results/avatars/sketches-10shot/cdc/* --grid --out sheet.png
    """
    from fsgan_bench.snapshots.generate import Drawing, generate_images
    from fsgan_bench.snapshots.samplers import holds_images_alone
    from fsgan_bench.system.machine import check_device

    check_device(options["device"])
    modes = {
        "--grid": options["grid"],
        "--interpolate": options["anchors"] is not None,
        "--iterations": options["iterations"] is not None,
    }
    if sum(modes.values()) > 1:
        named = " and ".join(name for name, given in modes.items() if given)
        raise UserError(f"{named} are different pictures; ask for one at a time.")
    if options["anchors"] and options["other"]:
        raise UserError("--interpolate walks between seeded latents; leave out --same-noise-as.")
    if options["iterations"] and options["iteration"] is not None:
        raise UserError("--iterations all shows every snapshot; leave out --iteration.")
    mode = next((name.lstrip("-") for name, given in modes.items() if given), "images")
    del options["grid"], options["iterations"]
    for path in filter(holds_images_alone, samplers if len(samplers) > 1 else ()):
        samplers = tuple(other for other in samplers if other != path)
        click.echo(f"Passed over, as it holds images and no generator: {path}", err=True)
    written = generate_images(Drawing(samplers=samplers, out=out, mode=mode, **options))
    click.echo(written)
