"""How the values of stored metrics are shown."""

from __future__ import annotations

from fsgan_bench.metrics.description import MetricDescription, unknown
from fsgan_bench.results.score_records import ScoreRecord


def describe(score: ScoreRecord) -> MetricDescription:
    """What is stored with a score; of files without it, what the installed metric says."""
    if score.about is not None:
        return score.about
    from fsgan_bench.metrics.registry import OURS

    named = OURS.get(score.metric_name)
    for metric in [named] if named else OURS.values():
        if metric.stored_as(score.backbone) == score.metric:
            return metric.describe(score.backbone)
    from fsgan_bench.plugins.metrics import find_metrics

    metric_of_others = find_metrics()[0].get(score.metric_name)
    if metric_of_others is None:
        return unknown(score.metric, score.backbone)
    return metric_of_others.describe(score.backbone)
