"""Everything that has a name: methods and classifiers, found by entry points and plugin files.

Entry points are only imported when they are asked for, so that listing names loads no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import (
    UserError,
    check_keys,
    check_name,
    look_up,
    suggest,
    where_defined,
    where_raised,
)

if TYPE_CHECKING:
    from fsgan_bench.method import Method
    from fsgan_bench.metrics.weights import Weights

METHODS_GROUP = "fsgan_bench.methods"
CLASSIFIERS_GROUP = "fsgan_bench.classifiers"
OWN_DISTRIBUTION = "fsgan-bench"
NO_METHODS = "none"


@dataclass(frozen=True)
class MethodEntry:
    """A method that can be named.

    Attributes:
        name: what ``--methods`` takes.
        origin: the distribution or the plugin file that brings it.
        entry_point: where it is imported from, or None for a plugin file.
    """

    name: str
    origin: str
    entry_point: metadata.EntryPoint | None = None

    @property
    def third_party(self) -> bool:
        return self.origin != OWN_DISTRIBUTION

    def load(self) -> type[Method]:
        """Import the class.

        Raises:
            UserError: it cannot be imported or is no method.
        """
        if self.entry_point is None:
            return load_plugin(Path(self.origin))[self.name]
        try:
            loaded = self.entry_point.load()
        except (Exception, SystemExit) as error:
            where = where_raised(error) or self.entry_point.value
            raise UserError(
                f"The method '{self.name}' of {self.origin} cannot be imported: {where}: "
                f"{type(error).__name__}: {error}"
            ) from error
        method = _checked(loaded, f"'{self.name}' of {self.origin}")
        if method.name != self.name:
            raise UserError(
                f"The method '{self.name}' of {self.origin} calls itself '{method.name}'; its name "
                "must be that of its entry point."
            )
        return method

    @property
    def source_hash(self) -> str | None:
        """SHA-256 of a plugin's file; None for an installed method, whose version speaks for it."""
        if self.entry_point is not None:
            return None
        return hashlib.sha256(Path(self.origin).read_bytes()).hexdigest()


def find_methods(
    plugins: Sequence[Path] = (),
) -> tuple[dict[str, MethodEntry], dict[str, str]]:
    """All methods by name: our own, then those of other packages, then those of plugin files.

    Returns:
        What works, and why the rest does not: a sentence by plugin file or by method and origin.
        A broken plugin or package of somebody else takes nothing away from the others.

    Raises:
        UserError: a plugin file does not exist.
    """
    named = [
        MethodEntry(point.name, point.dist.name if point.dist else "unknown", point)
        for point in metadata.entry_points(group=METHODS_GROUP)
    ]
    named.sort(key=lambda entry: entry.third_party)
    broken: dict[str, str] = {}
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
        if taken.origin != entry.origin:
            broken[f"{entry.name} of {entry.origin}"] = (
                f"The method name '{entry.name}' of {entry.origin} is already taken by "
                f"{taken.origin}; rename one of them."
            )
    return entries, broken


def method_entries(plugins: Sequence[Path] = ()) -> dict[str, MethodEntry]:
    """The methods of :func:`find_methods` that can be named."""
    return find_methods(plugins)[0]


def method_names(names: str, entries: Mapping[str, MethodEntry]) -> list[str]:
    """Split a comma-separated list; ``all`` stands for the methods that come with fsgan-bench.

    The list ``none`` is empty: the source is scored and nothing adapted.

    Raises:
        UserError: nothing is named.
    """
    if names.strip() == NO_METHODS:
        return []
    own = [name for name, entry in entries.items() if not entry.third_party]
    parts = [part.strip() for part in names.split(",")]
    chosen = [name for part in parts if part for name in (own if part == "all" else [part])]
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


def load_plugin(path: Path) -> dict[str, type[Method]]:
    """Run a plugin file and return the methods that it defines, by name.

    Raises:
        UserError: the file is missing, fails, or defines no method; with file and line.
    """
    from fsgan_bench.method import Method

    if not path.is_file():
        raise UserError(f"There is no plugin file {path}.")
    module = _run(path.resolve())
    named = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and hasattr(cls, "name")
    ]
    methods = [_checked(cls, cls.__name__) for cls in named if issubclass(cls, Method)]
    if not methods:
        _ = [_checked(cls, cls.__name__) for cls in named]
        raise UserError(
            f"The plugin {path} defines no method: it needs a subclass of "
            "fsgan_bench.method.Method with a name."
        )
    by_name = {method.name: method for method in methods}
    for method in methods:
        if by_name[method.name] is not method:
            raise UserError(
                f"The plugin {where_defined(method)}: the name '{method.name}' is taken by another "
                "of its methods."
            )
    return by_name


def _run(path: Path) -> ModuleType:
    name = f"fsgan_bench_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"The plugin {path} is not a Python file (its name must end in .py).")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise UserError(f"The plugin {where_raised(error) or path}: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        where = where_raised(error, str(path)) or path
        raise UserError(f"The plugin {where}: {type(error).__name__}: {error}") from error
    return module


def _checked(loaded: Any, label: str) -> type[Method]:
    from fsgan_bench.method import Method

    where = f"{label} ({where_defined(loaded)})" if inspect.isclass(loaded) else label
    if not (inspect.isclass(loaded) and issubclass(loaded, Method)):
        raise UserError(f"The method {where} is not a subclass of fsgan_bench.method.Method.")
    missing = [name for name in ("name", "title", "version", "paper") if not hasattr(loaded, name)]
    if missing:
        raise UserError(f"The method {where} lacks the class attribute(s) {', '.join(missing)}.")
    check_name(f"method (in {where_defined(loaded)})", loaded.name)
    if not dataclasses.is_dataclass(loaded.Config):
        raise UserError(f"The Config of the method {where} is no dataclass.")
    return loaded


def build_config(method: type[Method], values: Mapping[str, Any]) -> Any:
    """Make a method's config from field values, given as Python values or as text.

    Raises:
        UserError: an unknown field (with a suggestion) or a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    fields = {field.name: field for field in dataclasses.fields(method.Config)}
    check_keys(method.name, values, fields)
    try:
        config = TypeAdapter(method.Config).validate_python(
            {name: _split(value, str(fields[name].type)) for name, value in values.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            reason = first["msg"].removeprefix("Value error, ")
            raise UserError(f"The settings of {method.name} do not fit: {reason}.") from None
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{method.name}.{field}: {first['msg']}, got {first['input']!r}.") from None
    for name in values:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{method.name}.{name} must be a finite number, not {number}.")
    return config


def _split(value: Any, annotation: str) -> Any:
    if isinstance(value, str) and annotation.startswith("tuple"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def parse_settings(settings: Iterable[str], methods: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parse ``METHOD.KEY=VALUE`` strings into values by method and key.

    Raises:
        UserError: another form, a method that is not in ``methods``, or a key given twice.
    """
    known = list(methods)
    parsed: dict[str, dict[str, str]] = {}
    for setting in settings:
        target, equals, value = setting.partition("=")
        method, dot, key = (part.strip() for part in target.partition("."))
        if not (equals and dot and method and key):
            raise UserError(f"--set takes METHOD.KEY=VALUE, not '{setting}'.")
        if method not in known:
            raise UserError(
                f"--set {setting}: the method '{method}' is not in this run "
                f"({', '.join(known)}).{suggest(method, known)}"
            )
        if key in parsed.setdefault(method, {}):
            raise UserError(f"--set gives {method}.{key} twice.")
        parsed[method][key] = value.strip()
    return parsed


def classifier_entry(name: str) -> Any:
    """Load the classifier factory that ``name`` (or its part before a colon) stands for.

    Raises:
        UserError: there is no such classifier.
    """
    return _classifier_point(name).load()


def classifier_weights(name: str) -> tuple[Weights, ...]:
    """The pretrained weights of the classifier ``name``, without loading torch for it.

    They are what ``weights(name)`` returns, a function of the top-level package of the factory;
    where there is none, nobody can tell before the classifier is made.

    Raises:
        UserError: there is no such classifier.
    """
    package = importlib.import_module(_classifier_point(name).module.partition(".")[0])
    return tuple(package.weights(name)) if hasattr(package, "weights") else ()


def _classifier_point(name: str) -> metadata.EntryPoint:
    points = {point.name: point for point in metadata.entry_points(group=CLASSIFIERS_GROUP)}
    return look_up("classifier", name.partition(":")[0], points)
