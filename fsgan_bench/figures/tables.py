"""The table of final scores: what it says, apart from how it is shown (``rendering``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fsgan_bench.figures import convergence, curves, palette
from fsgan_bench.figures.convergence import Verdict
from fsgan_bench.figures.curves import Curve, Floats, Scale, Variant
from fsgan_bench.figures.results import DONE, TaskResults

FRACTION = 0.9
"""Of the final realisticness: where diversity is compared early."""

NONE = "-"
_ABOVE_REAL = " §"


@dataclass(frozen=True)
class Column:
    """A column: its name in the CSV file, its heading, a shorter one, and which end is better."""

    key: str
    heading: str
    short: str
    higher_is_better: bool | None = None
    decimals: int = 3


@dataclass(frozen=True)
class Entry:
    """A number with its spread (NaN: unknown), or a text to show in its place.

    ``stderr`` is the standard error by which ties are told, or ``draws`` [B], the value in
    resampled probe batches, where two entries have them; ``seed_error`` is the seeds' part then.
    ``note`` follows the number. An entry that is not ``eligible`` is no candidate for the column's
    best.
    """

    value: float = math.nan
    spread: float = math.nan
    stderr: float = math.nan
    draws: Floats | None = None
    seed_error: float = 0.0
    text: str = ""
    note: str = ""
    eligible: bool = True
    best: bool = False

    def show(self, decimals: int) -> str:
        """As in a table, e.g. ``0.912 ± 0.008``."""
        if self.text or not math.isfinite(self.value):
            return self.text or NONE
        number = f"{self.value:,.{decimals}f}"
        if math.isfinite(self.spread):
            number += f" ± {self.spread:,.{decimals}f}"
        return f"{number}{self.note}"


@dataclass(frozen=True)
class Row:
    """A method's or a reference's entries by column key; ``seeds`` is 0 for a reference.

    ``mark`` follows the label where tables are shown.
    """

    name: str
    label: str
    mark: str
    seeds: int
    entries: dict[str, Entry]


@dataclass(frozen=True)
class Table:
    """A table for one scale of realisticness: methods in order, then references, then footnotes."""

    title: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str]


def tables(results: TaskResults) -> list[Table]:
    """The tables of a task: one, or one for each scale of realisticness if there are several."""
    qualities: list[Scale | None] = [*curves.scales(results, "realisticness")]
    return [_table(results, quality) for quality in qualities or [None]]


def _table(results: TaskResults, quality: Scale | None) -> Table:
    variants = [
        variant
        for variant in curves.variants(results)
        if quality is None or curves.seed_curves(results, variant, quality)
    ]
    diversities = curves.scales(results, results.task.diversity)
    distances = curves.distances(results)
    verdicts = {
        variant.key: curves.verdict(results, variant, [quality] if quality else [])
        for variant in variants
    }
    rows = [
        _method_row(results, variant, verdicts[variant.key], quality, diversities, distances)
        for variant in variants
    ]
    if rows:
        diversities, distances = _present(diversities, rows), _present(distances, rows)
    scales = [*([quality] if quality else []), *diversities, *distances]
    rows += _reference_rows(results, scales)
    columns = _columns(quality, diversities, distances, rows)
    columns = [column for column in columns if any(column.key in row.entries for row in rows)]
    for column in columns:
        _mark_best(rows, column)
    return Table(results.task.title, columns, rows, _notes(results, variants, rows, verdicts))


def _present(scales: list[Scale], rows: list[Row]) -> list[Scale]:
    return [s for s in scales if any(math.isfinite(row.entries[s.key].value) for row in rows)]


def _columns(
    quality: Scale | None, diversities: list[Scale], distances: list[Scale], rows: list[Row]
) -> list[Column]:
    columns = []
    if quality:
        name = quality.name()
        columns.append(Column(quality.key, f"{name} ↑", "p_t ↑", True))
    for scale in diversities:
        name = scale.name()
        columns.append(Column(scale.key, f"{name} ↑", "intra-LPIPS ↑", True))
        if quality:
            early = f"intra-LPIPS at {100 * FRACTION:.0f} % of final p_t"
            heading = early if len(diversities) == 1 else name.replace("intra-LPIPS", early)
            early_key = f"{scale.key}_at_90"
            columns.append(Column(early_key, f"{heading} ↑", "at 90 % p_t ↑", True))
            columns.append(Column(f"{early_key}_iteration", "reached at iteration", "reached"))
        columns.append(Column(f"{scale.key}_empty", "empty clusters", "empty"))
    for scale in distances:
        values = [abs(row.entries[scale.key].value) for row in rows if scale.key in row.entries]
        decimals = _decimals(values)
        name = scale.name()
        short = scale.metric.partition("_")[0].upper()
        columns.append(Column(scale.key, f"{name} ↓", f"{short} ↓", False, decimals))
    if quality:
        columns.append(Column("converged", "converged", "converged"))
    columns.append(Column("training_seconds", "training (s)", "seconds", decimals=0))
    return columns


def _method_row(
    results: TaskResults,
    variant: Variant,
    verdict: Verdict,
    quality: Scale | None,
    diversities: list[Scale],
    distances: list[Scale],
) -> Row:
    entries: dict[str, Entry] = {}
    for scale in [*([quality] if quality else []), *distances]:
        by_seed = curves.seed_curves(results, variant, scale)
        entries[scale.key] = _final(curves.mean_curve(by_seed))
    for scale in diversities:
        by_seed = curves.seed_curves(results, variant, scale)
        real = curves.reference(results, "real", scale)
        entries[scale.key] = _judged(_final(curves.mean_curve(by_seed)), real, verdict)
        entries[f"{scale.key}_empty"] = _empty_clusters(results, variant, scale)
        if quality:
            early, reached = _early(curves.seed_curves(results, variant, quality), by_seed)
            entries[f"{scale.key}_at_90"] = _judged(early, real, verdict)
            entries[f"{scale.key}_at_90_iteration"] = reached
    entries["converged"] = Entry(text=verdict)
    cells = results.cells
    finished = cells[(cells["variant"] == variant.key) & (cells["status"] == DONE)]
    seconds = finished["training_seconds"].dropna().tolist()
    entries["training_seconds"] = Entry(float(np.mean(seconds)) if seconds else math.nan)
    mark = curves.MARKS[verdict]
    return Row(variant.method, variant.label, mark, len(variant.seeds), entries)


def _reference_rows(results: TaskResults, scales: list[Scale]) -> list[Row]:
    rows = []
    for name, title in palette.REFERENCE_TITLES.items():
        entries = {
            scale.key: Entry(*found, found[1])
            for scale in scales
            if (found := curves.reference(results, name, scale)) is not None
        }
        if entries:
            rows.append(Row(name, title, "", 0, entries))
    return rows


def _final(curve: Curve | None) -> Entry:
    if curve is None:
        return Entry()
    stderr = float(curve.stderr[-1])
    return Entry(
        value=float(curve.values[-1]),
        spread=float(curve.spread[-1]),
        stderr=stderr,
        draws=None if curve.draws is None else curve.draws[:, -1],
        seed_error=stderr if curve.seeds > 1 else 0.0,
    )


def _early(quality: dict[int, Curve], diversity: dict[int, Curve]) -> tuple[Entry, Entry]:
    """Diversity at each seed's first snapshot with ``FRACTION`` of its final realisticness.

    Beside it the iteration of that snapshot: the mean over the seeds, shown as the range.
    """
    values, errors, iterations = [], [], []
    draws: list[Floats] = []
    for seed, curve in quality.items():
        index = convergence.first_reaching(curve.iterations, curve.values, FRACTION)
        other = diversity.get(seed)
        if index is None or other is None:
            continue
        found = np.flatnonzero(other.iterations == curve.iterations[index])
        if len(found) > 0:
            values.append(float(other.values[found[0]]))
            errors.append(float(other.stderr[found[0]]))
            iterations.append(int(curve.iterations[index]))
            if other.draws is not None:
                draws.append(other.draws[:, found[0]])
    entry = _over_seeds(values)
    if len(values) == 1:
        entry = replace(entry, spread=errors[0], stderr=errors[0], seed_error=0.0)
    if draws and len(draws) == len(values):
        entry = replace(entry, draws=np.mean(draws, axis=0))
    if not iterations:
        return entry, Entry()
    first, last = min(iterations), max(iterations)
    shown = f"{first}" if first == last else f"{first}-{last}"
    return entry, Entry(float(np.mean(iterations)), text=shown)


def _over_seeds(values: list[float]) -> Entry:
    if not values:
        return Entry()
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    stderr = spread / math.sqrt(len(values))
    return Entry(float(np.mean(values)), spread, stderr, seed_error=stderr)


def _judged(entry: Entry, real: tuple[float, float] | None, verdict: Verdict) -> Entry:
    """No candidate for the best diversity: a method underway, and more than real images have."""
    error = math.hypot(*np.nan_to_num([entry.stderr, real[1]])) if real else 0.0
    above = real is not None and entry.value > real[0] + error
    return replace(
        entry,
        eligible=verdict != "no" and not above,
        note=entry.note + (_ABOVE_REAL if above else ""),
    )


def _empty_clusters(results: TaskResults, variant: Variant, scale: Scale) -> Entry:
    """Few-shot images without a generated one near, of the last snapshot; mean over the seeds."""
    parts = curves.seed_scores(results, variant, scale).values()
    last = [part["cluster_sizes"].iloc[-1] for part in parts]
    sizes = [entry for entry in last if isinstance(entry, tuple)]
    if not sizes:
        return Entry()
    empty = float(np.mean([entry.count(0) for entry in sizes]))
    return Entry(value=empty, text=f"{empty:.3g}/{len(sizes[0])}")


def _mark_best(rows: list[Row], column: Column) -> None:
    """Mark the best method's entry and those that its standard errors do not tell from it."""
    if column.higher_is_better is None:
        return
    candidates = [
        row
        for row in rows
        if row.seeds > 0
        and row.entries[column.key].eligible
        and math.isfinite(row.entries[column.key].value)
    ]
    if not candidates:
        return
    sign = 1 if column.higher_is_better else -1
    best = max((row.entries[column.key] for row in candidates), key=lambda e: sign * e.value)
    for row in candidates:
        entry = row.entries[column.key]
        if abs(entry.value - best.value) <= _error_of_difference(entry, best):
            row.entries[column.key] = replace(entry, best=True)


def _error_of_difference(one: Entry, other: Entry) -> float:
    """Of two methods: paired over the probe batch where its images' values are stored."""
    if one.draws is None or other.draws is None:
        return math.hypot(*np.nan_to_num([one.stderr, other.stderr]))
    paired = float(np.nanstd(one.draws - other.draws, ddof=1))
    return math.hypot(paired, *np.nan_to_num([one.seed_error, other.seed_error]))


def _notes(
    results: TaskResults, variants: list[Variant], rows: list[Row], verdicts: dict[str, Verdict]
) -> list[str]:
    notes = [curves.spread_note(results, variants, "±")] if variants else []
    notes += curves.mark_notes(verdicts)
    if any(entry.note for row in rows for entry in row.entries.values()):
        notes.append("§ above the real target images: artefact, not diversity.")
    if variants:
        known = any(entry.draws is not None for row in rows for entry in row.entries.values())
        paired = ", paired over the probe batch" if known else ""
        notes.append(
            "Bold: the best method and those within the standard error of the difference"
            f"{paired}; for intra-LPIPS only among methods without † and values without §."
        )
    if set(verdicts.values()) - {"unmeasured"}:
        notes.append(convergence.PLATEAU_TEST)
    notes += results.task.notes
    return [*notes, *(f"Left out: {sentence}." for sentence in curves.omissions(results))]


def _decimals(values: Iterable[float]) -> int:
    """So many decimals that the largest value shows four digits, 0 to 3."""
    largest = max((value for value in values if math.isfinite(value)), default=1.0)
    return min(3, max(0, 3 - math.floor(math.log10(largest)))) if largest > 0 else 3
