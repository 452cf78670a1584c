"""Everything that ``fsgan-bench reproduce`` draws, from the run directories alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fsgan_bench.figures import ablations, canvas, rendering
from fsgan_bench.figures.results import load
from fsgan_bench.store import write_text


def draw_classifiers(
    task_folder: Path, cells: Sequence[Path], scores: Path, titles: Mapping[str, str]
) -> list[Path]:
    """Figure and table of the classifier ablation of these cells; the files written."""
    (results,) = load(cells)
    cards = {
        key: json.loads(file.read_text(encoding="utf-8"))
        for key in titles
        if (file := scores.parent / f"{key}.json").exists()
    }
    found = ablations.read_judgements(results, scores, titles, cards)
    with canvas.style():
        figure = ablations.classifier_curves(found)
    table = rendering.records_table(
        f"{results.task.title}: classifiers",
        ablations.classifier_table(found),
        ablations.CLASSIFIER_COLUMNS,
        ablations.CLASSIFIER_NOTES,
    )
    return _write(task_folder / "figures", "classifier_ablation", figure, table)


def draw_sizes(cells_by_shots: Mapping[int, Sequence[Path]], folder: Path, name: str) -> list[Path]:
    """Figure and table of quality and diversity by number of target images."""
