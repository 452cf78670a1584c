"""Methods by name: our own, those of other packages, and those of plugin files.

They are only imported when they are asked for, so that listing names loads no torch.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import UserError, look_up, where_defined
from fsgan_bench.plugins import entry_points
from fsgan_bench.plugins.entry_points import OWN_DISTRIBUTION, Plugin, PluginKind
from fsgan_bench.plugins.method_files import ALL, NONE, check_class, load_plugin

if TYPE_CHECKING:
    from fsgan_bench.training.method import Method


def _check(loaded: Any, label: str) -> type[Method]:
    return check_class(loaded, label.removeprefix("The method "))


METHODS: PluginKind[type[Method]] = PluginKind("method", "fsgan_bench.methods", _check)


@dataclass(frozen=True)
class MethodEntry:
    """A method that can be named.

    Attributes:
        name: what ``--methods`` takes.
        origin: the distribution or the plugin file that brings it.
        plugin: what the distribution brings, or None for a plugin file.
    """

    name: str
    origin: str
    plugin: Plugin[type[Method]] | None = None

    @property
    def third_party(self) -> bool:
        return self.origin != OWN_DISTRIBUTION

    def load(self) -> type[Method]:
        """Import the class.

        Raises:
            UserError: it cannot be imported or is no method.
        """
        if self.plugin is None:
            return load_plugin(Path(self.origin))[self.name]
        method = self.plugin.load()
        if method.name != self.name:
            raise UserError(
                f"The method '{self.name}' of {self.place} calls itself '{method.name}'; its name "
                "must be that of its entry point."
            )
        return method

    @property
    def paper(self) -> str:
        """The citation. That of our own methods is read from their source: torch takes seconds.

        Raises:
            UserError: somebody else's method cannot be imported or is no method.
        """
        if self.plugin is None or self.third_party:
            return self.load().paper
        return str(self.plugin.stated("paper"))

    @property
    def place(self) -> str:
        """Where it is written, for messages."""
        return where_defined(self.load()) if self.plugin is None else self.plugin.place

    @property
    def credit(self) -> str | None:
        """Who brings it, with the version of a distribution; None for our own methods."""
        return Path(self.origin).name if self.plugin is None else self.plugin.credit

    @property
    def source_hash(self) -> str | None:
        """SHA-256 of a third-party method's file; None for our own, whose version speaks for it."""
        if not self.third_party:
            return None
        file = sys.modules[self.load().__module__].__file__
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None


def find_methods(
    plugins: Sequence[Path] = (),
) -> tuple[dict[str, MethodEntry], dict[str, str]]:
    """All methods by name: our own, then those of other packages, then those of plugin files.

    Returns:
        What works, and why the rest does not: a sentence by plugin file or by method and origin.
        A broken plugin or package of somebody else takes nothing away from the others. A plugin
        file that an installed package holds too adds nothing.

    Raises:
        UserError: a plugin file does not exist.
    """
    installed, broken = entry_points.find_plugins(METHODS)
    named = [MethodEntry(name, plugin.origin, plugin) for name, plugin in installed.items()]
    for plugin in plugins:
        if not plugin.is_file():
            raise UserError(f"There is no plugin file {plugin}.")
        try:
            named += [MethodEntry(name, str(plugin)) for name in load_plugin(plugin)]
        except UserError as error:
            broken[str(plugin)] = str(error)
    entries: dict[str, MethodEntry] = {}
    for entry in named:
        taken = entries.setdefault(entry.name, entry)
        if taken.origin != entry.origin and not _same_file(taken, entry):
            broken[f"{entry.name} of {entry.origin}"] = (
                f"The method name '{entry.name}' of {entry.place} is already taken by "
                f"{taken.origin}; rename one of them."
            )
    return entries, broken


def _same_file(one: MethodEntry, other: MethodEntry) -> bool:
    """Whether two third-party methods are written in equal files; not if one cannot be imported."""
    try:
        return one.source_hash is not None and one.source_hash == other.source_hash
    except UserError:
        return False


def method_entries(plugins: Sequence[Path] = ()) -> dict[str, MethodEntry]:
    """The methods of :func:`find_methods` that can be named."""
    return find_methods(plugins)[0]


def method_names(names: str, entries: Mapping[str, MethodEntry]) -> list[str]:
    """Split a comma-separated list; ``all`` stands for the methods that come with fsgan-bench.

    The list ``none`` is empty: the source is scored and nothing adapted.

    Raises:
        UserError: nothing is named.
    """
    if names.strip() == NONE:
        return []
    own = [name for name, entry in entries.items() if not entry.third_party]
    parts = [part.strip() for part in names.split(",")]
    chosen = [name for part in parts if part for name in (own if part == ALL else [part])]
    if not chosen:
        raise UserError("--methods names no method; try --methods all.")
    return list(dict.fromkeys(chosen))


def load_methods(
    names: Iterable[str], entries: Mapping[str, MethodEntry], broken: dict[str, str]
) -> dict[str, type[Method]]:
    """Import the named methods; what somebody else broke is left out and added to ``broken``.

    Args:
        names: what to import.
        entries, broken: as :func:`find_methods` returns them. While a plugin file is broken, an
            unknown name counts as one of its methods.

    Raises:
        UserError: a name is unknown, one of our own methods cannot be imported, or nothing of what
            is named works.
    """
    unreadable = bool(broken)
    loaded: dict[str, type[Method]] = {}
    for name in names:
        try:
            entry = look_up("method", name, entries)
            loaded[name] = entry.load()
        except UserError as error:
            if name in entries and not entries[name].third_party:
                raise
            if name not in entries and not unreadable:
                raise
            broken[name] = str(error)
    if not loaded:
        raise UserError(" ".join(broken.values()))
    return loaded
