"""What a perfect generator would score on the real images that there are, and how exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.features.kept import kept_pooled
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.per_image import ProbeValues
from fsgan_bench.metrics.scored import Score
from fsgan_bench.results.resampling import intra_lpips_draws, intra_lpips_values, resamples

PARTITIONS = 20
"""How often real images are divided anew into generated and reference ones."""

_SEED = 0


@dataclass(frozen=True)
class PerfectScore:
    """One metric of real images in place of generated ones.

    Attributes:
        metric, backbone, version: what was measured.
        value: of the held-out real images, or the mean over the partitions.
        error: the standard deviation of such a score from set to set of as many images; None where
            it is not known.
        n: images in place of generated ones.
        how: where the error comes from.
    """

    metric: str
    backbone: str
    version: str
    value: float | None
    error: float | None
    n: int
    how: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def perfect_scores(task: Task) -> list[PerfectScore]:
    """Score a task's held-out real images as if a perfect generator had drawn them.

    They are none of those that the classifier learnt from, nor of the reference set. A Frechet
    distance at N images is above zero even for these: its value and error are from ``PARTITIONS``
    random divisions of held-out and reference images into sets of the same two sizes, also where
    runs compare with all real images. From statistics alone the error is not known.

    Raises:
        UserError: there are fewer than two such images.
    """
    held_out = task.splits.held_out
    if len(held_out) < 2:
        raise UserError(
            f"The target '{task.target.name}' has {len(held_out)} real image(s) beside those that "
            "the classifier and the reference set take, so nobody can say what a perfect score "
            "would be; give it more real images."
        )
    scored = task.scorer.score(held_out, paired=False)
    found = []
    for score in scored.scores:
        name, _, _ = score.version.split(", ")[1].rpartition(" ")
        if name == "fd":
            found.append(_partitioned(task, score))
        else:
            found.append(_resampled(score, scored.probe))
    return found


def _partitioned(task: Task, score: Score) -> PerfectScore:
    what = score.metric, score.backbone, score.version
    real = task.scorer.yardstick.real
    if real is None or task.scorer.yardstick.statistics:
        how = "not known, as only the statistics of the reference set are"
        return PerfectScore(*what, score.value, None, score.n, how)
    network = task.scorer.frechet
    if score.backbone != network.name:
        (network,) = (other for other, _ in task.scorer.also if other.name == score.backbone)
        real = kept_pooled(network, task.splits.reference, task.splits.reference_hash)
    values = _distances(network.pooled(task.splits.held_out), real)
    how = f"standard deviation over {PARTITIONS} divisions of {len(real) + score.n:,} real images"
    if task.suite.reference == "all":
        how += "; no bound for runs, which compare more images, with all real ones"
    return PerfectScore(*what, float(values.mean()), float(values.std(ddof=1)), score.n, how)


def _distances(held_out: Tensor, real: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Frechet distances [PARTITIONS] between parts of the sizes of both, drawn from their union."""
    union = np.concatenate([held_out.cpu().numpy(), real.cpu().numpy()])
    generator = np.random.default_rng(_SEED)
    values = []
    for _ in range(PARTITIONS):
        order = generator.permutation(len(union))
        one, other = union[order[: len(held_out)]], union[order[len(held_out) :]]
        values.append(FrechetReference(other).distance(one))
    return np.array(values)


def _resampled(score: Score, probe: ProbeValues | None) -> PerfectScore:
    error, how = score.stderr, "standard error of a mean over images"
    if score.metric.startswith("intra_lpips") and probe is not None:
        each = intra_lpips_values(probe, score.metric)
        draws = intra_lpips_draws(probe.cluster, each, resamples(len(each)))
        error, how = float(np.nanstd(draws, ddof=1)), "bootstrap over the images"
    return PerfectScore(
        score.metric, score.backbone, score.version, score.value, error, score.n, how
    )


def rows(scores: list[PerfectScore]) -> list[Mapping[str, str]]:
    """As a table shows them."""
    return [
        {
            "metric": score.metric,
            "perfect score": _shown(score.value),
            "±": _shown(score.error),
            "images": f"{score.n:,}",
            "±, from": score.how,
        }
        for score in scores
    ]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
