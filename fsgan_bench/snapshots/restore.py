"""What runs left on disk, brought back: the task of a cell, and a snapshot's sampler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fsgan_bench.data.images import Images
from fsgan_bench.data.sources import load_images
from fsgan_bench.driver.task import Task, TaskRequest, load_task
from fsgan_bench.errors import UserError, what_happened
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.records import CellFields
from fsgan_bench.snapshots.image_files import read_manifest
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.suites.file import SUITES
from fsgan_bench.training.method import Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session


def stored_task(
    folder: Path,
    cell: CellFields,
    suite: str | None = None,
    data: Path | None = None,
    device: str = "cpu",
) -> Task:
    """The task in ``folder`` of a cell's specification, whatever its classifier's checks say.

    Raises:
        UserError: its suite is not built in and not given, is another than ``suite``, or lacks
            files.
    """
    name = suite or cell.suite
    if suite is None and name not in SUITES:
        raise UserError(f"the suite '{name}' is not built in; name its file by --suite")
    request = TaskRequest(
        suite=name,
        target=cell.target,
        shots=cell.shots,
        root=folder.parent.parent,
        data=data,
        device=device,
        allow_weak_classifier=True,
    )
    task = load_task(request)
    if task.suite.name != cell.suite:
        raise UserError(f"its suite is '{cell.suite}', not '{task.suite.name}'.")
    return task


@dataclass(frozen=True, eq=False)
class Seen:
    """What a stored snapshot shows.

    Attributes:
        images: of the probe batch, or the set's own, uint8 [N, R, R, 3].
        further: what the Frechet distance takes beyond them.
        paired: whether the images are those of the source's latents, in order.
        card: what the snapshot says of itself.
    """

    images: Images
    further: Iterable[Images]
    paired: bool
    card: Mapping[str, Any]


def look_again(task: Task, cell: CellFields, snapshot: Path, plugins: Sequence[Path] = ()) -> Seen:
    """What a cell's snapshot shows, drawn again or, of a set of images, read again.

    Raises:
        UserError: as :func:`stored_sampler`, or the images are damaged.
    """
    paired = cell.imported is None or cell.imported.paired
    if snapshot.suffix == ".zip":
        images = load_images(snapshot, task.resolution, repeats="keep")
        size = task.suite.probe_size
        further = (images[size:],) if len(images) > size else ()
        return Seen(images[:size], further, paired, read_manifest(snapshot) or {})
    method, modules, card = stored_sampler(task, cell, snapshot, plugins)
    images = task.probe.generate(method, modules)
    return Seen(images, task.probe.generate_further(method, modules), paired, card)


def stored_sampler(
    task: Task, cell: CellFields, snapshot: Path, plugins: Sequence[Path] = ()
) -> tuple[Method, dict[str, nn.Module], Mapping[str, Any]]:
    """The method of a cell's specification, the modules in a snapshot, and the snapshot's card.

    Raises:
        UserError: there is no such method, or the file is damaged or does not fit it.
    """
    if cell.imported is not None:
        read = load_networks(snapshot)
        return Method(), {"generator": read.generator.to(task.request.device)}, read.card
    entry = method_entries(plugins).get(cell.method)
    if entry is None:
        raise UserError(f"there is no method '{cell.method}' to draw with; name its --plugin")
    try:
        loaded = entry.load()
        method = loaded(build_config(loaded, cell.config))
        session = Session(
            method,
            *task.source.pair,
            task.splits.few_shot,
            recipe=Recipe(**cell.recipe),
            seed=cell.seed,
            iterations=cell.iterations,
            device=task.request.device,
        )
        tensors, card = read_tensors(snapshot)
        session.averaged.load_state_dict(tensors)
    except Exception as error:  # what a damaged snapshot or another version raises is open
        raise UserError(f"the snapshot cannot be read: {what_happened(error)}") from error
    return method, dict(session.averaged.items()), card
