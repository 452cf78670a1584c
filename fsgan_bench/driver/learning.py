"""The classifier of a task, or why the task goes without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fsgan_bench.data.file_splits import FileSplits
from fsgan_bench.data.images import Images
from fsgan_bench.data.splits import Splits
from fsgan_bench.errors import TooFewImages
from fsgan_bench.metrics.metric import ScoringClassifier
from fsgan_bench.metrics.realisticness import NO_CLASSIFIER, NOTHING_TO_REJECT
from fsgan_bench.plugins.classifiers import make_classifier


@dataclass(frozen=True)
class Learnt:
    """The classifier of a task; None where there is too little to learn from, and why."""

    classifier: ScoringClassifier | None
    without: str = ""


def learn(
    name: str,
    splits: Splits,
    rejected: Callable[[], Mapping[str, Images]],
    *,
    ideal: Callable[[Images], Images] | None,
    device: str,
    allow_weak: bool,
) -> Learnt:
    """The classifier ``name`` of a target's images against ``rejected`` ones, by domain.

    Raises:
        UserError: it fails its checks and is not allowed to.
    """
    if len(splits.classifier) == 0:
        reason = "the classifier gets no image of the target"
        return Learnt(None, too_few(splits, reason, NO_CLASSIFIER))
    others = dict(rejected())
    if not others:
        return Learnt(None, NOTHING_TO_REJECT)
    try:
        classifier = make_classifier(
            name,
            splits.classifier,
            others,
            source=next(iter(others)),
            ideal=ideal,
            device=device,
        )
    except TooFewImages as error:
        reason = str(error).rstrip(".")
        return Learnt(None, too_few(splits, reason, reason))
    classifier.check_usable(allow=allow_weak)
    return Learnt(classifier)


def too_few(splits: Splits, reason: str, without: str) -> str:
    """``reason`` with how many real images there are, or ``without`` where there are none."""
    if not isinstance(splits, FileSplits) or not splits.real_size:
        return without
    shared = (len(splits.reference), len(splits.classifier), len(splits.held_out))
    return (
        f"{reason} (of {splits.real_size:,} real images {shared[0]} are compared with, "
        f"{shared[1]} are the classifier's, {shared[2]} are held out)"
    )
