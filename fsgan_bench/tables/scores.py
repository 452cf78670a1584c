"""The table of final scores: what it says; ``rendering`` and ``latex`` show it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from fsgan_bench.results import convergence, curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales, scales_of_kind
from fsgan_bench.tables import selection
from fsgan_bench.tables.model import (
    Column,
    Row,
    Table,
    TableEntry,
    iterations,
    legend,
    mark_best,
    score_at,
    score_column,
    scored,
    table_name,
    variants_on,
    with_eligibility,
)


def tables(results: TaskResults) -> list[Table]:
    """The tables of a task: one, or one for each scale of realisticness if there are several."""
    qualities: list[Scale | None] = [*metric_scales(results, QUALITY)]
    return [_table(results, quality) for quality in qualities or [None]]


def _table(results: TaskResults, quality: Scale | None) -> Table:
    variants = variants_on(results, quality)
    diversities = metric_scales(results, results.task.diversity)
    others = [
        scale
        for scale in scales_of_kind(results, "correspondence", "distance", "further")
        if scale.about.tabulated
    ]
    on = [quality] if quality else []
    converged = {variant.key: curves.has_converged(results, variant, on) for variant in variants}
    rows = [
        _method_row(results, variant, converged[variant.key], quality, diversities, others)
        for variant in variants
    ]
    if rows:
        diversities, others = _present(diversities, rows), _present(others, rows)
    rows += _reference_rows(results, [*on, *diversities, *others])
    columns = _columns(quality, diversities, others, rows)
    columns = [column for column in columns if any(column.key in row.entries for row in rows)]
    for column in columns:
        mark_best(rows, column)
    return Table(
        name=table_name(results, quality),
        title=results.task.title,
        columns=columns,
        rows=rows,
        legend=legend(results, variants, converged, rows),
        remarks=_remarks(results, [*diversities, *others], rows, converged),
    )


def _present(shown: list[Scale], rows: list[Row]) -> list[Scale]:
    return [s for s in shown if any(math.isfinite(row.entries[s.key].value) for row in rows)]


def _columns(
    quality: Scale | None, diversities: list[Scale], others: list[Scale], rows: list[Row]
) -> list[Column]:
    columns = [score_column(quality, rows)] if quality else []
    for scale in diversities:
        columns.append(score_column(scale, rows))
        if quality:
            title = scale.about.title
            early = f"{title} at {100 * selection.FRACTION:.0f} % of final p_t"
            name = early if len(diversities) == 1 else scale.name().replace(title, early)
            arrow, key = scale.about.arrow, f"{scale.key}_at_90"
            columns.append(
                Column(
                    key=key,
                    heading=f"{name} {arrow}",
                    short=f"at 90 % p_t {arrow}",
                    higher_is_better=scale.about.higher_is_better,
                    scored=True,
                )
            )
            columns.append(Column(f"{key}_iteration", "reached at iteration", "reached"))
        columns.append(Column(f"{scale.key}_empty", "empty clusters", "empty"))
    columns += [score_column(scale, rows) for scale in others]
    if quality:
        columns.append(Column("converged", "converged", "converged", words=True))
    columns.append(Column("training_seconds", "training (s)", "seconds", decimals=0))
    return columns


def _method_row(
    results: TaskResults,
    variant: Variant,
    converged: Convergence,
    quality: Scale | None,
    diversities: list[Scale],
    others: list[Scale],
) -> Row:
    entries: dict[str, TableEntry] = {}
    for scale in [*([quality] if quality else []), *others]:
        entries[scale.key] = _final(results, variant, scale, converged)
    for scale in diversities:
        by_seed = curves.seed_curves(results, variant, scale)
        real = curves.reference(results, "real", scale)
        entries[scale.key] = _final(results, variant, scale, converged)
        entries[f"{scale.key}_empty"] = _empty_clusters(results, variant, scale)
        if quality:
            reached = selection.matched(curves.seed_curves(results, variant, quality))
            if variant.imported and _snapshots(results, variant) == 1:
                reached = {}
            early = score_at(reached, by_seed, len(variant.seeds))
            entries[f"{scale.key}_at_90"] = with_eligibility(early, real, converged)
            entries[f"{scale.key}_at_90_iteration"] = iterations(scored(reached, by_seed))
    entries["converged"] = TableEntry(text=converged)
    timed = _timed(results, variant)
    mean = math.nan if _on_several(timed) else timed["training_seconds"].mean()
    entries["training_seconds"] = TableEntry(float(mean))
    mark = footnotes.MARKS[converged]
    return Row(variant.method, variant.label, mark, len(variant.seeds), entries)


def _timed(results: TaskResults, variant: Variant) -> pd.DataFrame:
    """The finished cells whose training time is known."""
    cells = results.cells
    finished = (cells["variant"] == variant.key) & (cells["status"] == DONE)
    timed: pd.DataFrame = cells[finished & cells["training_seconds"].notna()]
    return timed


def _on_several(timed: pd.DataFrame) -> bool:
    """Whether they ran on different hardware, so that their mean says nothing."""
    return bool(timed["hardware"].nunique() > 1)


def _final(
    results: TaskResults, variant: Variant, scale: Scale, converged: Convergence
) -> TableEntry:
    """The score of the last snapshot; where more than real images have is no merit."""
    by_seed = curves.seed_curves(results, variant, scale)
    entry = score_at(selection.final(by_seed), by_seed, len(variant.seeds))
    entry = replace(entry, note=entry.note + _fewer_images(results, variant, scale))
    if not scale.about.capped:
        return entry
    return with_eligibility(entry, curves.reference(results, "real", scale), converged)


def _snapshots(results: TaskResults, variant: Variant) -> int:
    scores = results.scores
    return int(scores[scores["variant"] == variant.key]["iteration"].nunique())


def _fewer_images(results: TaskResults, variant: Variant, scale: Scale) -> str:
    """How many images a score of somebody else's is over, if fewer than those of the source's."""
    if not variant.imported:
        return ""
    parts = curves.seed_scores(results, variant, scale).values()
    counts = [float(part["n"].iloc[-1]) for part in parts]
    return _count(min(counts, default=math.nan), _images(results, "source", scale))


def _images(results: TaskResults, reference: str, scale: Scale) -> float:
    """How many images a reference's score is over; NaN where that is not known."""
    rows = results.references
    return float(
        rows[
            (rows["method"] == reference)
            & (rows["metric"] == scale.metric)
            & (rows["backbone"] == scale.backbone)
            & (rows["version"] == scale.version)
        ]["n"].max()
    )


def _count(images: float, full: float) -> str:
    return f" (n = {images:,.0f})" if images < full else ""


def _reference_rows(results: TaskResults, shown: list[Scale]) -> list[Row]:
    rows = []
    for name, title in REFERENCE_TITLES.items():
        known = {scale.key: curves.reference(results, name, scale) for scale in shown}
        entries = {}
        for scale in shown:
            if (each := known[scale.key]) is not None:
                count = _images(results, name, scale), _images(results, "source", scale)
                entries[scale.key] = TableEntry(each[0], each[1], each[1], note=_count(*count))
        if entries:
            rows.append(Row(name, title, "", 0, entries, "reference"))
    return rows


def _empty_clusters(results: TaskResults, variant: Variant, scale: Scale) -> TableEntry:
    """Few-shot images without a generated one near, of the last snapshot; mean over the seeds."""
    parts = curves.seed_scores(results, variant, scale).values()
    last = [part["cluster_sizes"].iloc[-1] for part in parts]
    sizes = [clusters for clusters in last if isinstance(clusters, tuple)]
    if not sizes:
        return TableEntry()
    empty = float(np.mean([clusters.count(0) for clusters in sizes]))
    return TableEntry(value=empty, text=f"{empty:.3g}/{len(sizes[0])}")


def _remarks(
    results: TaskResults, shown: list[Scale], rows: list[Row], converged: dict[str, Convergence]
) -> list[str]:
    remarks = []
    if converged:
        known = any(entry.draws is not None for row in rows for entry in row.entries.values())
        paired = ", paired over the probe batch" if known else ""
        capped = dict.fromkeys(scale.about.title for scale in shown if scale.about.capped)
        only = "; for {} only among methods without † or ‡ and values without §"
        remarks.append(
            "Bold: the best method and those within the standard error of the difference"
            f"{paired}{only.format(' and '.join(capped)) if capped else ''}."
        )
    if set(converged.values()) - {"unmeasured"}:
        remarks.append(convergence.PLATEAU_TEST)
    if any(_on_several(_timed(results, variant)) for variant in curves.variants(results)):
        remarks.append("No training time where a method's seeds ran on different hardware.")
    remarks += footnotes.third_parties(results) + footnotes.elsewhere(results)
    remarks += results.task.notes
    return [*remarks, *(f"Left out: {sentence}." for sentence in footnotes.omissions(results))]
