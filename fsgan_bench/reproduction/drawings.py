"""What ``fsgan-bench reproduce`` draws beside ``draw``, from the run directories alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fsgan_bench.figures import canvas, classifier_ablation, data_size
from fsgan_bench.results.reader import load
from fsgan_bench.system.files import write_text
from fsgan_bench.tables import rendering
from fsgan_bench.tables.latex import latex
from fsgan_bench.tables.model import Table


def draw_classifiers(cells: Sequence[Path], titles: Mapping[str, str]) -> list[Path]:
    """Draw the classifier ablation of these cells of one task; the files written.

    ``titles`` are those of the classifiers by key, the suite's own first.
    """
    (results,) = load(cells)
    ablation = classifier_ablation.read_ablation(results, titles)
    with canvas.style():
        figure = classifier_ablation.figure(ablation)
        table = classifier_ablation.table(ablation)
        return _write(results.files.figures, "classifier_ablation", figure, table)


def draw_sizes(cells: Sequence[Path], folder: Path) -> list[Path]:
    """Draw quality and diversity by number of target images; the files written into ``folder``."""
    tasks = sorted(load(cells), key=lambda results: results.task.shots)
    with canvas.style():
        figure, table = data_size.figure(tasks), data_size.table(tasks)
        return _write(folder, "data_size", figure, table)


def _write(folder: Path, name: str, figure: Figure, table: Table) -> list[Path]:
    written = canvas.save_figure(figure, folder, name)
    texts = {
        "md": rendering.markdown_text([table]),
        "tex": latex([table]),
        "csv": rendering.csv_text([table]),
    }
    for suffix, text in texts.items():
        write_text(folder / f"{name}.{suffix}", text)
        written.append(folder / f"{name}.{suffix}")
    return written
