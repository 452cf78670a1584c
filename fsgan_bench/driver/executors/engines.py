"""Which engine ``--executor`` stands for: ours, and what other packages bring."""

from __future__ import annotations

from typing import Any

from fsgan_bench.driver.executors.interface import Executor, RunSetting
from fsgan_bench.errors import UserError
from fsgan_bench.plugins import entry_points
from fsgan_bench.plugins.entry_points import PluginKind


def _check(loaded: Any, label: str) -> type[Executor]:
    if isinstance(loaded, type) and issubclass(loaded, Executor):
        return loaded
    raise UserError(f"{label} is no class derived from {Executor.__module__}.Executor.")


EXECUTORS: PluginKind[type[Executor]] = PluginKind("executor", "fsgan_bench.executors", _check)


def load_engine(spec: str) -> type[Executor]:
    """The class of the engine that ``NAME`` or ``NAME:PROFILE`` names.

    Raises:
        UserError: there is none (with a suggestion), or it is broken.
    """
    return entry_points.load_named(EXECUTORS, spec.partition(":")[0])


def open_executor(spec: str, **setting: Any) -> Executor:
    """The engine of ``NAME`` or ``NAME:PROFILE``; nothing is started yet.

    Args:
        spec: what ``--executor`` takes.
        setting: the other fields of :class:`RunSetting`.

    Raises:
        UserError: there is no such engine or profile, or its package is missing.
    """
    profile = spec.partition(":")[2]
    return load_engine(spec)(RunSetting(profile=profile or None, **setting))
