"""What of a suite's files is there, what is missing, and what that prevents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fsgan_bench.data.containers import open_entries
from fsgan_bench.errors import UserError
from fsgan_bench.features.weights import backbone_weights, look_for
from fsgan_bench.plugins.classifiers import classifier_weights
from fsgan_bench.stylegan2.checkpoint import Source, load_source
from fsgan_bench.suites.file import get_suite
from fsgan_bench.suites.model import Suite

MISSING = "missing"
ASSUMED_SIDE = 256
"""Resolution in which images are looked for where no source model tells it."""
NO_SOURCE = "none named; real images can be evaluated, nothing adapted"


def show_status(suite_name: str, data: Path | None, console: Console) -> None:
    """Print the state of a suite's files: a table, then what is missing and what that prevents.

    Raises:
        UserError: there is no such suite.
    """
    suite = get_suite(suite_name, data)
    file = suite.source.found
    without = MISSING if suite.source.candidates else NO_SOURCE
    side = suite.resolution or ASSUMED_SIDE
    model, lacking, side = _model(file) if file else (without, [], side)
    for line in (f"{suite.name}: {suite.title}", f"source model: {model}"):
        console.print(line, highlight=False, soft_wrap=True)
    if any(target.images.parts for target in suite.targets.values()):
        table, notes = _table(suite, side)
        console.print(table)
        lacking += notes
    for line in (*lacking, *missing_files(suite), *missing_weights(suite, suite_name)):
        console.print(line, highlight=False, soft_wrap=True)


def _table(suite: Suite, side: int) -> tuple[Table, list[str]]:
    """A row a target, with its aliases; a column for each kind of images. Then notes on them."""
    notes: dict[str, None] = {}
    kinds = dict.fromkeys(p.name for t in suite.targets.values() for p in t.images.parts)
    table = Table(box=None, pad_edge=False)
    for heading in ("target", *kinds):
        table.add_column(heading, overflow="fold")
    for target in suite.targets.values():
        files = {part.name: part.location.found for part in target.images.parts}
        states = {
            kind: _images(path, side, notes) if path else MISSING for kind, path in files.items()
        }
        names = target.name + (f" ({', '.join(target.aliases)})" if target.aliases else "")
        table.add_row(names, *(states.get(kind, "-") for kind in kinds))
    return table, list(notes)


def missing_files(suite: Suite) -> Iterator[str]:
    """A line for each thing that is missing: for which targets, what that prevents, and where it
    is looked for, if the suite names it."""
    lacking: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for target in suite.targets.values():
        for part in suite.parts(target):
            if part.location.found is None:
                key = part.name, part.without, part.location.patterns
                lacking.setdefault(key, []).append(target.name)
    for (what, without, patterns), targets in lacking.items():
        whose = "" if len(targets) == len(suite.targets) else f" of {', '.join(targets)}"
        where = f"Looked for at {', '.join(patterns)}." if patterns else "The suite names none."
        yield f"Missing {what}{whose}: {without}. {where}"


def missing_weights(suite: Suite, suite_name: str) -> list[str]:
    """A line about the pretrained networks that a suite is scored with and that are not there."""
    needed = [*backbone_weights(suite.backbones), *classifier_weights(suite.classifier)]
    names = sorted({each.name for each in needed if look_for(each).problem})
    if not names:
        return []
    return [
        f"Missing weights {', '.join(names)}: nothing runs. fsgan-bench weights --suite "
        f"{suite_name} says what to fetch."
    ]


def describe_model(source: Source) -> tuple[str, list[str]]:
    """What a source model is, and a line about what it lacks, if it lacks anything."""
    side = source.generator.architecture.resolution
    if source.discriminator is not None:
        return f"{source.path}, generator and discriminator at {side}x{side}", [*source.notes]
    lacking = (
        "Missing discriminator of the source model: no method runs. fsgan-bench run --methods none "
        "still scores the source itself, and fsgan-bench convert takes the file."
    )
    return f"{source.path}, a generator alone at {side}x{side}", [lacking, *source.notes]


def _model(path: Path) -> tuple[str, list[str], int]:
    """What the source model is, what it lacks, and its resolution."""
    try:
        source = load_source(path)
    except UserError as error:
        return f"cannot be used: {error}", [], ASSUMED_SIDE
    return *describe_model(source), source.generator.architecture.resolution


def _images(path: Path, side: int, notes: dict[str, None]) -> str:
    try:
        with open_entries(path, side) as contents:
            notes |= dict.fromkeys(f"{path}: {note}" for note in contents.notes)
            return f"{len(contents.entries):,} at {path}"
    except UserError as error:
        return f"cannot be used: {error}"
