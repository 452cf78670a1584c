"""Scoring: one batch of images -> every metric, from one pass of the feature network."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from fsgan_bench.data.images import Images
from fsgan_bench.metrics.backbone import Backbone
from fsgan_bench.metrics.scores import METRICS, Yardstick, stored_name
from fsgan_bench.plan import PROTOCOL


@dataclass(frozen=True)
class Score:
    """One metric of one set of images, as a line of ``scores.jsonl`` stores it.

    ``seconds`` is the metric's own time, ``shared_seconds`` the one feature pass that all metrics
    of the images have in common.
    """

    metric: str
    value: float | None
    stderr: float | None
    n: int
    backbone: str
    version: str
    seconds: float
    shared_seconds: float
    detail: dict[str, Any]

    def to_json(self, **position: Any) -> dict[str, Any]:
        """The line, led by what was scored (``iteration=100`` or ``reference="source"``)."""
        return {**position, **vars(self)}


class Scorer:
    """Scores image sets against one task's yardstick."""

    def __init__(self, backbone: Backbone, yardstick: Yardstick) -> None:
        self.backbone = backbone
        self.yardstick = yardstick

    def score(self, images: Images) -> list[Score]:
        """Score ``images``, uint8 [N, R, R, 3]; the pass that extracts features counts once.

        An undefined value (no cluster with two members, say) is stored as None.
        """
        began = time.perf_counter()
        features = self.backbone.features(images)
        scores, shared = [], time.perf_counter() - began
        for metric in METRICS.values():
            began = time.perf_counter()
            value = metric(images, features, self.yardstick)
            scores.append(
                Score(
                    metric=stored_name(metric, self.backbone.name),
                    value=_finite(value.value),
                    stderr=_finite(value.stderr),
                    n=len(images),
                    backbone=self.backbone.name,
                    version=f"protocol {PROTOCOL}, {metric.name} {metric.version}, "
                    f"{self.backbone.version}",
                    seconds=round(time.perf_counter() - began, 4),
                    shared_seconds=round(shared, 4),
                    detail={key: _finite(item) for key, item in value.detail.items()},
                )
            )
        return scores


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
