"""The table of final scores: what it says; ``rendering`` and ``latex`` show it."""

from __future__ import annotations

import math

import numpy as np

from fsgan_bench.figures import palette
from fsgan_bench.results import convergence, curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Verdict
from fsgan_bench.results.curves import Scale, Variant
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.tables import selection
from fsgan_bench.tables.model import (
    Column,
    Entry,
    Row,
    Table,
    at,
    iterations,
    judged,
    legend,
    mark_best,
    score_column,
    scored,
    table_name,
    variants_on,
)


def tables(results: TaskResults) -> list[Table]:
    """The tables of a task: one, or one for each scale of realisticness if there are several."""
    qualities: list[Scale | None] = [*curves.scales(results, "realisticness")]
    return [_table(results, quality) for quality in qualities or [None]]


def _table(results: TaskResults, quality: Scale | None) -> Table:
    variants = variants_on(results, quality)
    diversities = curves.scales(results, results.task.diversity)
    distances = [*curves.scales(results, curves.PAIRED[0]), *curves.distances(results)]
    verdicts = {
        variant.key: curves.verdict(results, variant, [quality] if quality else [])
        for variant in variants
    }
    rows = [
        _method_row(results, variant, verdicts[variant.key], quality, diversities, distances)
        for variant in variants
    ]
    if rows:
        diversities, distances = _present(diversities, rows), _present(distances, rows)
    scales = [*([quality] if quality else []), *diversities, *distances]
    rows += _reference_rows(results, scales)
    columns = _columns(quality, diversities, distances, rows)
    columns = [column for column in columns if any(column.key in row.entries for row in rows)]
    for column in columns:
        mark_best(rows, column)
    return Table(
        name=table_name(results, quality),
        title=results.task.title,
        columns=columns,
        rows=rows,
        legend=legend(results, variants, verdicts, rows),
        remarks=_remarks(results, rows, verdicts),
    )


def _present(scales: list[Scale], rows: list[Row]) -> list[Scale]:
    return [s for s in scales if any(math.isfinite(row.entries[s.key].value) for row in rows)]


def _columns(
    quality: Scale | None, diversities: list[Scale], distances: list[Scale], rows: list[Row]
) -> list[Column]:
    columns = [score_column(quality, rows)] if quality else []
    for scale in diversities:
        columns.append(score_column(scale, rows))
        if quality:
            early = f"intra-LPIPS at {100 * selection.FRACTION:.0f} % of final p_t"
            name = scale.name()
            heading = early if len(diversities) == 1 else name.replace("intra-LPIPS", early)
            early_key = f"{scale.key}_at_90"
            columns.append(Column(early_key, f"{heading} ↑", "at 90 % p_t ↑", True))
            columns.append(Column(f"{early_key}_iteration", "reached at iteration", "reached"))
        columns.append(Column(f"{scale.key}_empty", "empty clusters", "empty"))
    columns += [score_column(scale, rows) for scale in distances]
    if quality:
        columns.append(Column("converged", "converged", "converged", words=True))
    columns.append(Column("training_seconds", "training (s)", "seconds", decimals=0))
    return columns


def _method_row(
    results: TaskResults,
    variant: Variant,
    verdict: Verdict,
    quality: Scale | None,
    diversities: list[Scale],
    distances: list[Scale],
) -> Row:
    entries: dict[str, Entry] = {}
    for scale in [*([quality] if quality else []), *distances]:
        by_seed = curves.seed_curves(results, variant, scale)
        entries[scale.key] = at(selection.final(by_seed), by_seed)
    for scale in diversities:
        by_seed = curves.seed_curves(results, variant, scale)
        real = curves.reference(results, "real", scale)
        entries[scale.key] = judged(at(selection.final(by_seed), by_seed), real, verdict)
        entries[f"{scale.key}_empty"] = _empty_clusters(results, variant, scale)
        if quality:
            reached = selection.matched(curves.seed_curves(results, variant, quality))
            entries[f"{scale.key}_at_90"] = judged(at(reached, by_seed), real, verdict)
            entries[f"{scale.key}_at_90_iteration"] = iterations(scored(reached, by_seed))
    entries["converged"] = Entry(text=verdict)
    cells = results.cells
    finished = cells[(cells["variant"] == variant.key) & (cells["status"] == DONE)]
    seconds = finished["training_seconds"].dropna().tolist()
    entries["training_seconds"] = Entry(float(np.mean(seconds)) if seconds else math.nan)
    mark = footnotes.MARKS[verdict]
    return Row(variant.method, variant.label, mark, len(variant.seeds), entries)


def _reference_rows(results: TaskResults, scales: list[Scale]) -> list[Row]:
    rows = []
    for name, title in palette.REFERENCE_TITLES.items():
        entries = {
            scale.key: Entry(*found, found[1])
            for scale in scales
            if (found := curves.reference(results, name, scale)) is not None
        }
        if entries:
            rows.append(Row(name, title, "", 0, entries, "reference"))
    return rows


def _empty_clusters(results: TaskResults, variant: Variant, scale: Scale) -> Entry:
    """Few-shot images without a generated one near, of the last snapshot; mean over the seeds."""
    parts = curves.seed_scores(results, variant, scale).values()
    last = [part["cluster_sizes"].iloc[-1] for part in parts]
    sizes = [entry for entry in last if isinstance(entry, tuple)]
    if not sizes:
        return Entry()
    empty = float(np.mean([entry.count(0) for entry in sizes]))
    return Entry(value=empty, text=f"{empty:.3g}/{len(sizes[0])}")


def _remarks(results: TaskResults, rows: list[Row], verdicts: dict[str, Verdict]) -> list[str]:
    remarks = []
    if verdicts:
        known = any(entry.draws is not None for row in rows for entry in row.entries.values())
        paired = ", paired over the probe batch" if known else ""
        remarks.append(
            "Bold: the best method and those within the standard error of the difference"
            f"{paired}; for intra-LPIPS only among methods without † and values without §."
        )
    if set(verdicts.values()) - {"unmeasured"}:
        remarks.append(convergence.PLATEAU_TEST)
    remarks += footnotes.third_parties(results)
    remarks += results.task.notes
    return [*remarks, *(f"Left out: {sentence}." for sentence in footnotes.omissions(results))]
