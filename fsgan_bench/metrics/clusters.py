"""Generated images in clusters around the few-shot images: what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.features.names import IntraProtocol


@dataclass(frozen=True)
class IntraLPIPS:
    """Diversity of N fakes around M few-shot images.

    A cluster counts if it has at least two members; its diversity is the mean LPIPS over all its
    pairs. ``value`` is the plain mean over the clusters that count, NaN if none does; ``std`` is
    their sample standard deviation, NaN if fewer than two do. ``with_empty_as_zero`` is the mean
    over all M clusters, with zero for those that do not count: a generator that collapses onto
    one few-shot image cannot look diverse by it. ``cluster_sizes`` holds the M numbers of
    assigned fakes (before any limit), ``empty`` and ``singleton`` how many of them are 0 and 1.
    """

    protocol: IntraProtocol
    value: float
    std: float
    with_empty_as_zero: float
    cluster_sizes: tuple[int, ...]
    empty: int
    singleton: int


@dataclass(frozen=True, eq=False)
class Clustered:
    """N fakes around M few-shot images: their diversity by protocol, and where each of them is.

    ``index`` [N] holds each fake's nearest few-shot image, ``nearest`` [N] its LPIPS to that,
    ``distances`` [N] its mean LPIPS to the other members of its cluster, NaN where there is none;
    None if they were not asked for.
    """

    by_protocol: Mapping[IntraProtocol, IntraLPIPS]
    index: NDArray[np.intp]
    nearest: NDArray[np.float64]
    distances: NDArray[np.float64] | None = None
