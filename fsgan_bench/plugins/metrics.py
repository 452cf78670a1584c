"""Metrics by name: those that come with fsgan-bench, and those of other packages."""

from __future__ import annotations

import inspect
from typing import Any

from fsgan_bench.errors import UserError, look_up, where_defined
from fsgan_bench.metrics.metric import Metric
from fsgan_bench.metrics.registry import OURS, TOGETHER, metric_names
from fsgan_bench.plugins import entry_points
from fsgan_bench.plugins.entry_points import PluginKind

_ATTRIBUTES = ("name", "title", "version", "higher_is_better", "definition", "role")


def _check(loaded: Any, label: str) -> Metric:
    if not (inspect.isclass(loaded) and issubclass(loaded, Metric)):
        raise UserError(f"{label} is not a subclass of fsgan_bench.metrics.metric.Metric.")
    place = f"{label} ({where_defined(loaded)})"
    if missing := [name for name in _ATTRIBUTES if not hasattr(loaded, name)]:
        raise UserError(f"{place} lacks the class attribute(s) {', '.join(missing)}.")
    if inspect.isabstract(loaded):
        raise UserError(f"{place} does not define __call__.")
    if not label.startswith(f"The metric '{loaded.name}' "):
        raise UserError(f"{place} calls itself '{loaded.name}'; its entry point must be so named.")
    return loaded()


METRICS: PluginKind[Metric] = PluginKind("metric", "fsgan_bench.metrics", _check)


def find_metrics() -> tuple[dict[str, Metric], dict[str, str]]:
    """All metrics by name, ours first, and why an installed one of others is not among them."""
    plugins, broken = entry_points.find_plugins(METRICS, taken=(*OURS, *TOGETHER))
    return {**OURS, **entry_points.load_each(plugins.values(), broken)}, broken


def choose_metrics(names: str) -> tuple[list[Metric], dict[str, str]]:
    """The metrics of a comma-separated list such as ``kid,prdc``.

    Returns:
        What works, and why another package's metric that is named does not.

    Raises:
        UserError: a name is unknown, none is given, or nothing of what is named works.
    """
    wanted = metric_names(names)
    plugins, _ = entry_points.find_plugins(METRICS, taken=(*OURS, *TOGETHER))
    for name in wanted:
        look_up("metric", name, {**OURS, **plugins})
    broken: dict[str, str] = {}
    others = (plugin for name, plugin in plugins.items() if name in wanted)
    metrics = {**OURS, **entry_points.load_each(others, broken)}
    chosen = [metrics[name] for name in wanted if name in metrics]
    if not chosen:
        raise UserError(" ".join(broken.values()))
    return chosen, broken
