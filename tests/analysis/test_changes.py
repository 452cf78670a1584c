"""Differences between two roots, from the last snapshots of each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fsgan_bench.analysis.changes import _difference
from fsgan_bench.results.curves import Curve

STEPS = np.array([0.0, 10.0])
NOISE = np.random.default_rng(0).normal(size=400)


def curve(last: float, stderr: float, draws: bool = True, sign: float = 1.0) -> Curve:
    """A curve that ends at ``last``; its first snapshot has other errors."""
    values, errors = np.array([0.1, last]), np.array([0.5, stderr])
    found = values + np.stack([9 * NOISE, sign * stderr * NOISE], axis=1) if draws else None
    return Curve(STEPS, values, errors, errors, 1, found)


def test_the_same_latents_are_paired() -> None:
    found = _difference([curve(0.5, 0.02)], [curve(0.4, 0.02)], paired=True)
    assert found.value == pytest.approx(-0.1) and found.stderr == pytest.approx(0, abs=1e-9)


def test_other_latents_are_not() -> None:
    found = _difference([curve(0.5, 0.02)], [curve(0.4, 0.03)], paired=False)
    scale = NOISE.std(ddof=1)
    assert found.stderr == pytest.approx(scale * math.hypot(0.02, 0.03))


def test_without_per_image_values_the_last_errors_count() -> None:
    before = [curve(0.5, 0.02, draws=False)]
    assert _difference(before, [curve(0.4, 0.03)], paired=True).stderr == pytest.approx(
        math.hypot(0.02, 0.03)
    )


def test_seeds_are_paired_one_by_one() -> None:
    before = [curve(0.5, 0.02), curve(0.7, 0.02)]
    after = [curve(0.51, 0.02), curve(0.71, 0.02)]
    found = _difference(before, after, paired=True)
    assert found.value == pytest.approx(0.01) and found.stderr == pytest.approx(0, abs=1e-9)
