"""What ``fsgan-bench reproduce`` draws beside ``draw``, from the run directories alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fsgan_bench.figures import canvas, classifier_ablation, data_size
from fsgan_bench.results.reader import load
from fsgan_bench.system.files import write_text
from fsgan_bench.tables import rendering
from fsgan_bench.tables.latex import latex
from fsgan_bench.tables.model import Table


def draw_classifiers(cells: Sequence[Path], scores: Path, titles: Mapping[str, str]) -> list[Path]:
    """Draw the classifier ablation of these cells of one task; the files written.

    ``scores`` holds the judgements, with the classifiers' cards beside it; ``titles`` the
    classifiers by key, the suite's own first.
    """
    (results,) = load(cells)
    cards = {
        key: json.loads(file.read_text(encoding="utf-8"))
        for key in titles
        if (file := scores.parent / f"{key}.json").exists()
    }
    found = classifier_ablation.read_judgements(results, scores, titles, cards)
    with canvas.style():
        figure = classifier_ablation.figure(found)
        table = classifier_ablation.table(found)
        return _write(results.task.folder / "figures", "classifier_ablation", figure, table)


def draw_sizes(cells: Sequence[Path], folder: Path) -> list[Path]:
    """Draw quality and diversity by number of target images; the files written into ``folder``."""
    every = sorted(load(cells), key=lambda results: results.task.shots)
    with canvas.style():
        figure, table = data_size.figure(every), data_size.table(every)
        return _write(folder, "data_size", figure, table)


def _write(folder: Path, name: str, figure: Figure, table: Table) -> list[Path]:
    written = canvas.save(figure, folder, name)
    texts = {
        "md": rendering.markdown([table]),
        "tex": latex([table]),
        "csv": rendering.csv_text([table]),
    }
    for suffix, text in texts.items():
        write_text(folder / f"{name}.{suffix}", text)
        written.append(folder / f"{name}.{suffix}")
    return written
