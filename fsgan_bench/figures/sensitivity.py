"""Final scores against a method's setting: what an ablation's sensitivity study shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fsgan_bench.figures import legends, palette
from fsgan_bench.figures.canvas import chart
from fsgan_bench.results import curves
from fsgan_bench.results import notes as footnotes
from fsgan_bench.results.curves import Curve, Variant
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.results.scales import QUALITY, Scale, metric_scales, scales_of_kind
from fsgan_bench.training.look import Look

_LOGARITHMIC = 20.0
"""Positive values whose largest is so many times their smallest stand on a logarithmic axis."""

_MOST_COLUMNS = 3
_NOTE = "Last snapshots, a point a value of the setting."


@dataclass(frozen=True)
class Study:
    """One method's settings that differ between its variants.

    Attributes:
        title: the method's.
        setting: on the axis: the one with the most values.
        values: of it, in order: numbers by size, words as they are sorted.
        lines: variants by value, one mapping for each combination of the other settings, by what
            it is called.
    """

    title: str
    setting: str
    values: tuple[Any, ...]
    lines: Mapping[str, Mapping[Any, Variant]]

    @property
    def numeric(self) -> bool:
        return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in self.values)


def studies(results: TaskResults) -> dict[str, Study]:
    """A study for each method with at least two variants that differ in nothing but settings."""
    cells = results.cells
    configs = {
        variant: {name: _hashable(value) for name, value in config.items()}
        for variant, config in zip(cells["variant"], cells["config"], strict=True)
    }
    titles = dict(zip(cells["method"], cells["title"], strict=True))
    besides = dict(zip(cells["variant"], cells["besides"], strict=True))
    alike: dict[tuple[str, str], list[Variant]] = {}
    for variant in curves.variants(results):
        alike.setdefault((variant.method, besides[variant.key]), []).append(variant)
    studies: dict[str, Study] = {}
    # Of several studies of a method that of the most variants, which comes last.
    for (method, _), variants in sorted(alike.items(), key=lambda item: len(item[1])):
        study = _study(titles[method], variants, configs)
        if study is not None:
            studies[method] = study
    return studies


def figure(results: TaskResults, study: Study) -> Figure:
    """Final scores against the setting, a panel a score; raises ValueError without a score."""
    scales = _scales(results, study)
    if not scales:
        raise ValueError("there is no score to draw")
    variants = [variant for line in study.lines.values() for variant in line.values()]
    looks = palette.variant_looks(results, variants)
    heads = {name: looks[next(iter(line.values())).key] for name, line in study.lines.items()}
    compared = [
        name
        for name in palette.REFERENCES
        if any(curves.reference(results, name, scale) for scale in scales)
    ]
    handles = [legends.named_handle(heads[name], name) for name in heads if name]
    figure, panels = chart(
        f"{study.title}, {study.setting}: {results.task.title}",
        [part for part in (handles, legends.reference_handles(compared)) if part],
        [_NOTE, footnotes.spread_note(results, variants, "Bars")],
        panels=len(scales),
        panel_height=2.0,
        gap=0.6,
        right=0.12,
        columns=_MOST_COLUMNS,
    )
    for axes, scale in zip(panels, scales, strict=True):
        axes.set_ylabel(scale.name(mathtext=True), parse_math=True)
        for name, line in study.lines.items():
            _draw(axes, results, study, line, scale, heads[name])
        for name in compared:
            if known := curves.reference(results, name, scale):
                look = palette.REFERENCES[name]
                axes.axhline(known[0], color=look.colour, linestyle=look.dashes, linewidth=1.0)
        _scale_values(axes, study)
    return figure


def _study(
    title: str, variants: Sequence[Variant], configs: Mapping[str, Mapping[str, Any]]
) -> Study | None:
    names = sorted({name for variant in variants for name in configs[variant.key]})
    values = {
        name: sorted({configs[v.key].get(name) for v in variants}, key=_by_size) for name in names
    }
    differing = [name for name in names if len(values[name]) > 1]
    if not differing:
        return None
    setting = max(differing, key=lambda name: len(values[name]))
    lines: dict[str, dict[Any, Variant]] = {}
    for variant in variants:
        config = configs[variant.key]
        others = ", ".join(f"{n}={_shown(config.get(n))}" for n in differing if n != setting)
        line = lines.setdefault(others, {})
        if config.get(setting) in line:
            return None
        line[config.get(setting)] = variant
    return Study(title, setting, tuple(values[setting]), lines)


def _scales(results: TaskResults, study: Study) -> list[Scale]:
    scales = [
        *metric_scales(results, QUALITY),
        *metric_scales(results, results.task.diversity),
        *scales_of_kind(results, "correspondence", "distance", "further"),
    ]
    variants = [variant for line in study.lines.values() for variant in line.values()]
    shown = [s for s in scales if s.about.tabulated]
    return [s for s in shown if any(curves.seed_curves(results, v, s) for v in variants)]


def _draw(
    axes: Axes,
    results: TaskResults,
    study: Study,
    line: Mapping[Any, Variant],
    scale: Scale,
    look: Look,
) -> None:
    points: list[tuple[float, Curve]] = []
    for value, variant in line.items():
        curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
        if curve is not None and len(curve.iterations):
            place = float(value) if study.numeric else float(study.values.index(value))
            points.append((place, curve))
    points.sort(key=lambda point: point[0])
    axes.errorbar(
        [place for place, _ in points],
        [curve.values[-1] for _, curve in points],
        yerr=np.nan_to_num([curve.spread[-1] for _, curve in points]),
        color=look.colour,
        linestyle=look.dashes if study.numeric else "none",
        marker=look.marker,
        markersize=legends.MARKER_SIZE + 1,
        markeredgecolor="white",
        markeredgewidth=0.4,
        elinewidth=0.8,
        zorder=3,
    )


def _scale_values(axes: Axes, study: Study) -> None:
    """An axis whose ticks are the values."""
    axes.set_xlabel(study.setting)
    places = list(study.values) if study.numeric else list(range(len(study.values)))
    if study.numeric and min(places) > 0 and max(places) >= _LOGARITHMIC * min(places):
        axes.set_xscale("log")
    elif not study.numeric:
        axes.set_xlim(-0.5, len(places) - 0.5)
    axes.xaxis.set_major_locator(FixedLocator([float(place) for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([_shown(value) for value in study.values])


def _by_size(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (not number, float(value) if number else 0.0, str(value))


def _hashable(value: Any) -> Any:
    simple = value is None or isinstance(value, (bool, int, float, str))
    return value if simple else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
