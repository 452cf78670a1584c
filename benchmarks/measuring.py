"""Timing of two ways to do one thing, in turns, so that what else the machine does meets both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fsgan_bench.system.machine import default_device


@dataclass(frozen=True)
class Row:
    """What ``benchmarks/run.py`` says of one comparison.

    Attributes:
        work: what was done.
        against: what it is compared with.
        ours, theirs: median seconds.
        ratio: median over the rounds of theirs by ours; above 1 if ours is faster.
        low, high: smallest and largest ratio of a round.
        goal: the ratio that is wanted.
        values: our value and theirs, where both compute one.
    """

    work: str
    against: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float
    goal: float
    values: tuple[float, float] | None = None


def seconds() -> float:
    """Those of the processor; on a GPU those of the clock, once it has done all it was given."""
    if default_device() == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def compare(
    work: str,
    against: str,
    goal: float,
    ours: Callable[[], float | None],
    theirs: Callable[[], float | None],
    rounds: int,
    scale: float = 1.0,
    clock: Callable[[], float] = seconds,
) -> Row:
    """Time ``ours`` and ``theirs`` in turns, after one turn that does not count.

    Args:
        work, against, goal: as in :class:`Row`.
        ours, theirs: do the work; may return its value.
        rounds: turns that count, at least 1.
        scale: by what the seconds of ``theirs`` are multiplied, where it does a part of the work.
        clock: :func:`seconds` by default.
    """
    spent: list[tuple[float, float]] = []
    values: list[float | None] = []
    for turn in range(rounds + 1):
        taken = []
        values = []
        for do in (ours, theirs):
            start = clock()
            values.append(do())
            taken.append(clock() - start)
        if turn:
            spent.append((taken[0], scale * taken[1]))
    ratios = [b / a for a, b in spent]
    first, second = values
    return Row(
        work=work,
        against=against,
        ours=statistics.median(a for a, _ in spent),
        theirs=statistics.median(b for _, b in spent),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        goal=goal,
        values=None if first is None or second is None else (first, second),
    )
