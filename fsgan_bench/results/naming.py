"""Configurations of one method that lie side by side in a task, and what to call them.

Cells that differ in nothing but the seed are repetitions of one experiment and may be averaged; all
others are drawn apart, each named after what differs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fsgan_bench.errors import one_line
from fsgan_bench.results.cell import DESCRIPTIVE
from fsgan_bench.system.json_files import json_hash
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.recipe import Recipe

_NAMES = (*DESCRIPTIVE, "imported", "seed", "suite", "target", "shots", "method", "protocol")
"""Fields by which configurations do not differ."""

_LONGEST_VALUE = 16


def natural_order(label: str) -> tuple[tuple[str, float], ...]:
    """Sort key: text by its letters, numbers in it by their size."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", label)
    return tuple(
        (text, float(number)) for text, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)
    )


def add_variants(rows: Sequence[dict[str, Any]]) -> None:
    """Set ``variant``, ``besides`` and ``label`` of the cell rows of one task.

    Each row holds ``method``, ``title`` and its specification ``cell``. A variant is the method's
    name and a hash of all of the specification but its names, the seed and, unless two cells of the
    method differ in nothing else, its snapshots: a cell that went on from a shorter one has that
    one's besides. ``besides`` is a hash of that without the method's settings. The label is the
    title, followed, if the method has several variants here, by the settings in which they differ,
    or by the hash where only long ones do. What was not trained here is marked.
    """
    methods: dict[str, dict[str, dict[str, str]]] = {}
    alike = Counter(map(_place, rows))
    several = {method for (method, *_), count in alike.items() if count > 1}
    for row in rows:
        settings = _settings(row)
        if row["method"] in several:
            settings = leaves(row["cell"], without=_NAMES)
        digest = json_hash(settings)[:8]
        row["variant"] = f"{row['method']}-{digest}"
        shared = {key: value for key, value in settings.items() if not key.startswith("config.")}
        row["besides"] = json_hash(shared)[:8]
        methods.setdefault(row["method"], {})[row["variant"]] = settings
    labels = {method: _labels(variants) for method, variants in methods.items()}
    for row in rows:
        label = labels[row["method"]][row["variant"]]
        title = f"{row['title']} (elsewhere)" if row["cell"].get("imported") else row["title"]
        row["label"] = f"{title} ({label})" if label else title


def _place(row: Mapping[str, Any]) -> tuple[str, Any, str]:
    return row["method"], row["cell"].get("seed"), json_hash(_settings(row))


def _settings(row: Mapping[str, Any]) -> dict[str, str]:
    return leaves(row["cell"], without=(*_NAMES, "snapshots"))


def leaves(
    values: Mapping[str, Any], without: Collection[str] = (), prefix: str = ""
) -> dict[str, str]:
    """All leaves of nested tables by dotted name, each as JSON, ``without`` some at the top."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if name in without:
            continue
        if isinstance(value, Mapping):
            found |= leaves(value, prefix=f"{prefix}{name}.")
        else:
            found[one_line(f"{prefix}{name}")] = json.dumps(value, sort_keys=True)
    return found


def _labels(variants: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What tells each variant from the others: settings, or its hash; empty for one alone."""
    names = sorted({name for settings in variants.values() for name in settings})
    differing = [
        name for name in names if len({settings.get(name) for settings in variants.values()}) > 1
    ]
    shown = {
        key: {name: _shown({**_DEFAULTS, **own}.get(name, '"none"')) for name in differing}
        for key, own in variants.items()
    }
    short = [n for n in differing if all(len(own[n]) <= _LONGEST_VALUE for own in shown.values())]
    labels = {
        key: ", ".join(
            f"{name.removeprefix('config.').removeprefix('recipe.')}={own[name]}" for name in short
        )
        for key, own in shown.items()
    }
    times = Counter(labels.values())
    return {
        key: label if times[label] == 1 else key.rpartition("-")[2] for key, label in labels.items()
    }


_DEFAULTS = leaves(asdict(Numerics()) | {"recipe": asdict(Recipe())})
"""What a specification means that leaves a field out."""


def _shown(leaf: str) -> str:
    """A leaf's JSON as a reader writes it: numbers short, words without quotes."""
    value = json.loads(leaf)
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else leaf
