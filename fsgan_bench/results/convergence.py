"""When quality has stopped rising, and when it was nearly there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Convergence: TypeAlias = Literal["yes", "no", "unknown", "unmeasured"]

TOLERANCE = 0.05
"""A change of realisticness that counts as none."""

WINDOW = 1 / 3
"""The part of the iterations, at the end, in which the plateau is looked for."""

MINIMUM_SNAPSHOTS = 3
"""Fewer than these in the last third, and the window grows to hold as many."""

CEILING_SNAPSHOTS = 2
"""So many in the last third are enough where realisticness can hardly change any more."""

PLATEAU_TEST = (
    "Converged (plateau test 2): over the snapshots in the last third of the iterations, but at "
    f"least the last {MINIMUM_SNAPSHOTS}, the change of p_t along a fitted straight line plus its "
    f"standard error is below {TOLERANCE:g}, or p_t is above {1 - TOLERANCE:g} in all of that "
    f"third, at least in the last {CEILING_SNAPSHOTS}; and p_t ends at least {TOLERANCE:g} above "
    "iteration 0, or above the source's where that was not scored. Unknown: no more snapshots than "
    "these, or too few images to resolve such a change."
)


def plateau(
    iterations: ArrayLike, values: ArrayLike, stderrs: ArrayLike, source: float = math.nan
) -> Convergence:
    """Whether realisticness has converged: ``PLATEAU_TEST`` for one trajectory.

    ``iterations``, ``values`` and ``stderrs`` are [N], in order of the iterations; a NaN standard
    error counts as none. A straight line is fitted by least squares to the snapshots in the last
    third of the iterations, but at least to the last ``MINIMUM_SNAPSHOTS``, and its change over
    that window is compared with ``TOLERANCE``. The change's standard error, from the scatter about
    the line or from the snapshots' own standard errors, whichever is larger, is added to it: a
    curve that swings has not been shown to rest, although its trend may be flat.

    A curve that stays within ``TOLERANCE`` of 1 in the last third, in ``CEILING_SNAPSHOTS`` or
    more, is at rest whatever came before: the line would be drawn through the end of its rise too.

    If the snapshots' own standard errors alone hide such a change, the verdict is unknown. A curve
    that rests where it began has not started, so it has not converged either. It began at
    iteration 0; checkpoints from elsewhere, which may lack that, at ``source``, the realisticness
    of the source generator. Without both such a verdict is unknown.
    """
    x, y = _ordered(iterations, values)
    errors = np.nan_to_num(np.asarray(stderrs, dtype=np.float64), nan=0.0)
    late = x >= x[-1] - WINDOW * (x[-1] - x[0]) if len(x) > 0 else np.zeros(0, dtype=bool)
    at_ceiling = late.sum() >= CEILING_SNAPSHOTS and bool((y[late] > 1 - TOLERANCE).all())
    late[-MINIMUM_SNAPSHOTS:] = True
    if len(x) <= MINIMUM_SNAPSHOTS or not np.isfinite(y).all():
        return "unknown"
    moment = x[late] - x[late].mean()
    slope = float(moment @ y[late] / (moment @ moment))
    residuals = y[late] - y[late].mean() - slope * moment
    scatter = math.sqrt(float(residuals @ residuals) / max(len(residuals) - 2, 1))
    measured = math.sqrt(float(np.mean(errors[late] ** 2)))
    span = float(moment[-1] - moment[0])
    per_error = span / math.sqrt(float(moment @ moment))
    if measured * per_error >= TOLERANCE:
        return "unknown"
    steady = abs(slope * span) + max(scatter, measured) * per_error < TOLERANCE
    if not (steady or at_ceiling):
        return "no"
    rise = y[-1] - (y[0] if x[0] == 0 else source)
    if math.isnan(rise):
        return "unknown"
    return "yes" if rise >= TOLERANCE else "no"


def overall(seeds: Sequence[Convergence]) -> Convergence:
    """For several seeds together: the worst; unknown if there is none."""
    for worst in ("no", "unknown"):
        if worst in seeds:
            return worst
    return "yes" if seeds else "unknown"


def first_reaching(iterations: ArrayLike, values: ArrayLike, fraction: float = 0.9) -> int | None:
    """Index of the first snapshot whose realisticness is at least ``fraction`` of its final value.

    None if the final value is not above the first one: then nothing was reached.
    """
    _, y = _ordered(iterations, values)
    if len(y) == 0 or not np.isfinite(y).all() or (len(y) > 1 and y[-1] <= y[0]):
        return None
    return int(np.flatnonzero(y >= fraction * y[-1])[0])


def _ordered(
    iterations: ArrayLike, values: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(iterations, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or (np.diff(x) <= 0).any():
        raise ValueError("iterations and values must be of one length, the iterations increasing")
    return x, y
