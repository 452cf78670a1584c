"""What scoring a set of images gives: numbers as files hold them, and what each image says."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.metrics.description import SCORE_SCHEMA, MetricDescription
from fsgan_bench.metrics.metric import Value
from fsgan_bench.metrics.per_image import ProbeValues, add_values
from fsgan_bench.system.json_files import without_nan


@dataclass(frozen=True)
class Score:
    """One metric of one set of images, as a line of ``scores.jsonl`` stores it.

    ``seconds`` is the metric's own time, ``shared_seconds`` that of the passes over the images
    which its features come from and which other metrics may have in common with it. ``about`` says
    how the value is shown.
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
    about: MetricDescription

    def to_json(self, **position: Any) -> dict[str, Any]:
        """The line, led by what was scored (``iteration=100`` or ``reference="source"``)."""
        return {**position, **asdict(self), "schema": SCORE_SCHEMA}


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of a batch of N images, and what they say of each of them.

    Attributes:
        scores: one by one.
        each: values [N] by metric, of those that have one for each image.
        versions: of these metrics.
        cluster: index [N] of the nearest few-shot image; None if no metric looked at LPIPS.
        broken: how and where each metric of another package failed, if one did.
    """

    scores: list[Score]
    each: Mapping[str, NDArray[np.floating[Any]]]
    versions: Mapping[str, str]
    cluster: NDArray[np.integer[Any]] | None
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def probe(self) -> ProbeValues | None:
        """What is stored of each image, if they were clustered."""
        if self.cluster is None:
            return None
        return ProbeValues(self.cluster.astype(np.int16), self.each, self.versions)

    def add_to(self, path: Path) -> None:
        """Save what is known of each image beside what the file at ``path`` has already."""
        if path.exists():
            add_values(path, self.each, self.versions)
        elif self.probe is not None:
            self.probe.save(path)


def plain(value: Any, count: int) -> Value:
    """A metric's answer for ``count`` images in plain numbers, and JSON.

    Raises:
        TypeError: it is no :class:`Value`, or one of its parts is no number.
        ValueError: ``each`` has not one number an image.
    """
    if not isinstance(value, Value):
        raise TypeError(f"it gives {type(value).__name__}, and a Value is needed")
    each = None if value.each is None else np.asarray(value.each, dtype=np.float64)
    if each is not None and each.shape != (count,):
        raise ValueError(
            f"each must be one number for each of {count} images, [{count}], not {list(each.shape)}"
        )
    detail = json.dumps(dict(value.detail), default=_listed)
    return Value(
        value=float(value.value),
        n=operator.index(value.n),
        stderr=None if value.stderr is None else float(value.stderr),
        detail=without_nan(json.loads(detail)),
        each=each,
    )


def finite(number: float | None) -> float | None:
    """The number as JSON has it: None if it is not finite."""
    return number if number is not None and math.isfinite(number) else None


def _listed(thing: Any) -> Any:
    """Numbers of numpy and torch as JSON has them."""
    if hasattr(thing, "tolist"):
        return thing.tolist()
    raise TypeError(f"detail holds {type(thing).__name__}, which JSON does not know")
