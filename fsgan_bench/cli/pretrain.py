"""``fsgan-bench pretrain``: a source model of one's own."""

from __future__ import annotations

from typing import Any

import click
import cloup

from fsgan_bench.cli.options import DEVICE, PATH
from fsgan_bench.errors import UserError, check_folder, look_up
from fsgan_bench.system.bounds import MAX_IMAGES

EARLIER_STAGES = ("coarse", "drawing", "reading", "mapping")
MAX_ITERATIONS = 1_000_000_000


def _lengths(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for setting in given:
        name, _, number = setting.partition("=")
        look_up("stage", name, dict.fromkeys(EARLIER_STAGES))
        if not number.isdecimal() or not 1 <= int(number) <= MAX_ITERATIONS:
            raise UserError(f"--stage {setting} needs a number of iterations, as in {name}=2000.")
        lengths[name] = int(number)
    return lengths


@cloup.command()
@cloup.option_group(
    "Images",
    click.option(
        "--data", required=True, help="Folder, zip or LMDB of images, or an avatars domain by name."
    ),
    click.option(
        "--resolution",
        type=click.IntRange(8, 4096),
        default=64,
        show_default=True,
        help="Image side in pixels.",
    ),
    click.option(
        "--images",
        "n_images",
        type=click.IntRange(2, MAX_IMAGES),
        default=20_000,
        show_default=True,
        help="Training images of a domain.",
    ),
    click.option(
        "--held-out",
        type=click.IntRange(2, MAX_IMAGES),
        default=2000,
        show_default=True,
        help="Images kept for the Frechet distance.",
    ),
)
@cloup.option_group(
    "Networks",
    click.option(
        "--style-dim",
        type=click.IntRange(1, 65_536),
        default=256,
        show_default=True,
        help="Width of z and w.",
    ),
    click.option("--mapping-layers", type=click.IntRange(1, 64), default=6, show_default=True),
    click.option(
        "--channels",
        default="128,128,128,64,32",
        show_default=True,
        help="Feature maps at 4, 8, ..., resolution.",
    ),
    click.option("--init", type=PATH, help="Pair to start from.  [default: random weights]"),
)
@cloup.option_group(
    "Training",
    click.option("--iterations", type=click.IntRange(1), default=10_000, show_default=True),
    click.option("--batch", type=click.IntRange(1), default=16, show_default=True),
    click.option("--learning-rate", type=float, default=0.002, show_default=True),
    click.option("--r1-gamma", type=float, default=1.0, show_default=True),
    click.option(
        "--ema-half-life",
        type=float,
        default=300.0,
        show_default=True,
        help="In steps of the generator.",
    ),
    click.option("--seed", type=click.IntRange(0, 999_999_999), default=0, show_default=True),
    click.option(
        "--adversarial", is_flag=True, help="Train adversarially alone where stages are possible."
    ),
    click.option(
        "--stage",
        "lengths",
        metavar="NAME=ITERATIONS",
        multiple=True,
        callback=_lengths,
        help="Length of a stage before the last: coarse, drawing, reading or mapping.",
    ),
)
@cloup.option_group(
    "Run",
    click.option(
        "--out", type=PATH, required=True, help="Folder of the run; an existing run is continued."
    ),
    click.option(
        "--evaluate-every",
        type=click.IntRange(1),
        help="Iterations between evaluations; each stage has ten.  [default: 500]",
    ),
    click.option(
        "--threads", type=click.IntRange(1), help="Processor threads.  [default: all cores]"
    ),
    DEVICE,
)
def pretrain(**options: Any) -> None:
    """Train a source model on a folder of images or a built-in domain.

    Where the attributes of a domain's drawings are known (faces), this goes in stages: learning
    to draw them, coarsely and in full, learning to look, learning the mapping, and then
    --iterations of adversarial training, from which the earlier lessons fade. Anything else trains
    adversarially from the start.

    \b
    Example: fsgan-bench pretrain --data photos/ --resolution 64 --out source
    """
    from fsgan_bench.driver.pretraining.options import pretrain_from_options
    from fsgan_bench.system.machine import check_device

    check_device(options["device"])
    check_folder("--out", options["out"])
    best = pretrain_from_options(say=lambda line: click.echo(line), **options)
    click.echo(f"source model: {best}")
