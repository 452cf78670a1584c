"""All scores, references and their provenance as one long table in one file, a row a number.

The columns and what they mean are ``COLUMNS``; docs/export.md prints them. Whatever changes them
raises ``EXPORT_VERSION``, which every row holds.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.results.folders import Paths, read_cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import TaskResults, load
from fsgan_bench.results.records import ImportRecord
from fsgan_bench.system.files import write_atomic, write_text

EXPORT_VERSION = 1

SUFFIXES = (".parquet", ".csv", ".json")


class Field(NamedTuple):
    """A column's type and what it says."""

    type: Literal["text", "integer", "number"]
    meaning: str


COLUMNS: dict[str, Field] = {
    "export_version": Field("integer", "version of this schema"),
    "kind": Field("text", "`method` for a snapshot's score, `reference` for a reference line's"),
    "provenance": Field(
        "text", "`trained` here, `imported` if trained elsewhere, `reference` for a reference line"
    ),
    "suite": Field("text", "the suite"),
    "target": Field("text", "the target domain"),
    "shots": Field("integer", "number of few-shot images"),
    "method": Field("text", "the method's name; of a reference line `source`, `real`, `ideal`"),
    "label": Field("text", "what figures and tables call it"),
    "variant": Field("text", "the method in one configuration; equal for its seeds"),
    "config": Field("text", "all its settings, as a JSON object"),
    "seed": Field("integer", "of the training; of an import what its user said"),
    "iteration": Field("integer", "of the snapshot"),
    "iterations": Field("integer", "length of the training"),
    "metric": Field("text", "name of the metric"),
    "backbone": Field("text", "feature network that it looks through"),
    "metric_version": Field("text", "versions of protocol, metric and network"),
    "value": Field("number", "the score; missing where it is undefined"),
    "stderr": Field("number", "its standard error over the images; missing where unknown"),
    "n": Field("integer", "images that it is over"),
    "unit": Field("text", "unit of value and stderr; empty for a pure number"),
    "better": Field("text", "`higher` or `lower`; empty if neither is"),
    "cluster_sizes": Field(
        "text", "of intra-LPIPS: images by nearest few-shot image, as a JSON list"
    ),
    "with_empty_as_zero": Field("number", "of intra-LPIPS: the value with empty clusters as zero"),
    "status": Field("text", "of the cell: `DONE`, `FAILED`, `unfinished`, `outdated`"),
    "origin": Field("text", "what brings a third-party method; empty for the built-in ones"),
    "cell_hash": Field("text", "content hash of the cell; joins with its folder and its manifest"),
    "source_hash": Field("text", "SHA-256 of the source model"),
    "few_shot_hash": Field("text", "SHA-256 of the few-shot images"),
    "reference_hash": Field("text", "SHA-256 of the real images of the Frechet distance"),
    "probe_hash": Field("text", "SHA-256 of the probe batch of latents"),
    "classifier_hash": Field("text", "of the realisticness classifier"),
    "training_seconds": Field("number", "what the whole cell took to train"),
    "scoring_seconds": Field("number", "what it took to score"),
    "fsgan_bench": Field("text", "version that made the cell"),
    "commit": Field("text", "its git commit, with + if it had changes"),
    "platform": Field("text", "operating system"),
    "processor": Field("text", "processor"),
    "device": Field("text", "`cpu` or `cuda`"),
    "threads": Field("integer", "processor threads of the cell"),
    "packages": Field("text", "versions of the packages that matter, as a JSON object"),
}
"""Every row has all of them; what a row cannot have is missing, which CSV writes as nothing."""

_TYPES = {"text": "string", "integer": "Int64", "number": "Float64"}
_RENAMED = {
    "version": "metric_version",
    "direction": "better",
    "hash": "cell_hash",
}
_TAKEN_OVER = ("fsgan_bench", "commit", "platform", "processor", "device", "threads")


def export_results(runs: Paths, out: Path) -> int:
    """Write the long table of all runs at or below ``runs`` to ``out``; the number of its rows.

    The suffix of ``out`` says whether it is Parquet (which takes pyarrow), CSV (UTF-8, numbers in
    full) or JSON (a list of objects, missing values null). It appears whole or not at all.

    Raises:
        UserError: another suffix, a missing package, or runs that cannot be read.
    """
    check_out(out)
    frame = long_export(load(runs))
    if out.suffix == ".parquet":
        write_atomic(out, lambda path: frame.to_parquet(path, engine="pyarrow", index=False))
    elif out.suffix == ".csv":
        write_atomic(out, lambda path: frame.to_csv(path, index=False, lineterminator="\n"))
    else:
        write_text(out, json.dumps(_records(frame), indent=0) + "\n")
    return len(frame)


def check_out(out: Path) -> None:
    """Raise UserError unless a table can be written to a file of this name here."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out {out}: a table of scores ends in {', '.join(SUFFIXES)}.")
    check_folder("--out", out.parent)
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"--out {out}: Parquet needs a package that is missing: "
            "pip install 'fsgan-bench[parquet]'; .csv and .json need nothing."
        )


def long_export(tasks: list[TaskResults]) -> pd.DataFrame:
    """The table that :func:`export_results` writes: ``COLUMNS``, a row a number."""
    parts = [frame for task in tasks for frame in _task_rows(task)]
    every = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    every["export_version"] = EXPORT_VERSION
    frame = every.reindex(columns=list(COLUMNS))
    typed: pd.DataFrame = frame.astype({n: _TYPES[c.type] for n, c in COLUMNS.items()})
    return typed


def _task_rows(task: TaskResults) -> list[pd.DataFrame]:
    shared = {
        "source_hash": task.task.source.hash,
        "few_shot_hash": task.task.few_shot_hash,
        "reference_hash": task.task.reference_hash,
        "probe_hash": task.task.probe_hash,
        "classifier_hash": task.task.classifier_hash,
    }
    frames = []
    if len(task.references):
        references = _scores(task.references)
        frames.append(references.assign(provenance="reference", **shared))
    if len(task.scores):
        about = pd.DataFrame([_cell(row) for row in task.cells.to_dict("records")])
        scores = _scores(task.scores).merge(about, on="cell_hash", how="left")
        kept = ("reference_hash", "probe_hash")
        frames.append(scores.assign(**{name: shared[name] for name in kept}))
    return frames


def _scores(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=_RENAMED)
    sizes = [json.dumps(s) if isinstance(s, tuple) else None for s in frame["cluster_sizes"]]
    frame["cluster_sizes"] = pd.Series(sizes, index=frame.index, dtype="string")
    return frame


def _cell(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the table says of a cell beside its scores."""
    record = read_cell(CellFiles(Path(row["folder"])))
    made_by = record.provenance.model_dump()
    imported = isinstance(row["imported"], ImportRecord)
    return {
        "cell_hash": record.hash,
        "provenance": "imported" if imported else "trained",
        "config": json.dumps(dict(record.cell.config), sort_keys=True),
        "iterations": record.cell.iterations,
        "source_hash": record.cell.source_hash,
        "few_shot_hash": record.cell.few_shot_hash,
        "classifier_hash": record.provenance.classifier_hash,
        "training_seconds": row["training_seconds"],
        "scoring_seconds": row["scoring_seconds"],
        **{name: made_by.get(name) for name in _TAKEN_OVER},
        "packages": json.dumps(made_by.get("packages") or {}, sort_keys=True),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: missing values are null, integers have no point."""
    columns = {
        name: [_plain(value, COLUMNS[name].type) for value in frame[name]] for name in COLUMNS
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any, kind: str) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return {"integer": int, "number": float, "text": str}[kind](value)
