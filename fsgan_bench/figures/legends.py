"""Legends and footnotes of the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fsgan_bench.figures import palette
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.convergence import Convergence
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales
from fsgan_bench.training.look import Look

MARKER_SIZE = 3.4
"""Of a snapshot on a line, in points."""


def legends(
    results: TaskResults,
    variants: list[Variant],
    scales: Sequence[Scale],
    points: bool = False,
) -> list[list[Artist]]:
    """The variants, and beneath them what they are compared with, if anything."""
    answers, looks = converged(results, variants), palette.variant_looks(results, variants)
    methods: list[Artist] = [
        named_handle(looks[variant.key], variant.label + footnotes.MARKS[answers[variant.key]])
        for variant in variants
    ]
    compared: list[Artist] = [
        _compared_handle(look, REFERENCE_TITLES[name], points)
        for name, look in palette.REFERENCES.items()
        if any(curves.reference(results, name, scale) is not None for scale in scales)
    ]
    if any(scale.about.capped and curves.reference(results, "real", scale) for scale in scales):
        compared.append(Patch(facecolor=palette.ARTEFACT, label="beyond real images: artefact"))
    return [methods, compared] if compared else [methods]


def method_handles(variants: Sequence[Variant], looks: Mapping[str, Look]) -> list[Artist]:
    """The variants, with their looks by key, without a word on their convergence."""
    return [named_handle(looks[variant.key], variant.label) for variant in variants]


def reference_handles(names: Sequence[str]) -> list[Artist]:
    """These reference lines."""
    return [
        _compared_handle(palette.REFERENCES[name], REFERENCE_TITLES[name], False) for name in names
    ]


def named_handle(look: Look, label: str) -> Line2D:
    """A line of this look with its marker, called ``label``."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=MARKER_SIZE + 1,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=label,
    )


def _compared_handle(look: Look, label: str, point: bool) -> Line2D:
    if point:
        return Line2D(
            [],
            [],
            color=look.colour,
            linestyle="none",
            marker=look.marker,
            markersize=point_size(look),
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=label,
        )
    return Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=1.0, label=label)


def point_size(look: Look) -> float:
    """Marker size of a reference in points; stars look smaller than they are."""
    return 9.0 if look.marker == "*" else 6.0


def converged(results: TaskResults, variants: list[Variant]) -> dict[str, Convergence]:
    """Whether each variant, by its key, has converged."""
    on = metric_scales(results, QUALITY)
    return {variant.key: curves.has_converged(results, variant, on) for variant in variants}


def notes(results: TaskResults, variants: list[Variant], first: list[str]) -> list[str]:
    """Footnotes: these first, what the marks mean, whose methods they are, what is left out."""
    left_out = footnotes.omissions(results)
    return [
        *first,
        *footnotes.mark_notes(converged(results, variants)),
        *footnotes.third_parties(results),
        *footnotes.elsewhere(results),
        *results.task.notes,
        *([f"Left out: {'; '.join(left_out)}."] if left_out else []),
    ]
