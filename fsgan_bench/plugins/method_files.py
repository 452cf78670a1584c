"""Methods out of somebody's Python file, and what a class must be to count as a method."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import (
    UserError,
    check_name,
    what_happened,
    where_defined,
    where_raised,
)
from fsgan_bench.plugins.settings import build_config

if TYPE_CHECKING:
    from fsgan_bench.training.method import Method

ALL, NONE = "all", "none"

RESERVED = (ALL, NONE)
"""What ``--methods`` takes beside names."""

WORDS = ("name", "title", "version", "paper")
"""The class attributes of a method that are text."""


def load_plugin(path: Path) -> dict[str, type[Method]]:
    """Run a plugin file and return the methods that it defines, by name.

    Raises:
        UserError: the file is missing, fails, or defines no method; with file and line.
    """
    from fsgan_bench.training.method import Method

    if not path.is_file():
        raise UserError(f"There is no plugin file {path}.")
    module = _run(path.resolve())
    classes = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and hasattr(cls, "name")
    ]
    methods = [check_class(cls, cls.__name__) for cls in classes if issubclass(cls, Method)]
    if not methods:
        for cls in classes:
            check_class(cls, cls.__name__)
        raise UserError(
            f"The plugin {path} defines no method: it needs a subclass of "
            "fsgan_bench.Method with a name."
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
        raise UserError(f"The plugin {where}: {what_happened(error)}.") from error
    return module


def check_class(loaded: Any, label: str) -> type[Method]:
    """``loaded`` if it can be a method: the right base class, words about it, and a config.

    Raises:
        UserError: it cannot be one; says what ``label`` lacks, with file and line.
    """
    from fsgan_bench.training.method import Method

    where = f"{label} ({where_defined(loaded)})" if inspect.isclass(loaded) else label
    if not (inspect.isclass(loaded) and issubclass(loaded, Method)):
        raise UserError(f"The method {where} is not a subclass of fsgan_bench.Method.")
    missing = [name for name in WORDS if not hasattr(loaded, name)]
    if missing:
        raise UserError(f"The method {where} lacks the class attribute(s) {', '.join(missing)}.")
    for name in WORDS:
        word = getattr(loaded, name)
        if not isinstance(word, str) or not word or word != word.strip():
            raise UserError(
                f"The {name} of the method {where} must be a text without blanks around it, "
                f"not {word!r}."
            )
    check_name(f"method (in {where_defined(loaded)})", loaded.name)
    if loaded.name in RESERVED:
        raise UserError(
            f"The method {where} cannot be called '{loaded.name}', which stands for several."
        )
    if not (inspect.isclass(loaded.Config) and dataclasses.is_dataclass(loaded.Config)):
        raise UserError(f"The Config of the method {where} is no dataclass.")
    if needed := [field.name for field in dataclasses.fields(loaded.Config) if _is_needed(field)]:
        raise UserError(f"In the method {where} Config.{needed[0]} has no default.")
    config = build_config(loaded, {})
    try:
        json.dumps(dataclasses.asdict(config))
    except Exception as error:
        raise UserError(
            f"The Config of the method {where} cannot be written to JSON: {what_happened(error)}."
        ) from error
    return loaded


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing
