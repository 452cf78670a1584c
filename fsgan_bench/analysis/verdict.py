"""The verdict as Markdown and on a console."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsgan_bench.analysis import claims, findings
from fsgan_bench.analysis.claims import Verdict
from fsgan_bench.analysis.comparison import FRACTION, LEVEL, Comparison, MethodSummary, comparisons
from fsgan_bench.analysis.document import to_json
from fsgan_bench.analysis.estimates import Estimate
from fsgan_bench.analysis.matching import NARROWEST
from fsgan_bench.errors import UserError
from fsgan_bench.results import convergence
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.resampling import REPLICATES
from fsgan_bench.system.files import write_json, write_text
from fsgan_bench.system.text_tables import escape_markdown, markdown_table, terminal_table

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "-"
_PERCENT = f"{100 * FRACTION:.0f} %"


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and a table if ``rows`` are there; the first row is its head."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def verdict(tasks: Sequence[TaskResults], margin: float = findings.MARGIN) -> Verdict:
    """Judge the observations by these tasks.

    Raises:
        UserError: no task has a finished run with both scores.
    """
    compared, notes = comparisons(tasks)
    if not compared:
        raise UserError(f"There is nothing to judge. {' '.join(notes)}")
    return Verdict(
        claims.observations(compared, margin),
        tuple(compared),
        margin,
        (*notes, *_caveats(compared)),
    )


def write_verdict(result: Verdict, out: Path | None = None) -> list[Path]:
    """Write ``verdict.md`` and ``verdict.json`` beside the figures, or into ``out``.

    Of several tasks they go into ``figures`` in the folder that these have in common.

    Raises:
        UserError: that is above the roots of their results.
    """
    folders = list(dict.fromkeys(each.results.folder for each in result.comparisons))
    common = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    roots = {folder.resolve().parents[1] for folder in folders}
    if out is None and not roots <= {common, *common.parents}:
        raise UserError("The runs are of several results roots; name a folder with --out.")
    here = Path.cwd()
    folder = out or (common.relative_to(here) if here in common.parents else common) / "figures"
    paths = [folder / "verdict.md", folder / "verdict.json"]
    write_text(paths[0], verdict_page(result))
    write_json(paths[1], to_json(result))
    return paths


def sections(result: Verdict) -> list[Section]:
    """What there is to say, in order."""
    page = []
    for observation in result.observations:
        rows = [("claim", "where", "verdict", "why")]
        for claim in observation.claims:
            for number, finding in enumerate(claim.findings):
                statement = claim.statement if number == 0 else ""
                rows.append((statement, finding.where, finding.answer, finding.why))
        heading = f"{observation.name}: {observation.answer}"
        page.append(Section(heading, (observation.statement,), tuple(rows)))
    for each in result.comparisons:
        page += [_methods(each), *_levels(each)]
    return [*page, Section("How this was judged", (*_rules(result), *result.notes))]


def verdict_page(result: Verdict) -> str:
    """The report as a page of Markdown."""
    lines = ["# Verdict", ""]
    for section in sections(result):
        lines += [f"## {section.heading}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        if section.rows:
            head, *body = section.rows
            cells = [[_markdown_cell(cell) for cell in row] for row in body]
            lines += [*markdown_table(head, cells, [False for _ in head]), ""]
    return "\n".join(lines)


def show(result: Verdict, console: Console) -> None:
    """Print the report."""
    from rich.text import Text

    for section in sections(result):
        console.print(Text(section.heading, style="bold"))
        for paragraph in section.paragraphs:
            console.print(Text(paragraph, style="dim"))
        if section.rows:
            head, *body = section.rows
            table = terminal_table(head, [False for _ in head])
            for row in body:
                table.add_row(*(Text(cell.strip("*"), _style(cell)) for cell in row))
            console.print(table)


def _methods(each: Comparison) -> Section:
    best = each.best({m.label: m.matched for m in each.methods})
    head = (
        "method",
        "converged",
        "seeds",
        "final p_t",
        f"iterations to {_PERCENT}",
        f"diversity at {_PERCENT}",
        "lost on average",
        "at matched p_t",
    )
    rows = [
        (
            method.label,
            method.converged,
            str(method.seeds),
            _shown(method, method.final),
            _shown(method, method.reached, 0) + _still_changes(method),
            _diversity(each, method, method.when_reached) + _still_changes(method),
            _shown(method, method.lost),
            _bold(_diversity(each, method, method.matched), method.label in best),
        )
        for method in each.methods
    ]
    return Section(f"{each.title}: the methods", _meaning(each), (head, *rows))


def _meaning(each: Comparison) -> tuple[str, ...]:
    sentences = [
        f"p_t is {each.quality.name()}. Diversity is {each.diversity.name()} relative to the "
        f"source generator's {each.source:.3f}; 'lost on average' is the part lost, averaged over "
        f"the doublings of 1 + iterations up to {each.until:,.0f}."
    ]
    if any(_still_changes(method) for method in each.methods):
        sentences.append(
            f"† {_PERCENT} of a realisticness that still changes: where a run ends early, or ends "
            "lower than it was, it is reached early."
        )
    if each.common:
        low, high = each.common
        sentences.append(
            f"Matched p_t: the mean over {low:.2f} to {high:.2f}, which every run passes through; "
            "more than real images have counts as theirs."
        )
    if each.real:
        sentences.append(f"Real target images have {each.real[0]:.3f}; § is above, an artefact.")
    if each.ideal is not None:
        sentences.append(
            f"The ideal adaptation of all the source's images has {each.ideal:.3f}; at a low p_t "
            "images are still the source's in part, and may have more."
        )
    return (" ".join(sentences),)


def _levels(each: Comparison) -> list[Section]:
    levels = list(each.methods[0].at) if each.methods else []
    if not levels:
        return []
    rows: list[tuple[str, ...]] = [("method", *(f"p_t {level:g}" for level in levels))]
    best = {level: each.best({m.label: m.at[level] for m in each.methods}) for level in levels}
    for method in each.methods:
        cells = (
            _bold(_diversity(each, method, method.at[level]), method.label in best[level])
            for level in levels
        )
        rows.append((method.label, *cells))
    return [Section(f"{each.title}: diversity where p_t is first reached", (), tuple(rows))]


def _rules(result: Verdict) -> tuple[str, ...]:
    margin, alpha = result.margin, findings.ALPHA
    return (
        f"Two methods are equivalent if two one-sided tests (TOST) at {alpha:g} put their "
        f"difference within ±{margin:g}; they differ if it is shown to be larger, at {alpha:g} "
        "over all pairs (Holm). A claim about all methods is supported if all pairs are "
        "equivalent; a claim that methods differ if some pair differs; each is not supported if "
        "the other is. At the same p_t a pair is compared over all that the runs of both pass "
        f"through, if that is at least {NARROWEST:g} of p_t.",
        "± and intervals: standard errors from the seeds and from a bootstrap over the probe "
        f"batch, paired as all methods see the same latents ({REPLICATES:,} replicates), together; "
        f"Student's t, {100 * LEVEL:.0f} %. Fewer than {findings.MINIMUM_SEEDS} seeds decide "
        "nothing.",
        "Orders, by permutation: Kendall's W, and Kendall's tau within the tasks, of what one seed "
        "loses and what the other seeds have on average, as both numbers of one training share its "
        "luck; its p is two-sided, and given as well without the method that it hangs on most.",
        "Bold: most diverse, or not shown to be less; what lies above real images is no candidate. "
        "An observation is supported if all its claims are, and not if one is not, on any task.",
        convergence.PLATEAU_TEST,
    )


def _caveats(compared: Sequence[Comparison]) -> list[str]:
    methods: list[MethodSummary] = [method for each in compared for method in each.methods]
    notes = []
    if not all(method.resampled for method in methods):
        notes.append(
            "Some snapshots have no per-image values (probe/*.npz), so uncertainty is the seeds' "
            "spread alone; with one seed that of p_t is its standard error, that of diversity "
            "unknown."
        )
    if any(method.seeds == 1 for method in methods):
        notes.append("With one seed, ± covers the choice of the latents, not how trainings differ.")
    return notes


def _shown(method: MethodSummary, estimate: Estimate, decimals: int = 3) -> str:
    spread = estimate.spread
    if not math.isfinite(spread.value):
        return _NONE
    error = f" ± {spread.stderr:,.{decimals}f}" if math.isfinite(spread.stderr) else ""
    some = f" ({estimate.seeds} of {method.seeds} seeds)" if estimate.seeds < method.seeds else ""
    return f"{spread.value:,.{decimals}f}{error}{some}"


def _diversity(each: Comparison, method: MethodSummary, estimate: Estimate) -> str:
    return _shown(method, estimate) + (" §" if each.above_real(estimate) else "")


def _still_changes(method: MethodSummary) -> str:
    return " †" if method.converged != "yes" and math.isfinite(method.reached.value) else ""


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text


def _style(cell: str) -> str:
    colours = {"supported": "green", "not supported": "red", "undecided": "yellow"}
    return "bold" if cell.startswith("**") else colours.get(cell, "")


def _markdown_cell(text: str) -> str:
    return _bold(escape_markdown(text.strip("*")), text.startswith("**"))
