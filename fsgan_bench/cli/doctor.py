"""``fsgan-bench doctor``: what is installed, found and missing; what a bug report needs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import click
import cloup

from fsgan_bench import __version__

PACKAGES = ("torch", "torchvision", "numpy", "timm", "lpips", "clean-fid", "scikit-learn")
GROUP = "fsgan_bench."


@cloup.command()
def doctor() -> None:
    """Say what is installed, found and missing, a line each: paste it into a bug report.

    \b
    Example: fsgan-bench doctor
    """
    from fsgan_bench.errors import printable

    for name, value in lines():
        click.echo(printable(f"{name:<12}  {value}"))


def lines() -> Iterator[tuple[str, str]]:
    """What there is to say: a word and a line."""
    from rich.filesize import decimal

    from fsgan_bench.data.cache import cache_dir
    from fsgan_bench.features.weights import WEIGHTS, look_for
    from fsgan_bench.suites.file import SUITES, get_suite
    from fsgan_bench.system.machine import cores, description, free_memory

    machine = description()
    yield "fsgan-bench", __version__
    yield "python", f"{machine['python']} on {machine['platform']}"
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    free = free_memory("cpu")
    yield (
        "processor",
        f"{cores()} core(s), " + ("memory unknown" if free is None else f"{decimal(free)} free"),
    )
    yield "accelerator", _accelerators()
    for finding in map(look_for, WEIGHTS.values()):
        where = "" if finding.path is None else f" at {finding.path}"
        yield "weights", f"{finding.weights.name}: {finding.state}{where}"
    for suite in map(get_suite, SUITES):
        found = suite.source.found
        yield "suite", f"{suite.name}: source model {found or 'missing'}"
    yield from _registries()
    folder = cache_dir()
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    size = decimal(sum(file.stat().st_size for file in files))
    yield "cache", f"{folder}: {len(files):,} file(s), {size}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _accelerators() -> str:
    import torch

    from fsgan_bench.system.machine import accelerators

    if not torch.cuda.is_available():
        return "none (torch sees no CUDA device)"
    return accelerators(range(torch.cuda.device_count()))


def _registries() -> Iterator[tuple[str, str]]:
    """Everything that packages bring, by kind, and what of it is broken."""
    from fsgan_bench.plugins.classifiers import CLASSIFIERS
    from fsgan_bench.plugins.entry_points import find_plugins, load_each
    from fsgan_bench.plugins.methods import find_methods, load_methods
    from fsgan_bench.plugins.metrics import find_metrics

    points = metadata.entry_points()
    for group in sorted(group for group in points.groups if group.startswith(GROUP)):
        names = sorted({_named(point) for point in points.select(group=group)})
        yield group.removeprefix(GROUP), ", ".join(names)
    entries, broken = find_methods()
    load_methods(entries, entries, broken)
    classifiers, broken_classifiers = find_plugins(CLASSIFIERS)
    load_each(classifiers.values(), broken_classifiers)
    for problem in {**broken, **find_metrics()[1], **broken_classifiers}.values():
        yield "broken", problem


def _named(point: metadata.EntryPoint) -> str:
    origin = point.dist.name if point.dist else "unknown"
    return point.name if origin == "fsgan-bench" else f"{point.name} ({origin})"
