"""An adapted generator as a file that other code loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn
from torch.nn.utils import parametrize

from fsgan_bench.errors import UserError
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CELL, CellFiles
from fsgan_bench.snapshots.restore import stored_sampler, stored_task
from fsgan_bench.snapshots.samplers import stored_iterations
from fsgan_bench.stylegan2.checkpoint import (
    check_target,
    generator_of,
    write_networks,
)
from fsgan_bench.stylegan2.networks import Generator
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.training.method import Method

PREFIX = "generator."


def cell_of(path: Path) -> Path | None:
    """The folder of the cell that ``path`` is, or a snapshot of which it is; None if of none."""
    for folder in (path, path.parent.parent):
        if (folder / CELL).is_file():
            return folder
    return None


def export_network(
    path: Path,
    target: Path,
    *,
    iteration: int | None = None,
    suite: str | None = None,
    data: Path | None = None,
    plugins: Sequence[Path] = (),
) -> int:
    """Write the generator of a cell's snapshot in the layout that the suffix of ``target`` names.

    Weights that a method makes of others, as AdAM's modulations do, are written as they come out.

    Args:
        path: the cell's folder, or one of its snapshots.
        target: ``.pt`` or ``.safetensors``, which must not exist.
        iteration: of the snapshot; by default the last that is kept.
        suite, data: as in ``restore.stored_task``, where the method's weights are made of others.
        plugins: plugin files with the method.

    Returns:
        The iteration that was written.

    Raises:
        UserError: there is no such snapshot, its sampler is no plain generator, or ``target``
            exists or is of no layout written here.
    """
    check_target(target)
    folder = cell_of(path)
    assert folder is not None
    record = read_cell(CellFiles(folder))
    cell = record.cell
    snapshot = exported_snapshot(CellFiles(folder), iteration) if path == folder else path
    if cell.imported is None:
        _check_plain(cell.method, plugins)
    try:
        tensors, card = read_tensors(snapshot)
    except Exception as error:  # what a damaged file raises is open
        raise UserError(f"{snapshot} is damaged and cannot be read.") from error
    if any(".parametrizations." in name for name in tensors):
        task = stored_task(folder.parent.parent, cell, suite, data)
        _, modules, _ = stored_sampler(task, cell, snapshot, plugins)
        generator = _plain(modules["generator"])
    else:
        state = {n.removeprefix(PREFIX): v for n, v in tensors.items() if n.startswith(PREFIX)}
        generator = generator_of(snapshot, state)
    at = int(card.get("iteration", snapshot.stem))
    names = ("suite", "target", "shots", "method", "seed")
    described = {name: getattr(cell, name) for name in names}
    write_networks(target, generator, None, {**described, "cell": record.hash, "iteration": at})
    return at


def exported_snapshot(files: CellFiles, iteration: int | None) -> Path:
    """The snapshot of an iteration, by default of the last.

    Raises:
        UserError: it is not stored.
    """
    stored = stored_iterations(files)
    if iteration is not None and iteration not in stored:
        raise UserError(
            f"{files.folder} keeps no snapshot of iteration {iteration}; it has "
            f"{', '.join(map(str, stored))}."
        )
    return files.snapshot(stored[-1] if iteration is None else iteration)


def _check_plain(name: str, plugins: Sequence[Path]) -> None:
    """Refuse a method whose images do not come from its generator alone."""
    entry = method_entries(plugins).get(name)
    if entry is None:
        raise UserError(f"There is no method '{name}' here; name its --plugin.")
    method = entry.load()
    if method.sample is not Method.sample:
        raise UserError(
            f"{method.title} does not sample with a plain generator: it draws through more than "
            "that, and no other code's file has a place for it."
        )


def _plain(generator: nn.Module) -> Generator:
    """A generator whose weights are what its parametrizations made of them."""
    for module in generator.modules():
        for name in list(getattr(module, "parametrizations", ())):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    assert isinstance(generator, Generator)
    return generator
