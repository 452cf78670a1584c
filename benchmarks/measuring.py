"""Timing of two ways to do one thing, in turns, so that what else the machine does meets both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


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


def compare(
    work: str,
    against: str,
    goal: float,
    ours: Callable[[], float | None],
    theirs: Callable[[], float | None],
    rounds: int,
    scale: float = 1.0,
    clock: Callable[[], float] = time.process_time,
) -> Row:
    """Time ``ours`` and ``theirs`` in turns, after one turn that does not count.

    Args:
        work, against, goal: as in :class:`Row`.
        ours, theirs: do the work; may return its value.
        rounds: turns that count, at least 1.
        scale: by what the seconds of ``theirs`` are multiplied, where it does a part of the work.
        clock: seconds of the processor by default; of the wall for what other processes do.
    """
    spent: list[tuple[float, float]] = []
    values: list[float | None] = []
    for turn in range(rounds + 1):
        seconds = []
        values = []
        for do in (ours, theirs):
            start = clock()
            values.append(do())
            seconds.append(clock() - start)
        if turn:
            spent.append((seconds[0], scale * seconds[1]))
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
