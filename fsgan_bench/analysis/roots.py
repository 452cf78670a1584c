"""Two results roots: which tasks, methods and seeds both have, and what they were made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.description import KINDS
from fsgan_bench.results import curves
from fsgan_bench.results.curves import Variant
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.naming import leaves
from fsgan_bench.results.reader import DONE, TaskResults
from fsgan_bench.results.records import CellRecord
from fsgan_bench.results.references import REFERENCE_TITLES
from fsgan_bench.results.scales import scales_of_kind


def by_title(tasks: Sequence[TaskResults]) -> dict[str, TaskResults]:
    """A root's tasks by what they are called.

    Raises:
        UserError: it has one twice.
    """
    found: dict[str, TaskResults] = {}
    for results in tasks:
        title = results.task.short_title
        if other := found.get(title):
            raise UserError(
                f"{results.folder} and {other.folder} are one task ({title}); compare one root "
                "with one other."
            )
        found[title] = results
    return found


def variants_of_both(
    name: str, one: TaskResults, other: TaskResults, notes: list[str]
) -> Iterator[tuple[Variant, Variant]]:
    """Variants of the same settings, then of one label; ``notes`` gets what one has alone."""
    was, now = ({each.key: each for each in curves.variants(of)} for of in (one, other))
    left = {each.label: key for key, each in now.items() if key not in was}
    keys = {
        key: key if key in now else left[each.label]
        for key, each in was.items()
        if key in now or each.label in left
    }
    alone = {
        "first": [each.label for key, each in was.items() if key not in keys],
        "second": [each.label for key, each in now.items() if key not in keys.values()],
    }
    for which, labels in alone.items():
        if labels:
            notes.append(f"{name}: {', '.join(sorted(labels))} only in the {which}.")
    for key, its in keys.items():
        for which, seeds in (
            ("first", set(was[key].seeds) - set(now[its].seeds)),
            ("second", set(now[its].seeds) - set(was[key].seeds)),
        ):
            if seeds:
                numbers = ", ".join(map(str, sorted(seeds)))
                notes.append(
                    f"{name}: seed {numbers} of {was[key].label} finished only in the {which}."
                )
        yield was[key], now[its]


def yardstick_changes(name: str, one: TaskResults, other: TaskResults) -> Iterator[str]:
    """What scores were measured with, if that is not the same in both."""
    for what, was, now in (
        *((what, was, other.task.made_with[what]) for what, was in one.task.made_with.items()),
        ("probe batch", one.task.probe_hash, other.task.probe_hash),
    ):
        if was and now and was != now:
            yield f"{name}: another {what} ({was[:8]} before, {now[:8]} after)."
    versions = [_versions(of) for of in (one, other)]
    for which, alone in (
        ("first", versions[0].keys() - versions[1].keys()),
        ("second", versions[1].keys() - versions[0].keys()),
    ):
        if alone:
            names = ", ".join(sorted(f"{metric} ({backbone})" for metric, backbone in alone))
            yield f"{name}: scored only in the {which}: {names}."
    for key in versions[0].keys() & versions[1].keys():
        before, after = (of[key] for of in versions)
        if not before & after:
            differ = "; ".join(", ".join(sorted(each)) for each in (before, after))
            yield f"{name}: {key[0]} is not compared, its versions differ ({differ})."
    for reference, title in REFERENCE_TITLES.items():
        for scale in scales_of_kind(one, *KINDS):
            found = [curves.reference(of, reference, scale) for of in (one, other)]
            if found[0] and found[1] and found[0][0] != found[1][0]:
                yield (
                    f"{name}: the {scale.name()} of the {title} is {found[1][0]:.4g}, "
                    f"was {found[0][0]:.4g}."
                )


def _versions(results: TaskResults) -> dict[tuple[str, str], set[str]]:
    """The versions that each metric was scored with, by its name and backbone."""
    found: dict[tuple[str, str], set[str]] = {}
    for scale in scales_of_kind(results, *KINDS):
        found.setdefault((scale.metric, scale.backbone), set()).add(scale.version)
    return found


def finished_cells(results: TaskResults, variant: Variant) -> dict[int, Path]:
    """Folders of a variant's finished cells by seed."""
    cells = results.cells[
        (results.cells["variant"] == variant.key) & (results.cells["status"] == DONE)
    ]
    return {
        int(seed): Path(str(folder))
        for seed, folder in zip(cells["seed"], cells["folder"], strict=True)
    }


def made_changes(
    was: Mapping[int, Path], now: Mapping[int, Path]
) -> Iterator[tuple[str, str, str]]:
    """Settings and provenance that differ between the cells of one method, per seed."""
    for seed in was.keys() & now.keys():
        one, other = (_made(read_cell(CellFiles(side[seed]))) for side in (was, now))
        for name in dict.fromkeys([*one, *other]):
            if one.get(name) != other.get(name):
                yield name, one.get(name, "-"), other.get(name, "-")


def _made(record: CellRecord) -> dict[str, str]:
    """All that a cell is and was made by, by dotted name; the content hash is short."""
    provenance = record.provenance.model_dump(exclude={"form"})
    return {"hash": record.hash[:8]} | leaves(record.cell.stored) | leaves(provenance)
