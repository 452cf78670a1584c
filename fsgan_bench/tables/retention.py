"""Retention by attribute: which parts of a face each method keeps, at its last snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from fsgan_bench.metrics.retention import LEVELS, PRESENT, READABLE, VARIED
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import Scale, metric_scales
from fsgan_bench.tables.model import Column, Row, Table, TableEntry, legend, mark_best, table_name

METRIC = "retention"
CEILING = "real target images, read against the truth"


def tables(results: TaskResults) -> list[Table]:
    """A table for each scale on which retention was scored; none where it was not."""
    return [
        table
        for scale in metric_scales(results, METRIC)
        if (table := _table(results, scale)) is not None
    ]


def _table(results: TaskResults, scale: Scale) -> Table | None:
    variants = [v for v in curves.variants(results) if curves.seed_scores(results, v, scale)]
    rows = [_method_row(results, variant, scale) for variant in variants]
    references = _reference_details(results, scale)
    rows += [
        Row(name, title, "", 0, _entries([references[name]], scale), "reference")
        for name, title in REFERENCE_TITLES.items()
        if name in references
    ]
    details = [*references.values(), *_finals(results, variants, scale)]
    if not details:
        return None
    ceiling = {_key(name, scale): TableEntry(v) for name, v in details[0]["ceiling"].items()}
    rows.append(Row("ceiling", CEILING, "", 0, ceiling, "reference"))
    readable = details[0]["attributes"]
    edition = f", {scale.edition}" if scale.edition else ""
    columns = [
        Column(_key(name, scale), f"{name} ({level}) ↑", name, higher_is_better=True, scored=True)
        for level, names in LEVELS.items()
        for name in names
        if name in readable
    ]
    for column in columns:
        mark_best(rows, column)
    return Table(
        name=f"{table_name(results, None)}-{METRIC}{edition}",
        title=f"{results.task.title}: attributes kept, Cohen's kappa{edition}",
        columns=columns,
        rows=rows,
        legend=legend(results, variants, {}, rows),
        remarks=[
            "Cohen's kappa of an attribute read off G_t(z) and off G_s(z), at the last snapshot: 1 "
            "if every face keeps it, 0 for the agreement of chance.",
            "Left out: attributes that cannot be read off real target or source images with a "
            f"kappa of at least {READABLE:g} against the truth, those in which fewer than "
            f"{VARIED:.0%} of the source's images differ from the commonest value, and colours of "
            f"parts that fewer than {PRESENT:.0%} have. A colour counts where the source's image "
            "has its part.",
        ],
    )


def _finals(
    results: TaskResults, variants: Iterable[Variant], scale: Scale
) -> list[Mapping[str, Mapping[str, float]]]:
    """What the last snapshot of each seed stores besides the score, where it is defined."""
    finals = [
        scores["detail"].iloc[-1]
        for variant in variants
        for scores in curves.seed_scores(results, variant, scale).values()
    ]
    return [detail for detail in finals if "attributes" in detail]


def _method_row(results: TaskResults, variant: Variant, scale: Scale) -> Row:
    entries = _entries(_finals(results, [variant], scale), scale)
    return Row(variant.method, variant.label, "", len(variant.seeds), entries)


def _key(name: str, scale: Scale) -> str:
    """An attribute's column in the CSV file, where each version of the metric has its own."""
    return f"{name}_{scale.edition}" if scale.edition else name


def _entries(
    details: Sequence[Mapping[str, Mapping[str, float]]], scale: Scale
) -> dict[str, TableEntry]:
    """The mean of each attribute over the seeds, with their sample standard deviation."""
    frame = pd.DataFrame([detail["attributes"] for detail in details])
    count = len(frame)
    entries: dict[str, TableEntry] = {}
    for name in frame.columns:
        values = frame[name].to_numpy(dtype=np.float64)
        spread = float(np.std(values, ddof=1)) if count > 1 else math.nan
        entries[_key(name, scale)] = TableEntry(
            float(values.mean()), spread, spread / math.sqrt(count)
        )
    return entries


def _reference_details(
    results: TaskResults, scale: Scale
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    references = results.references
    on_scale = (references["metric"] == scale.metric) & (references["version"] == scale.version)
    chosen = references[on_scale & (references["backbone"] == scale.backbone)]
    stored = zip(chosen["method"], chosen["detail"], strict=True)
    return {name: detail for name, detail in stored if "attributes" in detail}
