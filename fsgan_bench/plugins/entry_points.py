"""The one loader of entry points: what packages bring, by name, of every kind.

Nothing is imported before it is asked for. A package that is broken is named with file and line,
and takes nothing away from the others.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from fsgan_bench.errors import UserError, look_up, what_happened, where_raised

T = TypeVar("T")

OWN_DISTRIBUTION = "fsgan-bench"


@dataclass(frozen=True)
class PluginKind(Generic[T]):
    """A kind of thing that a package can bring.

    Attributes:
        noun: what one is called in messages, such as ``method``.
        group: the entry-point group, such as ``fsgan_bench.methods``.
        check: makes what the entry point names into what is used, or raises UserError with a
            sentence that starts with the label it is given, such as ``The metric 'm' of package``.
    """

    noun: str
    group: str
    check: Callable[[Any, str], T]


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """Something that an installed package brings, not yet imported.

    Attributes:
        kind: what it is.
        name: what it is called on the command line.
        point: where it is imported from.
    """

    kind: PluginKind[T]
    name: str
    point: metadata.EntryPoint

    @property
    def origin(self) -> str:
        """The distribution that brings it."""
        return self.point.dist.name if self.point.dist else "unknown"

    @property
    def third_party(self) -> bool:
        return self.origin != OWN_DISTRIBUTION

    @property
    def credit(self) -> str | None:
        """The distribution with its version; None for our own."""
        if not self.third_party:
            return None
        dist = self.point.dist
        return f"{dist.name} {dist.version}" if dist else self.origin

    @property
    def place(self) -> str:
        """Where it comes from, for messages."""
        return f"{self.origin} ({self.point.value})"

    def load(self) -> T:
        """Import and check it.

        Raises:
            UserError: it cannot be imported, with file and line, or is not what its kind takes.
        """
        label = f"The {self.kind.noun} '{self.name}' of {self.origin}"
        try:
            loaded = self.point.load()
        except (Exception, SystemExit) as error:
            where = where_raised(error) or self.point.value
            raise UserError(
                f"{label} cannot be imported: {where}: {what_happened(error)}."
            ) from error
        return self.kind.check(loaded, label)

    def stated(self, attribute: str) -> Any:
        """The literal that the class's source gives ``attribute``; the module is not imported.

        Raises:
            LookupError: it gives none.
        """
        spec = find_spec(self.point.module)
        if spec is None or spec.origin is None:
            raise LookupError(f"{self.point.module} has no source")
        for node in ast.parse(Path(spec.origin).read_bytes()).body:
            if isinstance(node, ast.ClassDef) and node.name == self.point.attr:
                for line in node.body:
                    if isinstance(line, ast.Assign) and attribute in map(ast.unparse, line.targets):
                        return ast.literal_eval(line.value)
        raise LookupError(f"{self.point.value} gives no {attribute}")

    def where(self, error: BaseException) -> str:
        """``FILE, line N`` of its package that ``error`` passed through last, or its place."""
        package = self.point.value.partition(":")[0].partition(".")[0]
        modules = [
            module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] == package
        ]
        files = [file for module in modules if (file := getattr(module, "__file__", None))]
        return (where_raised(error, *files) if files else None) or self.point.value


def find_plugins(
    kind: PluginKind[T], taken: Collection[str] = ()
) -> tuple[dict[str, Plugin[T]], dict[str, str]]:
    """What the installed packages bring of a kind, our own first; nothing is imported.

    Args:
        kind: of what.
        taken: names that no package can have.

    Returns:
        The plugins by name, and a sentence for each whose name is taken already.
    """
    listed = [Plugin(kind, point.name, point) for point in metadata.entry_points(group=kind.group)]
    plugins: dict[str, Plugin[T]] = {}
    broken: dict[str, str] = {}
    for plugin in sorted(listed, key=lambda plugin: plugin.third_party):
        if plugin.name in taken:
            holder = OWN_DISTRIBUTION
        else:
            holder = plugins.setdefault(plugin.name, plugin).origin
        if holder != plugin.origin:
            broken[f"{plugin.name} of {plugin.origin}"] = (
                f"The {kind.noun} name '{plugin.name}' of {plugin.place} is already taken by "
                f"{holder}; rename one of them."
            )
    return plugins, broken


def load_named(kind: PluginKind[T], name: str) -> T:
    """The thing of a kind that is called ``name``.

    Raises:
        UserError: there is none (with a suggestion), or it is broken.
    """
    return look_up(kind.noun, name, find_plugins(kind)[0]).load()


def load_each(plugins: Iterable[Plugin[T]], broken: dict[str, str]) -> dict[str, T]:
    """Import plugins, by name; why one cannot be is added to ``broken`` and the others go on."""
    loaded: dict[str, T] = {}
    for plugin in plugins:
        try:
            loaded[plugin.name] = plugin.load()
        except UserError as error:
            broken[f"{plugin.name} of {plugin.origin}"] = str(error)
    return loaded
