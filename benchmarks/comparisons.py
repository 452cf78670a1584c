"""What ``benchmarks/run.py`` compares: each of the package's fast ways with the obvious one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
import public_form
import torch
from measuring import Row, compare
from torch.utils.flop_counter import FlopCounterMode

from fsgan_bench.data.images import Images
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import intra_lpips
from fsgan_bench.metrics.metric import Yardstick
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system import machine
from fsgan_bench.system.machine import default_device
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams

EMBEDDED = Architecture(64, 256, 6, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32})
PUBLISHED = Architecture(64, 512, 8, {4: 512, 8: 512, 16: 512, 32: 512, 64: 512})


@dataclass(frozen=True)
class Size:
    """How much work a comparison is.

    Attributes:
        images: of the probe batch.
        dimensions: of the features of the Frechet distance.
        pairs: through the network; what all pairs would take follows from their number.
        wide: widths of the network of CDC's comparison.
        embedded: those of the embedded suite's.
        rounds: turns that count.
        iterations: of a cell, where cells are trained at a time.
    """

    images: int = 1000
    dimensions: int = 2048
    pairs: int = 40
    wide: Architecture = PUBLISHED
    embedded: Architecture = EMBEDDED
    rounds: int = 3
    iterations: int = 10


def pictures(count: int, seed: int, side: int = 64) -> Images:
    """Blocks of random colours, [count, side, side, 3] uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return small.repeat(side // 8, axis=1).repeat(side // 8, axis=2)


def session(method: str, architecture: Architecture) -> Session:
    """A session of ``method`` with random weights, ready for its first iteration."""
    cls = method_entries()[method].load()
    with Streams(0).initialising("networks"):
        pair = Generator(architecture), Discriminator(architecture)
    options: dict[str, Any] = {"recipe": Recipe(style_mixing=0.0), "seed": 0, "iterations": 100}
    few_shot = pictures(10, 0, architecture.resolution)
    made = Session(cls(cls.Config(**cls.shortened)), *pair, few_shot, **options)
    made.prepare()
    return made


def plain_step(training: Session) -> float:
    """An iteration without regularisers, judged as patches where a method has them.

    Returns the sum of its losses.
    """
    training.iteration = 1
    return sum(training.method.step(training).values())


def cdc_iteration(size: Size) -> Row:
    ours, theirs = (session("cdc", size.wide) for _ in range(2))

    def in_public_form() -> float:
        with public_form.training():
            return plain_step(theirs)

    return compare(
        "one CDC iteration, 64x64, batch 4, published width",
        "grouped convolutions, blocks twice, pairs in Python",
        *(1.6, lambda: plain_step(ours), in_public_form, size.rounds),
    )


def share_of_peak(method: str) -> Callable[[Size], Row]:
    def row(size: Size) -> Row:
        training = session(method, size.embedded)
        plain_step(training)
        with FlopCounterMode(display=False) as counter:
            plain_step(training)
        side = 1024
        a, b = torch.randn(side, side), torch.randn(side, side)
        times = max(1, round(counter.get_total_flops() / (2 * side**3)))

        def multiply() -> None:
            for _ in range(times):
                torch.mm(a, b)

        def iterate() -> None:
            plain_step(training)

        return compare(
            f"one {method.upper()} iteration of the embedded suite",
            "its arithmetic at the speed of a matrix product",
            *(0.75, iterate, multiply, size.rounds),
        )

    return row


def intra(size: Size) -> Row:
    backbone = load_backbone("lite0", default_device())
    fakes, few_shot = pictures(size.images, 1), pictures(10, 2)
    anchors = backbone.features(few_shot).lpips
    every = size.images * (len(few_shot) + (size.images / len(few_shot) - 1) / 2)

    def by_pairs() -> None:
        for i in range(size.pairs):
            a, b = i % size.images, (i + 1) % size.images
            public_form.lpips_of_pair(backbone, fakes[a : a + 1], fakes[b : b + 1])

    def by_sums() -> None:
        intra_lpips(backbone.features(fakes).lpips, anchors)

    return compare(
        f"intra-LPIPS of {size.images:,} images",
        f"both images of every pair through the network (from {size.pairs} of {every:,.0f} pairs)",
        *(100.0, by_sums, by_pairs, size.rounds, every / size.pairs),
    )


def frechet(size: Size) -> Row:
    draws = np.random.default_rng(0)
    x, y = (draws.normal(size=(size.images, size.dimensions)) for _ in range(2))
    reference = FrechetReference(y)
    return compare(
        f"Frechet distance, {size.images:,} images, d = {size.dimensions:,}",
        "scipy's matrix root",
        *(40.0, lambda: reference.distance(x), lambda: public_form.frechet_distance(x, y)),
        *(size.rounds,),
    )


def scoring(size: Size) -> Row:
    """Ours by theirs: how much longer scoring takes than the passes it cannot do without."""
    backbone = load_backbone("lite0", default_device())
    with Streams(0).initialising("networks"):
        generator = Generator(size.embedded).eval().to(default_device())
    z = torch.randn(size.images, size.embedded.style_dim, generator=Streams(0)["probe"])
    z = z.to(default_device())
    few_shot = backbone.features(pictures(10, 2)).lpips
    real = FrechetReference(backbone.pooled(pictures(size.images, 3)))
    scorer = Scorer(backbone, backbone, Yardstick(few_shot, None, real))

    @torch.inference_mode()
    def images() -> Images:
        parts = [generator(part).image for part in z.split(50)]
        scaled = torch.cat(parts).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return scaled.permute(0, 2, 3, 1).cpu().numpy()

    def score() -> None:
        scorer.score(images())

    def bare() -> None:
        backbone.features(images())

    return compare(
        f"scoring a snapshot of {size.images:,} images",
        "the bare passes of generator and network",
        *(1 / 1.1, score, bare, size.rounds),
    )


_training: Session
"""That of a worker process."""


def _prepare(threads: int, architecture: Architecture) -> None:
    global _training
    machine.prepare(threads)
    _training = session("tgan", architecture)


def _train(iterations: int) -> None:
    for _ in range(iterations):
        plain_step(_training)


def jobs(size: Size) -> Row:
    """Whether two cores train two cells faster at a time than one after the other."""
    spawn = multiprocessing.get_context("spawn")
    with (
        spawn.Pool(2, _prepare, (1, size.embedded)) as two,
        spawn.Pool(1, _prepare, (2, size.embedded)) as one,
    ):

        def by(pool: Pool) -> None:
            pool.map(_train, [size.iterations] * 2, chunksize=1)

        return compare(
            "two cells at a time, a thread each",
            "one after the other, two threads each",
            *(1.0, lambda: by(two), lambda: by(one), size.rounds),
            clock=time.perf_counter,
        )


def start(*arguments: str) -> Callable[[Size], Row]:
    def run(*rest: str) -> Callable[[], None]:
        def do() -> None:
            subprocess.run([sys.executable, *rest], check=True, capture_output=True)

        return do

    def row(size: Size) -> Row:
        return compare(
            " ".join(("fsgan-bench", *arguments)),
            "python -c pass",
            *(0.1, run("-m", "fsgan_bench", *arguments), run("-c", "pass"), 2 * size.rounds),
            clock=seconds_of_children,
        )

    return row


def seconds_of_children() -> float:
    """Processor seconds of the processes that this one started and that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


COMPARISONS: dict[str, Callable[[Size], Row]] = {
    "cdc": cdc_iteration,
    **{f"{method}-peak": share_of_peak(method) for method in ("tgan", "cdc", "dcl")},
    "intra-lpips": intra,
    "frechet": frechet,
    "scoring": scoring,
    "jobs": jobs,
    "help": start("--help"),
    "list": start("list", "methods"),
}
