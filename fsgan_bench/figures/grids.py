"""Grids of images of the same noise: all methods, and one method along the iterations."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.figures import canvas, legends, palette
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import QUALITY, Scale, formula, metric_scales

STRIP_ROWS, STRIP_COLUMNS = 2, 8

COLUMNS = 10
"""Noise vectors shown."""

MOST_SNAPSHOTS = 8
"""Rows of a grid along iterations."""

_TILE = 112
_GAP = 5
_LABEL = 204
_MARGIN = 16
_HEAD = 56
_ROOM = 16
_NOTES_GAP = 10
_STEP = 27
_LABEL_CHARACTERS = 17


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of a grid: images [n <= COLUMNS, R, R, 3] and what stands beside them.

    ``apart`` leaves room beneath it.
    """

    images: Images
    label: str
    details: tuple[str, ...] = ()
    colour: str = "white"
    apart: bool = False


def read_strip(path: Path, resolution: int) -> Images:
    """The 16 tiles of an image strip (2 rows of 8, no padding) as images [16, R, R, 3].

    Raises UserError for a file that is no image or not ``8 R`` x ``2 R`` pixels large.
    """
    height, width = STRIP_ROWS * resolution, STRIP_COLUMNS * resolution
    try:
        with Image.open(path, formats=("PNG",)) as file:
            if file.size != (width, height):
                raise UserError(
                    f"The image strip {path} is {file.width} x {file.height} pixels large; "
                    f"{STRIP_COLUMNS} x {STRIP_ROWS} tiles of {resolution} pixels make {width} x "
                    f"{height}."
                )
            pixels = np.asarray(file.convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # damaged bytes make decoders raise almost anything
        reason = getattr(error, "strerror", None) or "it is damaged or no PNG"
        raise UserError(f"The image strip {path} cannot be read: {reason}.") from None
    tiles = pixels.reshape(STRIP_ROWS, resolution, STRIP_COLUMNS, resolution, 3)
    images: Images = tiles.swapaxes(1, 2).reshape(-1, resolution, resolution, 3)
    return images


def same_noise_grid(results: TaskResults) -> Figure | None:
    """The last snapshot of each variant for the same noise vectors, a row a variant.

    Above them the source, the ideal where it is known, and, apart, the few-shot images. A variant
    with several seeds is shown with its lowest one. None if no variant has stored images; of a task
    without cells it is the references alone.
    """
    variants = curves.variants(results)
    methods = [row for variant in variants for row in _snapshot_rows(results, variant, 1)]
    if not methods and not results.cells.empty:
        return None
    notes = ["Each column below the few-shot images is one noise vector."]
    if any(len(variant.seeds) > 1 for variant in variants):
        seeds = sorted({str(variant.seeds[0]) for variant in variants})
        notes.append(f"Images and scores of seed {', '.join(seeds)}.")
    notes = legends.notes(results, variants, notes)
    rows = [*_few_shot_row(results), *_reference_rows(results, ("source", "ideal")), *methods]
    title = f"{results.task.title}: last snapshots" if methods else results.task.title
    return _compose(results, title, rows, notes)


def snapshot_grid(results: TaskResults, variant: Variant) -> Figure | None:
    """One variant along the iterations, a row a snapshot, with the source above.

    At most ``MOST_SNAPSHOTS`` rows, evenly chosen among the snapshots, with the first and the last.
    None if it has stored no images.
    """
    rows = _snapshot_rows(results, variant, MOST_SNAPSHOTS)
    if not rows:
        return None
    seed = f", seed {variant.seeds[0]}" if len(variant.seeds) > 1 else ""
    title = f"{variant.label}{seed}: {results.task.title}"
    return _compose(results, title, [*_reference_rows(results, ("source",)), *rows], [])


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` indices out of ``count``, evenly spaced, the last among them.

    The first is too, unless only one may be chosen.
    """
    if most < 2:
        return [count - 1][:count]
    return sorted({round(float(i)) for i in np.linspace(0, count - 1, min(most, count))})


def _few_shot_row(results: TaskResults) -> list[_Row]:
    path = results.files.few_shot
    if not path.exists():
        return []
    shots = results.task.shots
    images = read_strip(path, results.task.resolution)[: min(shots, COLUMNS)]
    shown = f"{len(images)} of {shots}" if shots > len(images) else f"all {shots}"
    details = (shown, "not noise-aligned")
    return [_Row(images, "few-shot images", details, apart=True)]


def _reference_rows(results: TaskResults, names: Sequence[str]) -> list[_Row]:
    rows = []
    for name in names:
        path = results.files.strip(name)
        if path.exists():
            images = read_strip(path, results.task.resolution)[:COLUMNS]
            known = [(scale, curves.reference(results, name, scale)) for scale in _shown(results)]
            details = tuple(_detail(scale, score[0]) for scale, score in known if score is not None)
            colour = palette.REFERENCES[name].colour
            rows.append(_Row(images, REFERENCE_TITLES[name], details, colour))
    return rows


def _snapshot_rows(results: TaskResults, variant: Variant, most: int) -> list[_Row]:
    """Rows of the variant's lowest seed; labelled with the iteration unless it is only one."""
    seed = variant.seeds[0]
    cells = results.cells
    chosen = cells[(cells["variant"] == variant.key) & (cells["seed"] == seed)]
    strips = list(CellFiles(Path(str(chosen["folder"].iloc[0]))).grids().items())
    converged = curves.has_converged(results, variant, metric_scales(results, QUALITY))
    look = palette.variant_looks(results, [variant])[variant.key]
    rows = []
    for index in evenly(len(strips), most):
        iteration, strip = strips[index]
        last = f"{variant.label}{footnotes.MARKS[converged]}"
        rows.append(
            _Row(
                read_strip(strip, results.task.resolution)[:COLUMNS],
                last if most == 1 else f"iteration {iteration:,}",
                _details_at(results, variant, seed, iteration)
                + (() if variant.aligned else ("not noise-aligned",)),
                look.colour,
            )
        )
    return rows


def _shown(results: TaskResults) -> list[Scale]:
    """The scales whose scores stand beside images: one of quality and one of diversity."""
    metrics = (QUALITY, results.task.diversity)
    return [scale for metric in metrics for scale in metric_scales(results, metric)[:1]]


def _details_at(
    results: TaskResults, variant: Variant, seed: int, iteration: int
) -> tuple[str, ...]:
    details = []
    for scale in _shown(results):
        curve = curves.seed_curves(results, variant, scale).get(seed)
        if curve is not None and iteration in curve.iterations:
            place = int(np.flatnonzero(curve.iterations == iteration)[0])
            details.append(_detail(scale, float(curve.values[place])))
    return tuple(details)


def _detail(scale: Scale, value: float) -> str:
    """A score beside an image, with the metric's short name as mathtext."""
    name = formula(scale.about.short).replace("$p_t$", r"$\mathrm{p_t}$")
    return f"{name}  {value:.2f}"


def _compose(results: TaskResults, title: str, rows: list[_Row], notes: list[str]) -> Figure:
    """Rows of images with their labels, to the pixel; notes and the artwork's credit below."""
    left = _MARGIN + _LABEL
    width = left + COLUMNS * (_TILE + _GAP) - _GAP + _MARGIN
    notes = [*notes, results.task.attribution] if results.task.attribution else notes
    lines = canvas.wrap(notes, (width - 2 * _MARGIN) / canvas.DPI)
    notes_height = round(canvas.notes_height(lines) * canvas.DPI)
    tops = [0]
    for row in rows:
        tops.append(tops[-1] + _TILE + _GAP + (_ROOM if row.apart else 0))
    height = _HEAD + tops[-1] + (_NOTES_GAP + notes_height if lines else 0) + _MARGIN
    figure = canvas.new_figure(width / canvas.DPI, height / canvas.DPI)
    figure.text(_MARGIN / width, 1 - 14 / height, title, va="top", fontsize=canvas.NORMAL + 1)
    sheet = np.full((tops[-1], width, 3), 255, dtype=np.uint8)
    for row, top in zip(rows, tops[:-1], strict=True):
        _paint(sheet[top : top + _TILE], row)
        _write_label(figure, row, height - _HEAD - top - _TILE / 2)
    figure.figimage(sheet, yo=height - _HEAD - tops[-1], origin="upper")
    notes_top = (_MARGIN + notes_height) / canvas.DPI
    canvas.write_notes(figure, lines, _MARGIN / canvas.DPI, notes_top)
    return figure


def _paint(strip: NDArray[np.uint8], row: _Row) -> None:
    """A bar in the row's colour and its images, each resampled to the size of a tile."""
    left = _MARGIN + _LABEL
    strip[:, left - 14 : left - 8] = np.rint(255 * np.array(to_rgb(row.colour))).astype(np.uint8)
    for number, image in enumerate(row.images):
        tile = Image.fromarray(image).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        start = left + number * (_TILE + _GAP)
        strip[:, start : start + _TILE] = np.asarray(tile)


def _write_label(figure: Figure, row: _Row, middle: float) -> None:
    """The row's label and details, centred ``middle`` pixels above the figure's lower edge."""
    width, height = (float(side) * canvas.DPI for side in figure.get_size_inches())
    labels = textwrap.wrap(row.label, _LABEL_CHARACTERS)
    first = middle + _STEP * (len(labels) + len(row.details) - 1) / 2
    for number, line in enumerate([*labels, *row.details]):
        figure.text(
            (_MARGIN + _LABEL - 24) / width,
            (first - number * _STEP) / height,
            line,
            ha="right",
            va="center",
            fontsize=canvas.SMALL,
            color=canvas.INK if number < len(labels) else canvas.FAINT,
            parse_math=number >= len(labels),
        )
