"""Methods out of somebody's Python file, and what a class must be to count as a method."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import UserError, check_name, where_defined, where_raised

if TYPE_CHECKING:
    from fsgan_bench.method import Method


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
    methods = [check_class(cls, cls.__name__) for cls in named if issubclass(cls, Method)]
    if not methods:
        _ = [check_class(cls, cls.__name__) for cls in named]
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


def check_class(loaded: Any, label: str) -> type[Method]:
    """``loaded`` if it can be a method: the right base class, a name, a config; else a sentence.

    Raises:
        UserError: it is none; says what ``label`` lacks, with file and line.
    """
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
