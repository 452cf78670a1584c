"""What of a suite's files is there, what is missing, and what that prevents."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from fsgan_bench.data.containers import open_entries
from fsgan_bench.data.targets import Part
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.suite import Suite, get_suite

MISSING = "missing"


def show_status(name: str, data: Path | None, console: Console) -> None:
    """Print the state of a suite's files: a table, then what is missing and what that prevents.

    Raises:
        UserError: there is no such suite.
    """
    suite = get_suite(name, data)
    console.print(f"{suite.name}: {suite.title}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("target", "what", "state", "where"):
        table.add_column(heading, overflow="fold")
    found = suite.source.found
    table.add_row("all", "source model", _model(found) if found else MISSING, str(found or "-"))
    for target in suite.targets.values():
        for part in target.images.parts:
            found = part.location.found
            state = _images(found) if found else MISSING
            table.add_row(target.name, part.name, state, str(found or "-"))
    console.print(table)
    for (what, without), lacking in _missing(suite).items():
        console.print(f"Without the {what}: {without}. Looked for, the first that is there counts:")
        for name, part in lacking.items():
            paths = ", ".join(map(str, part.location.candidates))
            console.print(f"  {name}: {paths}", highlight=False, soft_wrap=True)


def _missing(suite: Suite) -> dict[tuple[str, str], dict[str, Part]]:
    """What is missing by target, for each kind of it and what it prevents.

    What several targets share is said once.
    """
    kinds: dict[tuple[str, str], dict[str, Part]] = {}
    for target in suite.targets.values():
        for part in suite.parts(target):
            if part.location.found is None:
                lacking = kinds.setdefault((part.name, part.without), {})
                if part not in lacking.values():
                    lacking[target.name] = part
    return kinds


def _model(path: Path) -> str:
    try:
        generator, discriminator, _ = load_networks(path)
    except UserError as error:
        return f"cannot be used: {error}"
    if discriminator is None:
        return "a generator alone: fsgan-bench convert takes it, adaptation needs a discriminator"
    side = generator.architecture.resolution
    return f"generator and discriminator at {side}x{side}"


def _images(path: Path) -> str:
    try:
        with open_entries(path, 1) as entries:
            return f"{len(entries):,} image{'' if len(entries) == 1 else 's'}"
    except UserError as error:
        return f"cannot be used: {error}"
