"""What a line of scores says: of a snapshot, of a reference line, of the classifier ablation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import Field, model_validator

from fsgan_bench.metrics.description import SCORE_SCHEMA, MetricDescription
from fsgan_bench.results.record import Count, Fields, Line, Record, Text

S = TypeVar("S", bound="ScoreRecord")


class ScoreRecord(Record):
    """One metric of one set of images; NaN where a number is unknown.

    ``detail`` is what the metric stores besides, ``about`` how its values are shown: None in files
    of version 1.
    """

    what: ClassVar[str] = "a score"
    version_written: ClassVar[int] = SCORE_SCHEMA

    metric: Line
    value: float
    stderr: float = math.nan
    n: float = math.nan
    backbone: Line = ""
    version: Line
    detail: Fields = Field(default_factory=dict)
    about: MetricDescription | None = None

    @model_validator(mode="before")
    @classmethod
    def _unknown(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        nan = {name: math.nan for name in ("value", "stderr", "n") if value.get(name, 0) is None}
        return {**value, **nan}

    @model_validator(mode="after")
    def _readable(self: S) -> S:
        try:
            _ = self.cluster_sizes, self.with_empty_as_zero
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"its detail cannot be read: {error}") from None
        return self

    @property
    def metric_name(self) -> str:
        """The metric's own name, which its version holds; that it is stored under may differ."""
        parts = self.version.split(", ")
        return parts[1].rpartition(" ")[0] if len(parts) > 2 else self.metric

    @property
    def cluster_sizes(self) -> tuple[int, ...] | None:
        """Of intra-LPIPS: images by the few-shot image that they are nearest to."""
        sizes = self.detail.get("cluster_sizes")
        return None if sizes is None else tuple(int(size) for size in sizes)

    @property
    def with_empty_as_zero(self) -> float:
        """Of intra-LPIPS: its mean over all clusters, empty ones as zero."""
        value = self.detail.get("with_empty_as_zero")
        return math.nan if value is None else float(value)


class SnapshotScore(ScoreRecord):
    """A line of ``scores.jsonl``: a score of a cell's snapshot."""

    iteration: Count


class ReferenceScore(ScoreRecord):
    """A line of ``references.jsonl``; ``stamp`` is what it was made with."""

    reference: Text
    stamp: Fields = Field(default_factory=dict)


class ClassifierScore(Record):
    """A line of the classifier ablation: one classifier's mean score of a snapshot or reference."""

    what: ClassVar[str] = "a score of the classifier ablation"

    judge: Text
    classifier_hash: Text = ""
    value: float
    stderr: float = math.nan
    n: int = 0
    cell: str | None = None
    iteration: int | None = None
    reference: str | None = None
