"""A curve in a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=+*#@"
"""Where the terminal has no bars."""


def sparkline(values: Sequence[float], width: int = 12, encoding: str = "utf-8") -> str:
    """``values`` in [0, 1] as one character each, of at most ``width`` evenly chosen; NaN is a gap.

    The last value is always among them.
    """
    bars = BARS if encoding.lower().replace("-", "").startswith("utf") else PLAIN
    count = len(values)
    if count > width:
        values = [values[round(i * (count - 1) / (width - 1))] for i in range(width)]
    return "".join(
        " " if math.isnan(value) else bars[min(len(bars) - 1, max(0, int(value * len(bars))))]
        for value in values
    )
