"""What the page holds of one task: methods, their curves, reference lines, images and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fsgan_bench.figures import palette
from fsgan_bench.metrics.description import KINDS
from fsgan_bench.metrics.per_image import NEAREST
from fsgan_bench.report.sprites import Sheet
from fsgan_bench.results import curves, resampling
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import DONE, UNFINISHED, TaskResults
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales, scales_of_kind
from fsgan_bench.tables import literature, retention, selection
from fsgan_bench.tables.model import NONE, Table
from fsgan_bench.tables.scores import tables as score_tables
from fsgan_bench.training.look import SOLID, Look

LATENTS = 16
"""Tiles of an image strip."""

NEARER = 0.05
"""A tile that is nearer to a few-shot image than all but this part of real images may be a copy."""

_EACH = {
    "realisticness": "its p_t",
    NEAREST: "LPIPS to it",
    "correspondence": "LPIPS to the ideal",
    "structure": "structure kept",
    "retention": "attributes kept",
}
"""What single images are said to have, by the metric, if that is stored."""


def with_unfinished(results: TaskResults) -> TaskResults:
    """The same with the cells that are still going counted as done, to draw them so far."""
    cells, scores = (
        frame.assign(status=frame["status"].replace(UNFINISHED, DONE))
        for frame in (results.cells, results.scores)
    )
    return replace(results, cells=cells, scores=scores)


def names(tasks: Sequence[TaskResults]) -> list[str]:
    """What the tasks are called on the page, each differently: of two in two roots, with these."""
    plain = [f"{each.task.suite}/{each.task.target}-{each.task.shots}shot" for each in tasks]
    return [
        name if plain.count(name) == 1 else f"{name} in {each.folder.parent.parent}"
        for name, each in zip(plain, tasks, strict=True)
    ]


def task_document(results: TaskResults, name: str) -> dict[str, Any]:
    """All of a task but its pictures, which :func:`sheets` lists, as JSON."""
    task, shown = results.task, with_unfinished(results)
    variants, scales = curves.variants(shown), scales_of_kind(shown, *KINDS)
    looks = palette.variant_looks(shown, variants)
    finished = {variant.key: variant for variant in curves.variants(results)}
    on = metric_scales(results, QUALITY)
    averaged = {variant.key: finished.get(variant.key, variant) for variant in variants}
    per_cell = {
        (variant.key, seed): cell
        for variant in variants
        for seed, cell in _cells(shown, variant).items()
    }
    return {
        "key": name,
        "title": task.title,
        "target": task.target_title or task.target,
        "shots": task.shots,
        "root": results.folder.parent.parent.name,
        "fewShot": min(task.shots, LATENTS),
        "notes": _notes(results, list(averaged.values())),
        "attribution": task.attribution,
        "diversity": task.diversity,
        "scales": [_scale(scale) for scale in scales],
        "variants": [
            {
                "key": variant.key,
                "label": variant.label,
                "mark": footnotes.MARKS[curves.has_converged(results, finished[variant.key], on)]
                if variant.key in finished
                else "",
                "look": look(looks[variant.key]),
                "seeds": list(variant.seeds),
                "averaged": len(averaged[variant.key].seeds),
                "running": _running(results, variant),
                "imported": variant.imported,
                "aligned": variant.aligned,
            }
            for variant in variants
        ],
        "curves": {
            variant.key: _curves(shown, variant, scales, averaged[variant.key].seeds)
            for variant in variants
        },
        "references": [
            {
                "name": reference,
                "title": REFERENCE_TITLES[reference],
                "look": look(style),
                "values": {
                    scale.key: numbers(found)
                    for scale in scales
                    if (found := curves.reference(results, reference, scale))
                },
            }
            for reference, style in palette.REFERENCES.items()
        ],
        "each": {
            f"{variant}/{seed}": images
            for (variant, seed), cell in per_cell.items()
            if (images := _each(cell))
        },
        "eachTitles": _EACH,
        "copy": _copy_threshold(results.files.probe("real")),
        "tables": _tables(results) if finished or results.cells.empty else [],
    }


def sheets(results: TaskResults, name: str) -> Iterable[Sheet]:
    """The pictures of a task: its strips, then its cells', those of each method's first seed first.

    They are called as the task, ``/`` and ``strips/STRIP`` or ``VARIANT/SEED``.
    """
    task, shown = results.task, with_unfinished(results)
    for strip in ("few_shot", "source", "ideal", "real"):
        path = results.files.strip(strip)
        if path.exists():
            yield Sheet(f"{name}/strips/{strip}", ((0, path),), task.resolution)
    cells = [
        (place, variant.key, seed, cell)
        for variant in curves.variants(shown)
        for place, (seed, cell) in enumerate(_cells(shown, variant).items())
    ]
    for _, variant_key, seed, cell in sorted(cells, key=lambda each: each[0]):
        if rows := tuple(CellFiles(cell).grids().items()):
            yield Sheet(f"{name}/{variant_key}/{seed}", rows, task.resolution)


def look(style: Look) -> dict[str, Any]:
    """A figure's look: its colour, on a dark page too, and its dashes in line widths."""
    return {
        "light": style.colour,
        "dark": palette.on_dark(style.colour),
        "dashes": [] if style.dashes == SOLID else list(style.dashes[1]),
        "marker": style.marker,
    }


def numbers(values: Iterable[float]) -> list[float | None]:
    """To six digits, None where there is none."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def _scale(scale: Scale) -> dict[str, Any]:
    return {
        "key": scale.key,
        "metric": scale.metric,
        "name": scale.name(),
        "short": scale.about.short,
        "limits": scale.about.limits,
        "lowerIsBetter": scale.about.higher_is_better is False,
        "capped": scale.about.capped,
    }


def _cells(results: TaskResults, variant: Variant) -> dict[int, Path]:
    cells = results.cells[results.cells["variant"] == variant.key]
    folders = dict(zip(cells["seed"], cells["folder"], strict=True))
    return {seed: Path(str(folders[seed])) for seed in variant.seeds}


def _running(results: TaskResults, variant: Variant) -> dict[str, list[int]]:
    """Iterations scored and iterations wanted, by seed, of cells that are not finished."""
    cells = results.cells
    going = cells[(cells["variant"] == variant.key) & (cells["status"] == UNFINISHED)]
    scores = results.scores
    return {
        str(cell.seed): [
            int(scores[scores["hash"] == cell.hash]["iteration"].max()),
            int(str(cell.iterations)),
        ]
        for cell in going.itertuples(index=False)
        if int(str(cell.seed)) in variant.seeds
    }


def _curves(
    results: TaskResults, variant: Variant, scales: Sequence[Scale], averaged: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """By scale, the curves of each seed and of the mean of those that are ``averaged``.

    A seed that is going would end the others' mean at the snapshot that it has come to.
    """
    found: dict[str, dict[str, Any]] = {}
    for scale in scales:
        by_seed = curves.seed_curves(results, variant, scale)
        mean = curves.mean_curve({seed: by_seed[seed] for seed in averaged if seed in by_seed})
        if mean is not None:
            found[scale.key] = {"mean": _curve(mean)}
            found[scale.key] |= {str(seed): _curve(curve) for seed, curve in by_seed.items()}
    return found


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "x": [int(at) for at in curve.iterations],
        "y": numbers(curve.values),
        "spread": numbers(curve.spread),
    }


def _each(cell: Path) -> dict[str, Any] | None:
    """What is stored of the images of the strips, by iteration: nearest few-shot image, values."""
    files = CellFiles(cell).probes()
    probes = {iteration: resampling.probe_values(file) for iteration, file in files.items()}
    if not probes:
        return None
    return {
        "iterations": list(probes),
        "cluster": [probe.cluster[:LATENTS].tolist() for probe in probes.values()],
        "values": {
            name: [_few(probe.values, name) for probe in probes.values()]
            for name in _EACH
            if any(name in probe.values for probe in probes.values())
        },
    }


def _few(values: Mapping[str, Any], name: str) -> list[float | None]:
    if name not in values:
        return [None] * LATENTS
    return [None if not math.isfinite(v) else round(float(v), 4) for v in values[name][:LATENTS]]


def _copy_threshold(real: Path) -> float | None:
    """The LPIPS to the nearest few-shot image that only ``NEARER`` of the real images go below."""
    if not real.exists():
        return None
    values = resampling.probe_values(real).values
    if NEAREST not in values:
        return None
    return round(float(np.quantile(values[NEAREST].astype(np.float64), NEARER)), 4)


def _notes(results: TaskResults, variants: list[Variant]) -> list[str]:
    left_out = footnotes.omissions(with_unfinished(results))
    return [
        *([footnotes.spread_note(results, variants, "Bands and ±")] if variants else []),
        *footnotes.third_parties(results),
        *results.task.notes,
        *([f"Left out: {'; '.join(left_out)}."] if left_out else []),
    ]


def _tables(results: TaskResults) -> list[dict[str, Any]]:
    shown = score_tables(results)
    further = [
        *selection.tables(results),
        *retention.tables(results),
        *literature.beside(results, shown),
    ]
    return [_table(table) for table in [*shown, *further]]


def _table(table: Table) -> dict[str, Any]:
    rows = []
    for row in table.rows:
        cells = []
        for column in table.columns:
            entry = row.entries.get(column.key)
            cells.append(
                {
                    "text": entry.show(column.decimals) if entry else NONE,
                    "value": numbers([entry.value])[0] if entry else None,
                    "best": bool(entry and entry.best),
                }
            )
        rows.append({"label": row.label, "mark": row.mark, "kind": row.kind, "cells": cells})
    return {
        "title": table.title,
        "head": table.head,
        "columns": [{"heading": c.heading, "words": c.words} for c in table.columns],
        "rows": rows,
        "notes": table.notes,
    }
