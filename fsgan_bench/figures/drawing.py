"""Figures and tables of finished runs, drawn from the run directory alone."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from matplotlib.figure import Figure

from fsgan_bench.errors import UserError
from fsgan_bench.figures import canvas, grids, sensitivity, trajectories
from fsgan_bench.results import curves
from fsgan_bench.results.reader import DONE, FAILED, Paths, TaskResults, load
from fsgan_bench.system.files import write_text
from fsgan_bench.tables import literature, rendering, selection
from fsgan_bench.tables.latex import latex
from fsgan_bench.tables.scores import tables as make_tables

__all__ = ["KINDS", "Kind", "draw", "load"]


Kind: TypeAlias = Literal["trajectories", "grids", "tables"]

KINDS: tuple[Kind, ...] = get_args(Kind)


def draw(
    task_folders: Paths, out: Path | None = None, kinds: Collection[Kind] = KINDS
) -> list[Path]:
    """Draw figures and tables of the tasks under these folders; the files written.

    ``task_folders`` is one path or several, each a task folder or any folder above or below one
    (see :func:`load`). The files go into each task's ``figures`` folder, or into ``out``: directly
    if there is one task, else into ``out/<suite>/<target>-<k>shot``. Figures are written as PNG and
    PDF, as far as the scores and images for them are there:

    * trajectories: ``realisticness``, ``intra_lpips``, ``trajectories``, ``quality_diversity``,
      ``correspondence`` and every distance between distributions, and ``sensitivity_<method>``
      for a method in several settings;
    * grids: ``same_noise_grid`` and ``grid_<method>``;
    * tables: final scores, model selection and values in print beside ours, as ``table.md`` and
      ``table.tex``, and each for itself as ``table.csv``, ``selection.csv``, ``literature.csv``.

    Of a task without runs there are the same-noise grid and the tables, of the references alone.
    Methods that failed or are unfinished are left out and named in a footnote. Raises UserError if
    there is no finished and scored run.
    """
    every = load(task_folders)
    if not any(results.cells.empty or curves.variants(results) for results in every):
        raise UserError(_nothing(every))
    written: list[Path] = []
    for results in every:
        task = results.task
        folder = task.folder / "figures"
        if out is not None:
            own = Path(task.suite) / f"{task.target}-{task.shots}shot"
            folder = Path(out) if len(every) == 1 else Path(out) / own
        # Nothing is written before everything has been read and drawn.
        with canvas.style():
            moved = "trajectories" in kinds and curves.variants(results)
            figures = _trajectories(results) if moved else {}
            figures |= _grids(results) if "grids" in kinds else {}
            texts = table_texts(results) if "tables" in kinds else {}
            for name, figure in figures.items():
                written += canvas.save(figure, folder, name)
        for name, text in texts.items():
            write_text(folder / name, text)
            written.append(folder / name)
    return written


def _trajectories(results: TaskResults) -> dict[str, Figure]:
    quality = curves.scales(results, "realisticness")
    diversity = curves.scales(results, results.task.diversity)
    pairs = curves.pairs(results, quality, diversity)
    paired = [scale for metric in curves.PAIRED for scale in curves.scales(results, metric)]
    wanted = {
        "realisticness": quality,
        "intra_lpips": diversity,
        "trajectories": [*quality, *diversity],
        "correspondence": paired,
        **{scale.metric: [scale] for scale in curves.distances(results)},
    }
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
    found = {"same_noise_grid": grids.same_noise_grid(results)}
    variants = curves.variants(results)
    for variant in variants:
        alone = sum(other.method == variant.method for other in variants) == 1
        name = variant.method if alone else variant.key
        found[f"grid_{name}"] = grids.snapshot_grid(results, variant)
    return {name: figure for name, figure in found.items() if figure is not None}


def table_texts(results: TaskResults) -> dict[str, str]:
    """The content of each file of tables by its name; see :func:`draw`."""
    shown = make_tables(results)
    parts = {
        "table": shown,
        "selection": selection.tables(results),
        "literature": literature.beside(results, shown),
    }
    every = [table for part in parts.values() for table in part]
    texts = {"table.md": rendering.markdown(every), "table.tex": latex(every)}
    return texts | {f"{name}.csv": rendering.csv_text(part) for name, part in parts.items() if part}


def _nothing(every: list[TaskResults]) -> str:
    statuses = [str(status) for results in every for status in results.cells["status"]]
    failed, done = statuses.count(FAILED), statuses.count(DONE)
    unfinished = len(statuses) - failed - done
    counts = [
        f"{number} {what}"
        for number, what in [(failed, "failed"), (unfinished, "unfinished"), (done, "not scored")]
        if number
    ]
    folders = ", ".join(str(results.task.folder) for results in every)
    return f"There is no finished and scored run to draw in {folders}: {', '.join(counts)}."
