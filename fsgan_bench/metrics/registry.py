"""Metrics by name: those of every snapshot, further ones, and those of other packages."""

from __future__ import annotations

import inspect
from importlib import metadata

from fsgan_bench.errors import UserError, look_up, what_happened, where_defined, where_raised
from fsgan_bench.metrics.correspondence import PAIRED
from fsgan_bench.metrics.further import FURTHER
from fsgan_bench.metrics.metric import METRICS, Metric

ALWAYS: dict[str, Metric] = {**METRICS, **PAIRED}
"""What every snapshot is scored by, as far as its task can be; others can be added."""

METRICS_GROUP = "fsgan_bench.metrics"

TOGETHER: dict[str, tuple[str, ...]] = {"prdc": ("precision", "recall", "density", "coverage")}
"""Names that stand for several."""

_ATTRIBUTES = ("name", "title", "version", "higher_is_better", "definition", "role")


def find_metrics() -> dict[str, Metric]:
    """All metrics by name; other packages add theirs by the entry-point group.

    Raises:
        UserError: an installed one cannot be imported, is no metric, or takes a name of ours.
    """
    found: dict[str, Metric] = {**ALWAYS, **FURTHER}
    for point in metadata.entry_points(group=METRICS_GROUP):
        origin = point.dist.name if point.dist else "unknown"
        if point.name in found or point.name in TOGETHER:
            raise UserError(f"The metric '{point.name}' of {origin} takes a name that is there.")
        found[point.name] = _load(point, origin)
    return found


def choose_metrics(names: str) -> list[Metric]:
    """The metrics of a comma-separated list such as ``kid,prdc``.

    Raises:
        UserError: a name is unknown, or none is given.
    """
    parts = [part.strip() for part in names.split(",") if part.strip()]
    if not parts:
        raise UserError("--metrics names no metric; see fsgan-bench list metrics.")
    every = find_metrics()
    wanted = [name for part in parts for name in TOGETHER.get(part, (part,))]
    return [look_up("metric", name, {**every}) for name in dict.fromkeys(wanted)]


def _load(point: metadata.EntryPoint, origin: str) -> Metric:
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        where = where_raised(error) or point.value
        raise UserError(
            f"The metric '{point.name}' of {origin} cannot be imported: {where}: "
            f"{what_happened(error)}."
        ) from error
    label = f"The metric '{point.name}' of {origin}"
    if not (inspect.isclass(loaded) and issubclass(loaded, Metric)):
        raise UserError(f"{label} is not a subclass of fsgan_bench.metrics.metric.Metric.")
    label += f" ({where_defined(loaded)})"
    if missing := [name for name in _ATTRIBUTES if not hasattr(loaded, name)]:
        raise UserError(f"{label} lacks the class attribute(s) {', '.join(missing)}.")
    if inspect.isabstract(loaded):
        raise UserError(f"{label} does not define __call__.")
    if loaded.name != point.name:
        raise UserError(f"{label} calls itself '{loaded.name}'; its entry point must be so named.")
    return loaded()


def scored_always(version: str) -> bool:
    """Whether a stored score's version is that of a metric of every snapshot."""
    _, _, metric = version.partition(", ")
    return metric.partition(" ")[0] in ALWAYS
