"""Figures and tables of finished runs, drawn from the run directory alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from matplotlib.figure import Figure

from fsgan_bench.errors import UserError, suggest
from fsgan_bench.figures import canvas, grids, sensitivity, trajectories
from fsgan_bench.results import curves
from fsgan_bench.results.reader import DONE, FAILED, Paths, TaskResults, load
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales, scales_of_kind
from fsgan_bench.system.files import write_text
from fsgan_bench.tables import literature, rendering, retention, selection
from fsgan_bench.tables.latex import latex
from fsgan_bench.tables.scores import tables as make_tables

__all__ = ["KINDS", "FigureKind", "draw", "load"]


FigureKind: TypeAlias = Literal["trajectories", "grids", "tables"]

KINDS: tuple[FigureKind, ...] = get_args(FigureKind)


def draw(
    task_folders: Paths,
    out: Path | None = None,
    kinds: Collection[FigureKind] = KINDS,
    metrics: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Draw figures and tables of the tasks under these folders; the files written.

    ``task_folders`` is one path or several, each a task folder or any folder above or below one
    (see :func:`load`). The files go into each task's ``figures`` folder, or into ``out``: directly
    if there is one task, else into ``out/<suite>/<target>-<k>shot``; where two roots have the same
    task, into folders that are called as theirs from where they part. Figures are written as PNG
    and PDF, as far as the scores and images for them are there:

    * trajectories: ``realisticness``, ``intra_lpips``, ``trajectories``, ``quality_diversity``,
      ``correspondence``, every distance between distributions, every further metric, and
      ``sensitivity_<method>`` for a method in several settings;
    * grids: ``same_noise_grid`` and ``grid_<method>``;
    * tables: final scores, model selection and values in print beside ours, as ``table.md`` and
      ``table.tex``, and each for itself as ``table.csv``, ``selection.csv``, ``literature.csv``.

    With ``metrics``, their names, nothing but ``metrics`` is drawn: a panel each, beside each
    other. Of a task without runs there are the same-noise grid and the tables, of the references
    alone, and of one whose runs are all unfinished nothing, which ``say`` is told. Methods that
    failed or are unfinished are left out and named in a footnote.

    Raises:
        UserError: there is no finished and scored run, or none that was scored by one of
            ``metrics``.
    """
    tasks = load(task_folders)
    if not any(map(_drawable, tasks)):
        raise UserError(_nothing(tasks))
    _check_scored(metrics, tasks)
    for results in tasks:
        if not _drawable(results):
            say(_nothing([results]))
    tasks = list(filter(_drawable, tasks))
    written: list[Path] = []
    places = [results.files.figures for results in tasks] if out is None else _below(out, tasks)
    for results, folder in zip(tasks, places, strict=True):
        # Nothing of a task is written before all of it has been read and drawn.
        with canvas.style():
            if metrics:
                figures, texts = _metrics(results, metrics), {}
            else:
                moved = "trajectories" in kinds and curves.variants(results)
                figures = _trajectories(results) if moved else {}
                figures |= _grids(results) if "grids" in kinds else {}
                texts = table_texts(results) if "tables" in kinds else {}
            for name, figure in figures.items():
                written += canvas.save_figure(figure, folder, name)
        for name, text in texts.items():
            write_text(folder / name, text)
            written.append(folder / name)
    return written


def _below(out: Path, tasks: Sequence[TaskResults]) -> list[Path]:
    """A folder in ``out`` for each task, no two the same."""
    if len(tasks) == 1:
        return [out]
    places = [out / results.task.suite / results.folder.name for results in tasks]
    if len(set(places)) == len(places):
        return places
    folders = [results.folder.resolve() for results in tasks]
    shared = os.path.commonpath(folders)
    return [out / folder.relative_to(shared) for folder in folders]


def _named_scales(results: TaskResults, names: Sequence[str]) -> list[Scale]:
    """The scales of these metrics; a name is the metric's or that under which it is stored."""
    stored = {metric: about.name for (metric, _, _), about in results.metrics.items()}
    return [
        scale
        for name in dict.fromkeys(names)
        for metric in sorted(stored)
        if name in (metric, stored[metric])
        for scale in metric_scales(results, metric)
    ]


def _check_scored(names: Sequence[str], tasks: Sequence[TaskResults]) -> None:
    """Raise UserError for a metric by which nothing was scored that could be drawn."""
    scored = dict.fromkeys(about.name for results in tasks for about in results.metrics.values())
    for name in names:
        if not any(_named_scales(results, [name]) for results in tasks):
            raise UserError(
                f"There is no finished run that was scored by '{name}'; there are scores by "
                f"{', '.join(scored)}.{suggest(name, scored)} fsgan-bench score adds others."
            )


def _metrics(results: TaskResults, names: Sequence[str]) -> dict[str, Figure]:
    scales = _named_scales(results, names) if curves.variants(results) else []
    return {"metrics": trajectories.along_iterations(results, scales)} if scales else {}


def _trajectories(results: TaskResults) -> dict[str, Figure]:
    quality = metric_scales(results, QUALITY)
    diversity = metric_scales(results, results.task.diversity)
    pairs = curves.pairs(results, quality, diversity)
    wanted = {
        "realisticness": quality,
        "intra_lpips": diversity,
        "trajectories": [*quality, *diversity],
        "correspondence": scales_of_kind(results, "correspondence"),
    }
    for scale in scales_of_kind(results, "distance", "further"):
        wanted.setdefault(scale.metric, []).append(scale)
    figures = {
        name: trajectories.along_iterations(results, scales)
        for name, scales in wanted.items()
        if scales
    }
    if pairs:
        figures["quality_diversity"] = trajectories.quality_against_diversity(results, pairs)
    for method, study in sensitivity.studies(results).items():
        figures[f"sensitivity_{method}"] = sensitivity.figure(results, study)
    return figures


def _grids(results: TaskResults) -> dict[str, Figure]:
    drawn = {"same_noise_grid": grids.same_noise_grid(results)}
    variants = curves.variants(results)
    for variant in variants:
        alone = sum(other.method == variant.method for other in variants) == 1
        name = variant.method if alone else variant.key
        drawn[f"grid_{name}"] = grids.snapshot_grid(results, variant)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def table_texts(results: TaskResults) -> dict[str, str]:
    """The content of each file of tables by its name; see :func:`draw`."""
    shown = make_tables(results)
    parts = {
        "table": shown,
        "selection": selection.tables(results),
        "retention": retention.tables(results),
        "literature": literature.beside(results, shown),
    }
    everything = [table for part in parts.values() for table in part]
    texts = {"table.md": rendering.markdown_text(everything), "table.tex": latex(everything)}
    return texts | {f"{name}.csv": rendering.csv_text(part) for name, part in parts.items() if part}


def _drawable(results: TaskResults) -> bool:
    """Whether there is a finished and scored run, or nothing but references."""
    return results.cells.empty or bool(curves.variants(results))


def _nothing(tasks: Sequence[TaskResults]) -> str:
    statuses = [str(status) for results in tasks for status in results.cells["status"]]
    failed, done = statuses.count(FAILED), statuses.count(DONE)
    unfinished = len(statuses) - failed - done
    counts = [
        f"{number} {what}"
        for number, what in [(failed, "failed"), (unfinished, "unfinished"), (done, "not scored")]
        if number
    ]
    folders = ", ".join(str(results.folder) for results in tasks)
    return f"There is no finished and scored run to draw in {folders}: {', '.join(counts)}."
