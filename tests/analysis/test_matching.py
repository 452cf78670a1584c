"""The realisticness that trajectories have in common."""

from __future__ import annotations

import numpy as np
import pytest

from fsgan_bench.analysis.matching import shared
from fsgan_bench.analysis.trajectories import Trajectory


def passing(*quality: float) -> Trajectory:
    found = np.array(quality)
    steps = np.arange(float(len(quality)))
    return Trajectory(steps, found, 1 - 0.1 * steps, np.zeros(len(found)), None, None)


def test_all_pass_through_what_lies_above_every_start_and_below_every_peak() -> None:
    dips = passing(0.1, 0.9, 0.4)
    later = passing(0.2, 0.5, 0.8)
    assert shared([dips, later]) == pytest.approx((0.2, 0.8))
    assert shared([dips]) == pytest.approx((0.1, 0.9))
