"""Figures and tables of finished runs, drawn from the run directory alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from fsgan_bench.errors import UserError
from fsgan_bench.figures import canvas, curves, grids, rendering, trajectories
from fsgan_bench.figures.results import DONE, FAILED, Paths, TaskResults, load
from fsgan_bench.figures.tables import tables as make_tables
from fsgan_bench.store import write_atomic

__all__ = ["draw", "load"]


def draw(task_folders: Paths, out: Path | None = None) -> list[Path]:
    """Draw every figure and table of the tasks under these folders; the files written.

    Of a task without runs these are the same-noise grid and the tables, of the references alone.

    ``task_folders`` is one path or several, each a task folder or any folder above or below one
    (see :func:`load`). The files go into each task's ``figures`` folder, or into ``out``: directly
    if there is one task, else into ``out/<suite>/<target>-<k>shot``. Figures are written as PNG and
    PDF: ``realisticness``, ``intra_lpips``, ``trajectories``, ``quality_diversity``,
    ``same_noise_grid`` and ``grid_<method>``, as far as the scores and images for them are there;
    tables as ``table.md`` and ``table.csv``. Methods that failed or are unfinished are left out
    and named in a footnote. Raises UserError if there is no finished and scored run.
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
        written += _draw_task(results, folder)
    return written


def _draw_task(results: TaskResults, folder: Path) -> list[Path]:
    figures: dict[str, Figure] = {}
    variants = curves.variants(results)
    quality = curves.scales(results, "realisticness")
    diversity = curves.scales(results, results.task.diversity)
    pairs = curves.pairs(results, quality, diversity)
    with canvas.style():
        for name, scales in [
            ("realisticness", quality),
            ("intra_lpips", diversity),
            ("trajectories", [*quality, *diversity]),
            *((scale.metric, [scale]) for scale in curves.distances(results)),
        ]:
            if scales and variants:
                figures[name] = trajectories.along_iterations(results, scales)
        if pairs and variants:
            figures["quality_diversity"] = trajectories.quality_against_diversity(results, pairs)
        grid = grids.same_noise_grid(results)
        if grid is not None:
            figures["same_noise_grid"] = grid
        for variant in variants:
            alone = sum(other.method == variant.method for other in variants) == 1
            grid = grids.snapshot_grid(results, variant)
            if grid is not None:
                figures[f"grid_{variant.method if alone else variant.key}"] = grid
        shown = make_tables(results)
        # Nothing is written before everything has been read and drawn.
        saved = [canvas.save(figure, folder, name) for name, figure in figures.items()]
    written = [path for paths in saved for path in paths]
    for name, text in [
        ("table.md", rendering.markdown(shown)),
        ("table.csv", rendering.csv_text(shown)),
    ]:
        write_atomic(folder / name, partial(_write, text))
        written.append(folder / name)
    return written


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


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
