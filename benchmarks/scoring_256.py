"""Seconds and peak memory of scoring a probe batch at 256x256 with LPIPS on VGG16's features.

Features of 1,000 such images would take 32 GB; they are streamed. The network has VGG16's shape and
the published linear heads, but random weights: what a pass costs does not depend on them. Images
are blocks of random colours. Prints a row of a table, and fails if the peak is above the bound.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torch import Tensor

    from fsgan_bench.features.backbone import Features

SIDE = 256
BLOCK = 16
BOUND_GIB = 4.0


@click.command()
@click.option("--images", default=1000, show_default=True, help="Generated images.")
@click.option("--shots", default=10, show_default=True, help="Few-shot images.")
@click.option("--threads", default=2, show_default=True)
def main(images: int, shots: int, threads: int) -> None:
    """Score random images as a snapshot is scored, and print what that took."""
    import numpy as np

    from fsgan_bench.features.lpips import LpipsNetwork, build_lpips
    from fsgan_bench.metrics.metric import Yardstick
    from fsgan_bench.metrics.scorer import Scorer
    from fsgan_bench.system.machine import peak_resident, prepare

    class Counting(LpipsNetwork):
        """Counts the images that pass through it."""

        passed = 0

        def _forward(self, batch: Tensor) -> Features:
            self.passed += len(batch)
            return super()._forward(batch)

    prepare(threads)
    backbone = Counting("vgg", build_lpips("vgg", seed=0))
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (shots + images, SIDE // BLOCK, SIDE // BLOCK, 3), dtype=np.uint8)
    pictures = small.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
    few_shot = backbone.features(pictures[:shots]).lpips
    backbone.passed = 0
    wall, processor = time.perf_counter(), time.process_time()
    scored = Scorer(backbone, backbone, Yardstick(few_shot, None, None)).score(pictures[shots:])
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = peak_resident() / 2**30
    values = {score.metric: score.value for score in scored.scores}
    click.echo("| images | passes | s | processor s | peak GiB | " + " | ".join(values) + " |")
    click.echo("|" + "---:|" * (5 + len(values)))
    row = [
        f"{images:,}",
        f"{backbone.passed / images:.2f}",
        f"{wall:.0f}",
        f"{processor:.0f}",
        f"{peak:.2f}",
        *(f"{value:.4f}" for value in values.values() if value is not None),
    ]
    click.echo("| " + " | ".join(row) + " |")
    if peak > BOUND_GIB:
        click.echo(f"The peak is above the bound of {BOUND_GIB:g} GiB.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
