"""What becomes of a metric or a classifier of another package that fails while it scores."""

from __future__ import annotations

from fsgan_bench.errors import UserError, what_happened, where_blamed, where_raised_in
from fsgan_bench.metrics.metric import Metric, ScoringClassifier

_OURS = ("fsgan_bench", "classifiers")


def failure(metric: Metric, classifier: ScoringClassifier | None, error: Exception) -> str:
    """How a metric of another package failed, with file and line; an error of our own is raised on.

    Raises:
        UserError: it is the classifier that failed, and it is another package's. That ends the
            scoring: nothing else stands for realisticness.
    """
    if isinstance(error, UserError | MemoryError):
        raise error
    if classifier is not None and _of_others(classifier):
        where = where_raised_in(error, type(classifier))
        if where is not None:
            raise UserError(
                f"The classifier '{classifier.card['name']}' fails: {where}: "
                f"{what_happened(error)}."
            ) from error
    if not _of_others(metric):
        raise error
    where = where_blamed(error, type(metric), Metric)
    return f"The metric '{metric.name}' fails: {where}: {what_happened(error)}."


def _of_others(thing: object) -> bool:
    """Whether it is of neither of the packages that come with fsgan-bench."""
    return type(thing).__module__.partition(".")[0] not in _OURS
