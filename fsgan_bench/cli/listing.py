"""``fsgan-bench list``: what can be named, and which package brings it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.cli.options import PLUGIN, show_broken
from fsgan_bench.errors import UserError

if TYPE_CHECKING:
    from fsgan_bench.plugins.entry_points import PluginKind

KINDS = (
    *("methods", "settings", "targets", "suites", "metrics"),
    *("classifiers", "executors", "trackers"),
)

TableRows = Iterable[Sequence[str]]


class Offered(Protocol):
    """A method or another plugin, as far as its origin goes."""

    @property
    def origin(self) -> str: ...

    @property
    def third_party(self) -> bool: ...


@cloup.command(name="list")
@click.argument("what", type=click.Choice(KINDS), required=False)
@click.option(
    "--suite", default="avatars", show_default=True, help="Suite whose targets are listed."
)
@PLUGIN
def list_(what: str | None, suite: str, plugins: tuple[Path, ...]) -> None:
    """List what can be named, and name what is broken.

    \b
    Example: fsgan-bench list methods --plugin mine.py
    """
    from rich.table import Table

    if what is None:
        raise UserError(f"Say what to list: {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    headings, rows, broken = {
        "methods": lambda: _methods(plugins),
        "settings": lambda: _settings(plugins),
        "targets": lambda: _targets(suite),
        "suites": _suites,
        "metrics": lambda: _metrics(suite),
        "classifiers": _classifiers,
        "executors": _executors,
        "trackers": _trackers,
    }[what]()
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    make_console().print(table)
    show_broken(broken)
    sys.exit(2 if broken else 0)


def _methods(files: Sequence[Path]) -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.plugins.methods import find_methods

    entries, broken = find_methods(files)
    rows = []
    for name, entry in entries.items():
        try:
            rows.append((name, _origin(entry), entry.paper))
        except UserError as error:
            if not entry.third_party:
                raise
            broken[name] = str(error)
    return ("name", "origin", "paper"), rows, broken


def _settings(files: Sequence[Path]) -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    """What ``--set`` takes."""
    from dataclasses import fields

    from fsgan_bench.plugins.methods import find_methods, load_methods
    from fsgan_bench.plugins.settings import described

    entries, broken = find_methods(files)
    rows = []
    for name, method in load_methods(list(entries), entries, broken).items():
        told = described(method.Config)
        for field in fields(method.Config):
            default = getattr(method.Config(), field.name)
            words = told.get(field.name, "-").replace("``", "")
            rows.append((f"{name}.{field.name}", str(default), words))
    return ("setting", "default", "what it is"), rows, broken


def _targets(suite: str) -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.suites.file import get_suite

    rows = [
        (
            target.name,
            target.title,
            "known" if target.images.ideal else "-",
            target.images.attribution or "-",
        )
        for target in get_suite(suite).targets.values()
    ]
    return ("name", "title", "ideal", "artwork"), rows, {}


def _suites() -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.suites.file import SUITES, get_suite

    rows = [
        (
            suite.name,
            suite.title,
            ", ".join(f"{name} ({b.iterations} it)" for name, b in suite.budgets.items()),
        )
        for suite in map(get_suite, SUITES)
    ]
    return ("name", "title", "budgets"), rows, {}


def _metrics(suite: str) -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.metrics.registry import OURS
    from fsgan_bench.plugins.entry_points import OWN_DISTRIBUTION, find_plugins
    from fsgan_bench.plugins.metrics import METRICS, find_metrics
    from fsgan_bench.suites.file import get_suite

    backbone = get_suite(suite).frechet_backbone
    metrics, broken = find_metrics()
    packages = find_plugins(METRICS)[0]
    rows = [
        (
            name,
            metric.stored_as(backbone),
            metric.describe(backbone).direction or "-",
            OWN_DISTRIBUTION if name in OURS else _origin(packages[name]),
            metric.definition,
        )
        for name, metric in metrics.items()
    ]
    return ("name", "stored as", "better", "origin", "definition"), rows, broken


def _classifiers() -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.plugins.classifiers import CLASSIFIERS

    return _installed(CLASSIFIERS)


def _executors() -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.driver.executors.engines import EXECUTORS

    return _installed(EXECUTORS)


def _trackers() -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    from fsgan_bench.trackers.tracker import TRACKERS

    return _installed(TRACKERS)


def _installed(kind: PluginKind[Any]) -> tuple[Sequence[str], TableRows, Mapping[str, str]]:
    """All of a kind that only packages bring."""
    from fsgan_bench.plugins.entry_points import find_plugins, load_each

    plugins, broken = find_plugins(kind)
    rows = [
        (name, _origin(plugins[name]), plugins[name].point.value)
        for name in load_each(plugins.values(), broken)
    ]
    return ("name", "origin", "made by"), rows, broken


def _origin(plugin: Offered) -> str:
    """The package or file that brings it, with a mark if it is not ours."""
    return f"third party: {plugin.origin}" if plugin.third_party else plugin.origin
