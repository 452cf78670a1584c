"""Seconds and peak memory of the first iterations of each method at 256x256 and full width.

Weights and images are synthetic: what an iteration costs does not depend on them. Every method
runs in a process of its own, one after the other, and prints its row when it is done. Iteration 1
has both regularisers in it.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import asdict
from typing import Any

import click

METHODS = "tgan,bsa,freezed,minegan,ewc,cdc,dcl"
SHOTS = 10


def measure(name: str, iterations: int, threads: int, batch: int, numerics: Any) -> dict[str, Any]:
    """Train method ``name``: seconds of each iteration, by the clock and of the processor, and
    GiB of memory at the peak, used and predicted."""
    import numpy as np
    import torch

    from fsgan_bench.driver.memory import ALLOWANCE, rehearse
    from fsgan_bench.plugins.methods import method_entries
    from fsgan_bench.plugins.settings import build_config
    from fsgan_bench.results.cell import Cell
    from fsgan_bench.stylegan2.architecture import Architecture
    from fsgan_bench.stylegan2.networks import Discriminator, Generator
    from fsgan_bench.system.machine import peak_resident, prepare, resident
    from fsgan_bench.training.recipe import Recipe
    from fsgan_bench.training.session import Session
    from fsgan_bench.training.streams import Streams

    prepare(threads)
    widths = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
    shape = Architecture(256, style_dim=512, mapping_layers=8, channels=widths)
    method, recipe = method_entries()[name].load(), Recipe(batch=batch)
    config, base = build_config(method, method.shortened), resident()
    cell = Cell(
        *("benchmark", "noise", SHOTS, name, method.title, method.paper, method.version, None),
        *(asdict(config), 0, iterations, (0, iterations), recipe, "", "", numerics),
    )
    predicted = ALLOWANCE * rehearse(cell, method, shape, 1).training
    with Streams(0).initialising("networks"):
        pair = Generator(shape), Discriminator(shape)
    noise = np.random.default_rng(0).integers(0, 256, (SHOTS, 256, 256, 3), dtype=np.uint8)
    options: Any = {"recipe": recipe, "seed": 0, "iterations": iterations, "numerics": numerics}
    session = Session(method(config), *pair, noise, **options)
    session.prepare()
    on_gpu = session.device.type == "cuda"
    seconds = []
    for _ in range(iterations):
        wall, processor = time.perf_counter(), time.process_time()
        session.method.step(session)
        session.iteration += 1
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - wall, time.process_time() - processor))
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_resident()
    predicted += 0 if on_gpu else base
    return {
        "title": method.title,
        "seconds": seconds,
        "peak": peak / 2**30,
        "predicted": predicted / 2**30,
    }


@click.command()
@click.option("--methods", default=METHODS, show_default=True)
@click.option("--iterations", default=2, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--batch", default=4, show_default=True)
@click.option("--precision", default="fp32", show_default=True)
@click.option("--accumulate", default=1, show_default=True)
@click.option("--compile", is_flag=True, help="Compile the networks.")
def main(
    methods: str,
    iterations: int,
    threads: int,
    batch: int,
    precision: str,
    accumulate: int,
    compile: bool,
) -> None:
    """Print a table: seconds of each iteration and peak memory, a method a row.

    $FSGAN_BENCH_DEVICE says on which device.
    """
    from fsgan_bench.training.numerics import Numerics

    numerics = Numerics(precision, accumulate, compile)
    numbered = [f"iteration {i + 1}" for i in range(iterations)]
    columns = ["method", *(f"{n}: s (processor s)" for n in numbered), "peak GiB", "predicted GiB"]
    click.echo("| " + " | ".join(columns) + " |")
    click.echo("|---|" + "---:|" * (len(columns) - 1))
    context = multiprocessing.get_context("spawn")
    for name in methods.split(","):
        with context.Pool(1) as pool:
            row = pool.apply(measure, (name, iterations, threads, batch, numerics))
        times = [f"{wall:.3g} ({processor:.3g})" for wall, processor in row["seconds"]]
        cells = [row["title"], *times, f"{row['peak']:.1f}", f"{row['predicted']:.1f}"]
        click.echo("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
