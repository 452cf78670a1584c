"""Which snapshot of a run stands for its method: three rules, and the table that shows them all.

Each seed's snapshot is selected by itself. Selection changes rankings, so what it is by is always
said, and no table takes the best in silence (Gulrajani and Lopez-Paz 2021, Sec. 3).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fsgan_bench.results import convergence, curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales, scales_of_kind
from fsgan_bench.tables.model import (
    Column,
    Picks,
    Row,
    Table,
    TableEntry,
    iterations,
    legend,
    score_at,
    score_column,
    table_name,
    variants_on,
    with_eligibility,
)

FRACTION = 0.9
"""Of the final realisticness: where methods are compared at matched quality."""

_BY_REFERENCE_SET = " ¶"


def final(*scores: Mapping[int, Curve]) -> Picks:
    """The last snapshot of each seed that has any of these scores."""
    picks: dict[int, int] = {}
    for by_seed in scores:
        for seed, curve in by_seed.items():
            picks[seed] = max(picks.get(seed, 0), int(curve.iterations[-1]))
    return picks


def matched(quality: Mapping[int, Curve]) -> Picks:
    """The first snapshot of each seed with ``FRACTION`` of its final realisticness."""
    reached = {
        seed: convergence.first_reaching(curve.iterations, curve.values, FRACTION)
        for seed, curve in quality.items()
    }
    return {
        seed: int(quality[seed].iterations[index])
        for seed, index in reached.items()
        if index is not None
    }


def nearest(distance: Mapping[int, Curve]) -> Picks:
    """The snapshot of each seed with the smallest distance; the first of several."""
    return {
        seed: int(curve.iterations[np.nanargmin(curve.values)])
        for seed, curve in distance.items()
        if np.isfinite(curve.values).any()
    }


def tables(results: TaskResults) -> list[Table]:
    """What each rule selects, a table for each scale of realisticness.

    None for a task with neither realisticness nor a Frechet distance: there the final snapshot is
    all that can be selected.
    """
    qualities: list[Scale | None] = [*metric_scales(results, QUALITY)]
    selections = [_table(results, quality) for quality in qualities or [None]]
    return [table for table in selections if table is not None]


def _table(results: TaskResults, quality: Scale | None) -> Table | None:
    variants = variants_on(results, quality)
    diversities = metric_scales(results, results.task.diversity)
    distances = [s for s in scales_of_kind(results, "distance") if s.about.selects]
    if not variants or not (quality or distances):
        return None
    shown = [*([quality] if quality else []), *diversities, *distances]
    on = [quality] if quality else []
    converged = {variant.key: curves.has_converged(results, variant, on) for variant in variants}
    rows = [
        row
        for variant in variants
        for row in _rows(results, variant, converged[variant.key], quality, distances, shown)
    ]
    columns = [
        Column("snapshot", "snapshot", "snapshot", words=True),
        Column("iteration", "iteration", "iteration"),
        *(score_column(scale, rows) for scale in shown),
    ]
    return Table(
        name=f"{table_name(results, quality)}-selection",
        title=f"Model selection: {results.task.title}",
        columns=columns,
        rows=rows,
        legend=legend(results, variants, converged, rows),
        remarks=_remarks(results, quality, distances),
    )


def _rows(
    results: TaskResults,
    variant: Variant,
    converged: Convergence,
    quality: Scale | None,
    distances: list[Scale],
    shown: list[Scale],
) -> list[Row]:
    scores = {scale: curves.seed_curves(results, variant, scale) for scale in shown}
    selected = [(TableEntry(text="final"), final(*scores.values()))]
    for scale in distances:
        name = scale.name() if len(distances) > 1 else scale.about.title
        rule = TableEntry(text=f"best {name}, by the reference set", note=_BY_REFERENCE_SET)
        selected.append((rule, nearest(scores[scale])))
    if quality:
        selected.append((TableEntry(text="matched quality"), matched(scores[quality])))
    rows = []
    for rule, picks in selected:
        entries = {"snapshot": rule, "iteration": iterations(picks)}
        for scale in shown:
            entry = score_at(picks, scores[scale], len(variant.seeds))
            if scale.about.capped:
                entry = with_eligibility(entry, curves.reference(results, "real", scale), converged)
            entries[scale.key] = entry
        mark = footnotes.MARKS[converged]
        rows.append(Row(variant.method, variant.label, mark, len(variant.seeds), entries))
    return rows


def _remarks(results: TaskResults, quality: Scale | None, distances: list[Scale]) -> list[str]:
    remarks = ["Final: the last snapshot, which the table of final scores shows."]
    if distances:
        count = results.task.shots
        images = "one image" if count == 1 else f"{count} images"
        remarks.append(
            f"{_BY_REFERENCE_SET.strip()} selected by the reference set of real target images, "
            f"which a user with {images} does not have; being the smallest of several, the "
            "distance is lower than that of the same snapshot measured anew."
        )
    if quality:
        remarks.append(
            f"Matched quality: the first snapshot with p_t at least {100 * FRACTION:.0f} % of "
            "the run's final p_t."
        )
    remarks.append(
        "Each seed's snapshot is selected by itself; nothing is selected by intra-LPIPS."
    )
    return remarks
