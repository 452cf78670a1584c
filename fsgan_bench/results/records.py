"""What the files of a run folder say, but for the scores: task, cell, timing and manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from fsgan_bench.results.record import MOST, Count, Fields, Line, Name, Record, Text
from fsgan_bench.system.names import shots_in_words
from fsgan_bench.training.look import Look

DIVERSITIES = {"exact": "intra_lpips", "cdc2021": "intra_lpips_cdc2021"}
"""The metric that stands for diversity, by the suite's protocol of intra-LPIPS."""


class SourceRecord(Record):
    """The source model of a task: its hash and its card."""

    hash: Text = ""
    card: Fields = Field(default_factory=dict)


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
        target = self.target_title or self.target
        domains = " to ".join(part for part in (self.source_title, target) if part)
        return f"{domains} ({self.suite}, {shots_in_words(self.shots)})"

    @property
    def short_title(self) -> str:
        """What tells it from other tasks: ``avatars sketches, 10 shots``."""
        return f"{self.suite} {self.target}, {shots_in_words(self.shots)}"

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
    config: Fields = Field(default_factory=dict)
    seed: Count
    iterations: Count
    snapshots: tuple[Count, ...] = ()
    recipe: Fields = Field(default_factory=dict)
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
    processor: Text = ""
    accelerator: str | None = None
    classifier_hash: str | None = None

    @property
    def hardware(self) -> str:
        """What computed it, as far as it was stored."""
        return f"{self.device} {self.accelerator or self.processor}"


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

    ``length_matters`` tells whether the training would have been another in a longer cell,
    ``left_out`` are files of the cell that a pack has not taken along.
    """

    what: ClassVar[str] = "a manifest"

    keep: Literal["none", "last", "scored", "all"] | None = None
    length_matters: bool = True
    sha256: Mapping[str, str]
    left_out: Mapping[str, str] = Field(default_factory=dict)
