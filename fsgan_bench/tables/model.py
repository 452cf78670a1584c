"""What tables are made of: numbers with their uncertainty, and which of them are the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Curve, Floats, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales

NONE = "-"
_ABOVE_REAL = " §"

Picks: TypeAlias = Mapping[int, int]
"""The iteration of one snapshot of each seed."""


@dataclass(frozen=True)
class Column:
    """A column: its name in the CSV file, its heading, a shorter one, and which end is better.

    Its entries are numbers, or ``words``; ``scored`` are scores with their uncertainty, and
    ``printed_in`` is where they are from if they are not ours.
    """

    key: str
    heading: str
    short: str
    higher_is_better: bool | None = None
    decimals: int = 3
    words: bool = False
    scored: bool = False
    printed_in: str = ""


@dataclass(frozen=True)
class TableEntry:
    """A number with its spread (NaN: unknown), or a text to show in its place.

    ``stderr`` is the standard error by which ties are told, or ``draws`` [B], the value in
    resampled probe batches, where two entries have them; ``seed_error`` is the seeds' part then.
    ``note`` is a mark that follows. An entry that is not ``eligible`` is no candidate for the
    column's best.
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

    @property
    def is_number(self) -> bool:
        """Whether the number is shown."""
        return not self.text and math.isfinite(self.value)

    def show(self, decimals: int) -> str:
        """As in a table, e.g. ``0.912 ± 0.008``."""
        shown = f"{self.value:,.{decimals}f}" if self.is_number else self.text or NONE
        if self.is_number and math.isfinite(self.spread):
            shown += f" ± {self.spread:,.{decimals}f}"
        return f"{shown}{self.note}"


@dataclass(frozen=True)
class Row:
    """Entries by column key: a method's, a reference line's, or a method's from the literature.

    ``mark`` follows the label where tables are shown. ``seeds`` is 0 unless it is a method of ours.
    """

    name: str
    label: str
    mark: str
    seeds: int
    entries: dict[str, TableEntry]
    kind: Literal["method", "reference", "literature"] = "method"


@dataclass(frozen=True)
class Table:
    """A table; ``name`` tells it from all others of a results root, ``head`` is over the labels.

    Under it stand the ``legend``, what ± and marks mean, and further ``remarks``.
    """

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    legend: list[str]
    remarks: list[str]
    head: str = "method"

    @property
    def notes(self) -> list[str]:
        """All footnotes."""
        return [*self.legend, *self.remarks]

    def labels(self) -> list[str]:
        """The rows' labels; of several rows of one method only the first has one."""
        before = [None, *((row.label, row.kind) for row in self.rows)]
        return [
            "" if (row.label, row.kind) == other else row.label
            for row, other in zip(self.rows, before, strict=False)
        ]


def table_name(results: TaskResults, quality: Scale | None) -> str:
    """A name for a task's table on this scale, e.g. ``avatars-sketches-10shot``."""
    task = results.task
    name = f"{task.suite}-{task.target}-{task.shots}shot"
    several = len(metric_scales(results, QUALITY)) > 1
    return f"{name}-{quality.key}" if quality and several else name


def variants_on(results: TaskResults, quality: Scale | None) -> list[Variant]:
    """The variants that were scored on this scale, or all without one, in order."""
    return [
        variant
        for variant in curves.variants(results)
        if quality is None or curves.seed_curves(results, variant, quality)
    ]


def score_at(picks: Picks, by_seed: Mapping[int, Curve], seeds: int) -> TableEntry:
    """A score at one snapshot of each seed: the mean over the seeds that have it.

    Its spread is the sample standard deviation over the seeds, of a single seed the score's own
    standard error. A note says how many they are, if they are not all of the method's ``seeds``.
    """
    picked = [
        (by_seed[seed], _index(by_seed[seed], iteration))
        for seed, iteration in scored(picks, by_seed).items()
    ]
    if not picked:
        return TableEntry()
    values = [float(curve.values[index]) for curve, index in picked]
    if len(picked) == 1:
        [(curve, index)] = picked
        entry = TableEntry(values[0], float(curve.spread[index]), float(curve.stderr[index]))
    else:
        spread = float(np.std(values, ddof=1))
        error = spread / math.sqrt(len(values))
        entry = TableEntry(float(np.mean(values)), spread, error, seed_error=error)
    if len(picked) < seeds:
        entry = replace(entry, note=f" (seeds: {len(picked)})")
    draws = [curve.draws[:, index] for curve, index in picked if curve.draws is not None]
    return replace(entry, draws=np.mean(draws, axis=0)) if len(draws) == len(picked) else entry


def scored(picks: Picks, by_seed: Mapping[int, Curve]) -> dict[int, int]:
    """Those of ``picks`` at which these curves have a score."""
    return {
        seed: iteration
        for seed, iteration in picks.items()
        if seed in by_seed and iteration in by_seed[seed].iterations
    }


def _index(curve: Curve, iteration: int) -> int:
    return int(np.flatnonzero(curve.iterations == iteration)[0])


def iterations(picks: Picks) -> TableEntry:
    """The mean over the seeds, shown as the range."""
    if not picks:
        return TableEntry()
    first, last = min(picks.values()), max(picks.values())
    shown = f"{first:,}" if first == last else f"{first:,}-{last:,}"
    return TableEntry(float(np.mean(list(picks.values()))), text=shown)


def with_eligibility(
    entry: TableEntry, real: tuple[float, float] | None, converged: Convergence
) -> TableEntry:
    """No candidate for the best diversity: a method that may not have adapted yet, and more than
    real images have."""
    error = math.hypot(*np.nan_to_num([entry.stderr, real[1]])) if real else 0.0
    above = real is not None and entry.value > real[0] + error
    return replace(
        entry,
        eligible=converged in ("yes", "unmeasured") and not above,
        note=entry.note + (_ABOVE_REAL if above else ""),
    )


def mark_best(rows: list[Row], column: Column) -> None:
    """Mark the best method's entry and those that its standard errors do not tell from it."""
    if column.higher_is_better is None:
        return
    candidates = [
        row
        for row in rows
        if row.seeds > 0
        and (entry := row.entries.get(column.key, TableEntry())).eligible
        and math.isfinite(entry.value)
    ]
    if not candidates:
        return
    sign = 1 if column.higher_is_better else -1
    best = max((row.entries[column.key] for row in candidates), key=lambda e: sign * e.value)
    for row in candidates:
        entry = row.entries[column.key]
        if abs(entry.value - best.value) <= _error_of_difference(entry, best):
            row.entries[column.key] = replace(entry, best=True)


def _error_of_difference(one: TableEntry, other: TableEntry) -> float:
    """Of two methods: paired over the probe batch where its images' values are stored."""
    if one.draws is None or other.draws is None:
        return math.hypot(*np.nan_to_num([one.stderr, other.stderr]))
    paired = float(np.nanstd(one.draws - other.draws, ddof=1))
    return math.hypot(paired, *np.nan_to_num([one.seed_error, other.seed_error]))


def score_column(scale: Scale, rows: Iterable[Row]) -> Column:
    """The column of a scale, with so many decimals as its values in these rows need."""
    values = [abs(row.entries[scale.key].value) for row in rows if scale.key in row.entries]
    return Column(
        key=scale.key,
        heading=scale.heading,
        short=scale.short_heading,
        higher_is_better=scale.about.higher_is_better,
        decimals=_decimals(values),
        scored=True,
    )


def _decimals(values: Iterable[float]) -> int:
    """So many decimals that the largest value shows four digits; 3 at most from 0.1 on."""
    largest = max((value for value in values if math.isfinite(value)), default=1.0)
    if not largest > 0:
        return 3
    return min(3 if largest >= 0.1 else 6, max(0, 3 - math.floor(math.log10(largest))))


def legend(
    results: TaskResults,
    variants: list[Variant],
    converged: Mapping[str, Convergence],
    rows: Sequence[Row],
) -> list[str]:
    """Footnotes: what ± and the marks of these rows mean."""
    spread = any(math.isfinite(entry.spread) for row in rows for entry in row.entries.values())
    notes = [footnotes.spread_note(results, variants, "±")] if variants and spread else []
    notes += footnotes.mark_notes(dict(converged))
    if any(_ABOVE_REAL in entry.note for row in rows for entry in row.entries.values()):
        notes.append(
            f"{_ABOVE_REAL.strip()} above the real target images: artefact, not diversity."
        )
    return notes
