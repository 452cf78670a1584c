"""Pages: style, layout in inches, and files that are the same bytes whenever they are drawn."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image

from fsgan_bench.system.files import write_atomic

DPI = 200
WIDTH = 7.0
"""Inches: the text width of a two-column page, so that sizes here are sizes in print."""

SMALL = 7.0
NORMAL = 8.0
INK = "#222222"
FAINT = "#555555"

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#777777",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelpad": 3.0,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlepad": 5.0,
    "axes.titlesize": NORMAL,
    "figure.dpi": DPI,
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.1,
    "legend.columnspacing": 1.2,
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.7,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.3,
    "path.simplify": False,
    "pdf.fonttype": 42,
    "savefig.dpi": DPI,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": FAINT,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": FAINT,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}

_MARGIN = 0.08
_LINE = 0.135
_CHARACTER = 0.0515
_BLOCK_GAP = 0.09
_LEGEND_GAP = 0.06
_ROW_GAP = 0.62


@contextmanager
def style() -> Iterator[None]:
    """The project's matplotlib settings, whatever the user's are; restored afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name``.png and ``name``.pdf; the same figure gives the same bytes."""
    metadata = {"CreationDate": None, "Creator": None, "Producer": None}
    writers = {
        "png": partial(_save_png, figure),
        "pdf": partial(figure.savefig, format="pdf", dpi=DPI, metadata=metadata),
    }
    written = []
    for suffix, write in writers.items():
        path = folder / f"{name}.{suffix}"
        write_atomic(path, write)
        written.append(path)
    return written


def _save_png(figure: Figure, path: Path) -> None:
    """Opaque: a tenth smaller than matplotlib's own. Packing tighter takes four times as long."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, pil_kwargs={"compress_level": 0})
    opaque = Image.open(drawn).convert("RGB")
    opaque.save(path, format="PNG", dpi=(DPI, DPI))


def wrap(notes: Sequence[str], width: float) -> list[str]:
    """Footnotes as lines of small print that fit into ``width`` inches."""
    columns = max(20, int(width / _CHARACTER))
    return [line for note in notes for line in textwrap.wrap(note, columns)]


def write_notes(figure: Figure, lines: Sequence[str], left: float, top: float) -> None:
    """Lines of small print, from ``top`` inches above the figure's lower edge downwards."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        figure.text(
            left / width,
            (top - number * _LINE) / height,
            line,
            fontsize=SMALL,
            color=FAINT,
            va="top",
        )


def notes_height(lines: Sequence[str]) -> float:
    """Inches that :func:`write_notes` takes."""
    return len(lines) * _LINE


def chart(
    title: str,
    legends: Sequence[Sequence[Artist]],
    notes: Sequence[str],
    panels: int,
    panel_height: float,
    width: float = WIDTH,
    left: float = 0.48,
    gap: float = 0.92,
    right: float = 0.46,
    columns: int | None = None,
    head: float = 0.3,
) -> tuple[Figure, list[Axes]]:
    """Panels with a title above, legends beneath each other and footnotes below.

    Sizes in inches: ``left`` and ``right`` are the margins beside the panels, ``gap`` what lies
    between two, ``head`` what is above. The panels are in one row, or in rows of ``columns``. The
    figure is as tall as its contents need, and wider for more than two panels in a row.
    """
    columns = min(panels, columns or panels)
    rows = -(-panels // columns)
    width += max(0, columns - 2) * (gap + (width - left - right - gap) / 2)
    lines = wrap(notes, width - 2 * _MARGIN)
    figure = new_figure(width, 4.0)
    fitted = [_fitting_legend(figure, handles, width - 2 * _MARGIN) for handles in legends]
    heights = [legend.get_window_extent().height / DPI for legend in fitted]
    tops = [_MARGIN + notes_height(lines) + _BLOCK_GAP]
    for height in reversed(heights):
        tops.append(tops[-1] + height + _LEGEND_GAP)
    below = tops[-1] + 0.4
    row_height = panel_height + _ROW_GAP
    height = below + rows * row_height - _ROW_GAP + head
    figure.set_size_inches(width, height)
    write_notes(figure, lines, _MARGIN, _MARGIN + notes_height(lines))
    for legend, top in zip(fitted, reversed(tops[1:]), strict=True):
        place = (0.5, (top - _LEGEND_GAP) / height)
        legend.set_bbox_to_anchor(place, transform=figure.transFigure)
    figure.text(_MARGIN / width, 1 - 0.06 / height, title, va="top", fontsize=NORMAL + 1)
    panel_width = (width - left - right - (columns - 1) * gap) / columns
    axes = [
        figure.add_axes(
            (
                (left + number % columns * (panel_width + gap)) / width,
                (below + (rows - 1 - number // columns) * row_height) / height,
                panel_width / width,
                panel_height / height,
            )
        )
        for number in range(panels)
    ]
    return figure, axes


def _fitting_legend(figure: Figure, handles: Sequence[Artist], width: float) -> Legend:
    """A centred legend in as few rows as fit, filled as evenly as possible."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        legend = figure.legend(
            handles=list(handles), ncols=columns, loc="upper center", bbox_to_anchor=(0.5, 1.0)
        )
        if legend.get_window_extent().width <= width * DPI or columns == 1:
            return legend
        legend.remove()
    raise ValueError("a legend needs at least one entry")
