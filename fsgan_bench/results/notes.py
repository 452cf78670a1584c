"""What stands below figures and tables: marks, spreads, and what was left out."""

from __future__ import annotations

from pathlib import Path

from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.results.records import ImportRecord

_LONGEST_REASON = 90

MARKS: dict[Convergence, str] = {"yes": "", "no": " †", "unknown": " ‡", "unmeasured": ""}
"""What follows a method's name in legends and tables."""


def mark_notes(converged: dict[str, Convergence]) -> list[str]:
    """Footnotes for the marks that occur."""
    notes = {
        "no": "† not converged: p_t had not settled over the last third of the iterations, or had "
        "not risen.",
        "unknown": "‡ too few snapshots or images to tell whether p_t has converged.",
    }
    return [note for answer, note in notes.items() if answer in converged.values()]


def third_parties(results: TaskResults) -> list[str]:
    """A footnote that names the methods of others and who brings them, if there are any."""
    cells = results.cells
    others = cells[cells["origin"] != ""][["title", "origin"]].drop_duplicates()
    named = [f"{title} ({origin})" for title, origin in others.itertuples(index=False)]
    return [f"Third party: {', '.join(named)}."] if named else []


def elsewhere(results: TaskResults) -> list[str]:
    """A footnote on what was not trained here, and what is not known of it, if there is any."""
    named: list[str] = []
    for cell in results.cells.itertuples(index=False):
        record = cell.imported
        if isinstance(record, ImportRecord) and cell.status == DONE:
            what = "image" if record.kind == "images" else "checkpoint"
            plural = "" if record.count == 1 else "s"
            unpaired = "" if record.paired else ", not known to be paired with the source"
            named.append(f"{cell.title} ({record.count:,} {what}{plural}{unpaired})")
    return [f"Trained elsewhere and scored here: {'; '.join(named)}."] if named else []


def omissions(results: TaskResults) -> list[str]:
    """A sentence for everything that is in the run directory but could not be drawn."""
    scored = set(zip(results.scores["variant"], results.scores["seed"], strict=True))
    groups: dict[tuple[str, str], list[str]] = {}
    totals = results.cells.groupby("label").size()
    for cell in results.cells.itertuples(index=False):
        if cell.status != DONE:
            reason = _shorten(str(cell.reason))
            status = str(cell.status).lower()
            what = f"{status}: {reason}" if reason else status
        elif (cell.variant, cell.seed) not in scored:
            what = "not scored"
        else:
            continue
        groups.setdefault((str(cell.label), what), []).append(str(cell.seed))
    notes: list[str] = []
    for (label, what), seeds in groups.items():
        plural = "s" if len(seeds) > 1 else ""
        which = f" (seed{plural} {', '.join(seeds)})" if int(totals[label]) > 1 else ""
        notes.append(f"{label}{which} {what}")
    return notes


def spread_note(results: TaskResults, drawn: list[Variant], what: str) -> str:
    """What a score and its spread, called ``what``, mean for these variants."""
    counts = sorted({len(variant.seeds) for variant in drawn})
    if counts == [1]:
        stored = all(CellFiles(Path(folder)).has_probe for folder in results.cells["folder"])
        how = ", by bootstrap over the probe batch where each image has a value" if stored else ""
        return f"{what}: standard error of the one seed{how}."
    number = str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    single = "; of a single seed the standard error" if 1 in counts else ""
    return f"Means over {number} seeds. {what}: standard deviation over seeds{single}."


def _shorten(reason: str) -> str:
    line = next(iter(reason.splitlines()), "").rstrip(". ")
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1].rstrip() + "…"
