"""What the files of a results root say, typed and frozen: one record a file or a line.

Each record knows the version of its form, ``schema`` in the file; files from before there was one
are version 1 and stay readable. A file of a later version than this package writes is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fsgan_bench.errors import UserError, check_name, one_line
from fsgan_bench.metrics.description import SCORE_SCHEMA, MetricDescription
from fsgan_bench.training.look import Look

SCHEMA = "schema"

MOST = 10**12
"""Larger counts are a slip, and more than a figure's axis can hold."""

DIVERSITIES = {"exact": "intra_lpips", "cdc2021": "intra_lpips_cdc2021"}
"""The metric that stands for diversity, by the suite's protocol of intra-LPIPS."""

R = TypeVar("R", bound="Record")
S = TypeVar("S", bound="ScoreRecord")


def _name(value: object) -> str:
    try:
        return check_name("suite, target or method", value)
    except UserError as error:
        raise ValueError(str(error).rstrip(".")) from None


def _line(value: object) -> str:
    return "" if value is None else one_line(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapping(value: object) -> object:
    return {} if value is None else value


Name = Annotated[str, BeforeValidator(_name)]
Line = Annotated[str, BeforeValidator(_line)]
"""Text that people wrote, as one printable line; null is none."""
Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Table = Annotated[Mapping[str, Any], BeforeValidator(_mapping)]


class Record(BaseModel):
    """What one file or line says; what it holds besides is passed over."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    version_written: ClassVar[int] = 2
    what: ClassVar[str] = "record"

    form: int = Field(default=1, alias="schema", ge=1)

    @classmethod
    def parse(cls: type[R], value: Mapping[str, Any], where: str) -> R:
        """The record in ``value``, read from the file (and line) ``where``.

        Raises:
            UserError: something is missing or of another kind, or the form is a later one.
        """
        try:
            record = cls.model_validate(value)
        except (ValidationError, RecursionError) as error:
            raise UserError(f"{where} is not {cls.what}: {_cause(error)}.") from None
        if record.form > cls.version_written:
            raise UserError(
                f"{where} was written by a later fsgan-bench (form {record.form}; this one knows "
                f"{cls.version_written}); update to read it."
            )
        return record


def _cause(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deep"
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"'{place}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return one_line(f"{place}: {message}, not {first['input']!r:.60}")


class SourceRecord(Record):
    """The source model of a task: its hash and its card."""

    hash: Text = ""
    card: Table = Field(default_factory=dict)


class TaskRecord(Record):
    """``task.json``: a target and its few-shot set under one suite: what may share a figure.

    ``resolution`` is the side of a tile of its image strips, in pixels, ``notes`` what a reader of
    the scores must know.
    """

    what: ClassVar[str] = "a task's description"

    suite: Name
    target: Name
    shots: int = Field(ge=1, le=MOST)
    resolution: int = Field(ge=1, le=2**16)
    source_title: Line = ""
    target_title: Line = ""
    attribution: Line = ""
    source: SourceRecord = Field(default_factory=SourceRecord)
    few_shot_hash: Text = ""
    reference_hash: Text = ""
    probe_hash: Text = ""
    classifier_hash: str | None = None
    protocol: Text = "1"
    lpips_protocol: Literal["exact", "cdc2021"] = "exact"
    notes: tuple[Line, ...] = ()

    @property
    def title(self) -> str:
        """One line for the head of a figure or a table."""
        plural = "" if self.shots == 1 else "s"
        target = self.target_title or self.target
        domains = " to ".join(part for part in (self.source_title, target) if part)
        return f"{domains} ({self.suite}, {self.shots} shot{plural})"

    @property
    def diversity(self) -> str:
        """The metric that the suite shows as intra-LPIPS."""
        return DIVERSITIES[self.lpips_protocol]

    @property
    def made_with(self) -> dict[str, str]:
        """Hashes that every cell and every reference line must have in common, by what it is."""
        return {
            "source": self.source.hash,
            "few-shot set": self.few_shot_hash,
            "classifier": self.classifier_hash or "",
        }


class ImportRecord(Record):
    """What a cell was made from that was not trained here.

    ``files`` are the SHA-256 of the checkpoints by name, or of a set of images as a whole;
    ``count`` is how many checkpoints or images, ``paired`` whether its images are known to be those
    of the source's latents.
    """

    kind: Literal["images", "generator"]
    files: Mapping[str, str]
    count: Count
    paired: bool = False


class CellFields(Record):
    """What a cell is: all that decides its weights, and what it is called.

    ``imported`` is there if it was trained elsewhere. ``stored`` holds every field as it is in the
    file, in its order.
    """

    suite: Text = ""
    target: Text = ""
    shots: int = 0
    method: Name
    title: Line = ""
    paper: Line = ""
    method_version: Text = ""
    method_source: str | None = None
    method_origin: Line = ""
    config: Table = Field(default_factory=dict)
    seed: Count
    iterations: Count
    snapshots: tuple[Count, ...] = ()
    recipe: Table = Field(default_factory=dict)
    source_hash: str | None = None
    few_shot_hash: str | None = None
    protocol: Text = ""
    look: Look | None = None
    imported: ImportRecord | None = None
    stored: Mapping[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, value: Any) -> Any:
        return {**value, "stored": value} if isinstance(value, Mapping) else value


class Provenance(Record):
    """What a cell was made by and on."""

    model_config = ConfigDict(extra="allow")

    fsgan_bench: Text = ""
    commit: str | None = None
    threads: int | None = None
    device: Text = ""
    classifier_hash: str | None = None


class CellRecord(Record):
    """``cell.json``: a cell, its content hash, and its provenance."""

    what: ClassVar[str] = "a run's description"

    hash: Text
    cell: CellFields
    provenance: Provenance = Field(default_factory=Provenance)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("provenance", {}) is None:
            return {key: part for key, part in value.items() if key != "provenance"}
        return value

    @property
    def title(self) -> str:
        """The method's name in figures and tables."""
        return self.cell.title or self.cell.method

    @property
    def made_with(self) -> dict[str, str | None]:
        """Hashes of what it was made with, by what it is; None where unknown."""
        return {
            "source": self.cell.source_hash,
            "few-shot set": self.cell.few_shot_hash,
            "classifier": self.provenance.classifier_hash,
        }


class TimingRecord(Record):
    """``timing.json``: seconds; NaN where unknown."""

    what: ClassVar[str] = "a run's timing"

    training_seconds: float = math.nan
    scoring_seconds: float = math.nan


class ManifestRecord(Record):
    """``manifest.json``: which snapshots stay, and the SHA-256 of every file by its place.

    <<<<<<< HEAD
        ``length_matters`` tells whether the training would have been another in a longer cell.
    =======
        ``left_out`` are files of the cell that a pack has not taken along.
    >>>>>>> 52d4f30 (Judge what was not trained here, and use what was)
    """

    what: ClassVar[str] = "a manifest"

    keep: Literal["none", "last", "scored", "all"] | None = None
    length_matters: bool = True
    sha256: Mapping[str, str]
    left_out: Mapping[str, str] = Field(default_factory=dict)


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
    detail: Table = Field(default_factory=dict)
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
    stamp: Table = Field(default_factory=dict)


class Judgement(Record):
    """A line of the classifier ablation: one classifier's mean score of a snapshot or reference."""

    what: ClassVar[str] = "a judgement"

    judge: Text
    classifier_hash: Text = ""
    value: float
    stderr: float = math.nan
    n: int = 0
    cell: str | None = None
    iteration: int | None = None
    reference: str | None = None
