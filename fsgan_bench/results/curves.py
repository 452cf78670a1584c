"""What figures and tables have in common: the variants of a task and their curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fsgan_bench.results import convergence, resampling
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.results.records import ImportRecord
from fsgan_bench.results.scales import Scale

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """A method in one configuration, with the cells of all its finished seeds.

    ``number`` counts the method's configurations in the task, from 0; there are ``siblings``.
    ``imported`` is whether it was not trained here, ``aligned`` whether its images are those of the
    probe batch's latents, in order.
    """

    key: str
    method: str
    label: str
    number: int
    siblings: int
    seeds: tuple[int, ...]
    imported: bool = False
    aligned: bool = True


@dataclass(frozen=True, eq=False)
class Curve:
    """A score along the adaptation, all arrays [N].

    ``values`` are means over the seeds. ``spread`` is their sample standard deviation, or with one
    seed the score's standard error, by bootstrap over the probe batch where its images' values are
    stored; ``stderr`` the standard error of the mean. Both may be NaN. ``draws`` [B, N] are the
    values in resampled probe batches, the same batches for every curve; None if not known.
    """

    iterations: Floats
    values: Floats
    spread: Floats
    stderr: Floats
    seeds: int
    draws: Floats | None = None


def variants(results: TaskResults) -> list[Variant]:
    """What there is to draw: every variant with a finished and scored cell, in order."""
    scored = set(zip(results.scores["variant"], results.scores["seed"], strict=True))
    seeds: dict[str, list[int]] = {}
    names: dict[str, tuple[str, str]] = {}
    configurations: dict[str, list[str]] = {}
    imported: dict[str, bool] = {}
    for cell in results.cells.itertuples(index=False):
        key = str(cell.variant)
        known = configurations.setdefault(str(cell.method), [])
        if key not in known:
            known.append(key)
        if cell.status == DONE and (cell.variant, cell.seed) in scored:
            seeds.setdefault(key, []).append(int(str(cell.seed)))
            names[key] = (str(cell.method), str(cell.label))
            if isinstance(cell.imported, ImportRecord):
                imported[key] = cell.imported.kind == "generator"
    return [
        Variant(
            key=key,
            method=names[key][0],
            label=names[key][1],
            number=configurations[names[key][0]].index(key),
            siblings=len(configurations[names[key][0]]),
            seeds=tuple(numbers),
            imported=key in imported,
            aligned=imported.get(key, True),
        )
        for key, numbers in seeds.items()
    ]


def seed_scores(results: TaskResults, variant: Variant, scale: Scale) -> dict[int, pd.DataFrame]:
    """The scores of each finished seed on this scale, in order of the iterations."""
    key = (variant.key, scale.metric, scale.backbone, scale.version)
    scores = results.scores_by_scale.get(key)
    if scores is None:
        return {}
    by_seed = {seed: scores[scores["seed"] == seed] for seed in variant.seeds}
    return {seed: part for seed, part in by_seed.items() if len(part) > 0}


def seed_curves(results: TaskResults, variant: Variant, scale: Scale) -> dict[int, Curve]:
    """The curve of each finished seed that was scored on this scale."""
    folders = dict(zip(results.cells["hash"], results.cells["folder"], strict=True))
    return {
        seed: _curve(part, CellFiles(Path(folders[part["hash"].iloc[0]])), scale)
        for seed, part in seed_scores(results, variant, scale).items()
    }


def _curve(scores: pd.DataFrame, files: CellFiles, scale: Scale) -> Curve:
    iterations, values = _array(scores["iteration"]), _array(scores["value"])
    columns = [
        resampling.draws(files.probe(int(at)), scale.metric, scale.version, float(value))
        for at, value in zip(iterations, values, strict=True)
    ]
    known = [column for column in columns if column is not None]
    draws = np.stack(known, axis=1) if known and len(known) == len(columns) else None
    stderr = _array(scores["stderr"]) if draws is None else np.nanstd(draws, axis=0, ddof=1)
    return Curve(iterations, values, stderr, stderr, 1, draws)


def mean_curve(curves: dict[int, Curve]) -> Curve | None:
    """The mean over the seeds, at the iterations that all of them have; None without curves.

    It is not defined where that of a seed is not.
    """
    if len(curves) < 2:
        return next(iter(curves.values()), None)
    frames = [pd.Series(curve.values, index=curve.iterations) for curve in curves.values()]
    table = pd.concat(frames, axis=1, join="inner")
    spread = table.std(axis=1, ddof=1, skipna=False)
    iterations = table.index.to_numpy(dtype=np.float64)
    draws = [
        curve.draws[:, np.isin(curve.iterations, iterations)]
        for curve in curves.values()
        if curve.draws is not None
    ]
    return Curve(
        iterations=iterations,
        values=_array(table.mean(axis=1, skipna=False)),
        spread=_array(spread),
        stderr=_array(spread) / np.sqrt(len(curves)),
        seeds=len(curves),
        draws=np.mean(draws, axis=0) if len(draws) == len(curves) else None,
    )


def pairs(
    results: TaskResults, qualities: list[Scale], diversities: list[Scale]
) -> list[tuple[Scale, Scale]]:
    """The pairs of a scale of quality and one of diversity on which some variant has both."""
    drawn = variants(results)
    return [
        (quality, diversity)
        for quality in qualities
        for diversity in diversities
        if any(
            seed_curves(results, variant, quality) and seed_curves(results, variant, diversity)
            for variant in drawn
        )
    ]


def reference(results: TaskResults, name: str, scale: Scale) -> tuple[float, float] | None:
    """Value and standard error (may be NaN) of a reference on a scale; None if it is not known."""
    rows = results.references
    chosen = rows[
        (rows["method"] == name)
        & (rows["metric"] == scale.metric)
        & (rows["backbone"] == scale.backbone)
        & (rows["version"] == scale.version)
    ]
    values, errors = _array(chosen["value"]), _array(chosen["stderr"])
    if not np.isfinite(values).any():
        return None
    file = results.files.probe(name)
    draws = resampling.draws(file, scale.metric, scale.version, float(values[0]))
    error = errors[0] if draws is None else np.nanstd(draws, ddof=1)
    return float(values[0]), float(error)


def has_converged(results: TaskResults, variant: Variant, on: list[Scale]) -> Convergence:
    """Whether a variant's realisticness has converged, for all its seeds, on all these scales.

    Without scales the task goes without realisticness.
    """
    if not on:
        return "unmeasured"
    answers = []
    for scale in on:
        source, _ = reference(results, "source", scale) or (math.nan, math.nan)
        answers += [
            convergence.plateau(curve.iterations, curve.values, curve.stderr, source)
            for curve in seed_curves(results, variant, scale).values()
        ]
    return convergence.overall(answers)


def _array(column: pd.Series[float]) -> Floats:
    return np.asarray(column, dtype=np.float64)
