"""What figures and tables have in common: variants, their curves, and the scales of scores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fsgan_bench.figures import palette
from fsgan_bench.results import convergence, resampling
from fsgan_bench.results.convergence import Verdict
from fsgan_bench.results.reader import DONE, TaskResults

Floats = NDArray[np.float64]

PAIRED = ("correspondence", "structure")
"""Metrics that hold each image against the source's for the same latent."""

_UNCALIBRATED = ("lite0",)
_TITLES = {"correspondence": "LPIPS to the ideal", "structure": "structural consistency"}


class Scale(NamedTuple):
    """What may share an axis or a column: one metric, on one backbone, in one version.

    ``edition`` tells the version from others of the same metric and backbone in a task.
    """

    metric: str
    backbone: str
    version: str
    edition: str = ""

    @property
    def higher_is_better(self) -> bool:
        """False for distances."""
        return not (self.is_distribution_distance or self.metric == "correspondence")

    @property
    def is_distribution_distance(self) -> bool:
        return self.metric.startswith(("fd_", "fid", "kid"))

    @property
    def key(self) -> str:
        """The scale as a column of a CSV file, e.g. ``intra_lpips_lite0``."""
        name = self.metric.removesuffix(f"_{self.backbone}")
        parts = " ".join(part for part in (name, self.backbone, self.edition) if part)
        return re.sub(r"\W+", "_", parts)

    def name(self, mathtext: bool = False) -> str:
        """The metric with its backbone, as on an axis or over a column."""
        intra = self.metric.startswith("intra_lpips")
        uncalibrated = self.backbone in _UNCALIBRATED and (intra or self.metric == PAIRED[0])
        backbone = f"{self.backbone}, uncalibrated" if uncalibrated else self.backbone
        protocol = self.metric.removeprefix("intra_lpips").strip("_") if intra else ""
        details = ", ".join(part for part in (backbone, protocol, self.edition) if part)
        return f"{self._title(mathtext)} ({details})" if details else self._title(mathtext)

    def _title(self, mathtext: bool) -> str:
        if self.metric == "realisticness":
            return "realisticness $p_t$" if mathtext else "realisticness p_t"
        if self.metric.startswith("intra_lpips"):
            return "intra-LPIPS"
        if self.metric in _TITLES:
            return _TITLES[self.metric]
        if self.metric.startswith("fd_"):
            return "Fréchet distance"
        return self.metric.partition("_")[0].upper()


@dataclass(frozen=True)
class Variant:
    """A method in one configuration, with the cells of all its finished seeds."""

    key: str
    method: str
    label: str
    look: palette.Look
    seeds: tuple[int, ...]


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


def scales(results: TaskResults, metric: str) -> list[Scale]:
    """The scales on which finished cells of a task were scored by ``metric``, sorted.

    Those of the references in a task without cells.
    """
    scores = _scored(results)
    scores = scores[scores["metric"] == metric]
    found: dict[str, list[str]] = {}
    for _, one in scores[["backbone", "version"]].drop_duplicates().iterrows():
        found.setdefault(str(one["backbone"]), []).append(str(one["version"]))
    return [
        Scale(metric, backbone, version, _edition(version, versions))
        for backbone, versions in sorted(found.items())
        for version in sorted(versions)
    ]


def _scored(results: TaskResults) -> pd.DataFrame:
    """The scores of finished cells; those of the references in a task without cells."""
    if results.cells.empty:
        return results.references
    done = set(results.cells[results.cells["status"] == DONE]["hash"])
    scores: pd.DataFrame = results.scores[results.scores["hash"].isin(done)]
    return scores


def _edition(version: str, versions: list[str]) -> str:
    """Those parts of a version that the others do not share; nothing if it is the only one."""
    shared = set.intersection(*(set(other.split(", ")) for other in versions))
    own = ", ".join(part for part in version.split(", ") if part not in shared)
    return f"version {own}" if own.isdigit() else own


def distances(results: TaskResults) -> list[Scale]:
    """The scales of all distances between distributions of images, sorted."""
    names = sorted({str(name) for name in _scored(results)["metric"]})
    every = [scale for name in names for scale in scales(results, name)]
    return [scale for scale in every if scale.is_distribution_distance]


def variants(results: TaskResults) -> list[Variant]:
    """What there is to draw: every variant with a finished and scored cell, in order."""
    cells = results.cells
    scored = set(zip(results.scores["variant"], results.scores["seed"], strict=True))
    found: dict[str, list[tuple[int, str, str]]] = {}
    of_method: dict[str, list[str]] = {}
    for cell in cells.itertuples(index=False):
        keys = of_method.setdefault(str(cell.method), [])
        if cell.variant not in keys:
            keys.append(str(cell.variant))
        if cell.status == DONE and (cell.variant, cell.seed) in scored:
            one = (int(str(cell.seed)), str(cell.method), str(cell.label))
            found.setdefault(str(cell.variant), []).append(one)
    return [
        Variant(
            key=key,
            method=entries[0][1],
            label=entries[0][2],
            look=palette.method_look(
                entries[0][1],
                of_method[entries[0][1]].index(key),
                of_method,
                len(of_method[entries[0][1]]),
            ),
            seeds=tuple(seed for seed, _, _ in entries),
        )
        for key, entries in found.items()
    ]


def seed_scores(results: TaskResults, variant: Variant, scale: Scale) -> dict[int, pd.DataFrame]:
    """The scores of each finished seed on this scale, in order of the iterations."""
    key = (variant.key, scale.metric, scale.backbone, scale.version)
    scores = results.scores_by_scale.get(key)
    if scores is None:
        return {}
    found = {seed: scores[scores["seed"] == seed] for seed in variant.seeds}
    return {seed: part for seed, part in found.items() if len(part) > 0}


def seed_curves(results: TaskResults, variant: Variant, scale: Scale) -> dict[int, Curve]:
    """The curve of each finished seed that was scored on this scale."""
    folders = dict(zip(results.cells["hash"], results.cells["folder"], strict=True))
    return {
        seed: _curve(part, Path(folders[part["hash"].iloc[0]]) / "probe", scale)
        for seed, part in seed_scores(results, variant, scale).items()
    }


def _curve(scores: pd.DataFrame, probe: Path, scale: Scale) -> Curve:
    iterations, values = _array(scores["iteration"]), _array(scores["value"])
    columns = [
        resampling.draws(probe / f"{int(at):06d}.npz", scale.metric, scale.version, float(value))
        for at, value in zip(iterations, values, strict=True)
    ]
    known = [column for column in columns if column is not None]
    draws = np.stack(known, axis=1) if known and len(known) == len(columns) else None
    stderr = _array(scores["stderr"]) if draws is None else np.nanstd(draws, axis=0, ddof=1)
    return Curve(iterations, values, stderr, stderr, 1, draws)


def mean_curve(curves: dict[int, Curve]) -> Curve | None:
    """The mean over the seeds, at the iterations that all of them have; None without curves."""
    if len(curves) < 2:
        return next(iter(curves.values()), None)
    frames = [pd.Series(curve.values, index=curve.iterations) for curve in curves.values()]
    table = pd.concat(frames, axis=1, join="inner")
    spread = table.std(axis=1, ddof=1)
    iterations = table.index.to_numpy(dtype=np.float64)
    draws = [
        curve.draws[:, np.isin(curve.iterations, iterations)]
        for curve in curves.values()
        if curve.draws is not None
    ]
    return Curve(
        iterations=iterations,
        values=_array(table.mean(axis=1)),
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
        (rows["reference"] == name)
        & (rows["metric"] == scale.metric)
        & (rows["backbone"] == scale.backbone)
        & (rows["version"] == scale.version)
    ]
    values, errors = _array(chosen["value"]), _array(chosen["stderr"])
    if not np.isfinite(values).any():
        return None
    file = results.task.folder / "probe" / f"{name}.npz"
    draws = resampling.draws(file, scale.metric, scale.version, float(values[0]))
    error = errors[0] if draws is None else np.nanstd(draws, ddof=1)
    return float(values[0]), float(error)


def verdict(results: TaskResults, variant: Variant, on: list[Scale]) -> Verdict:
    """Whether a variant's realisticness has converged, for all its seeds, on all these scales.

    Without scales the task goes without realisticness.
    """
    if not on:
        return "unmeasured"
    return convergence.overall(
        [
            convergence.plateau(curve.iterations, curve.values, curve.stderr)
            for scale in on
            for curve in seed_curves(results, variant, scale).values()
        ]
    )


def _array(column: pd.Series[float]) -> Floats:
    return column.to_numpy(dtype=np.float64)
