"""What images are drawn from: latents by seed, the probe batch, or a walk between latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fsgan_bench.driver.probe import tensor_hash
from fsgan_bench.errors import UserError
from fsgan_bench.results.folders import read_task
from fsgan_bench.results.layout import TaskFiles
from fsgan_bench.suites.file import SUITES, get_suite
from fsgan_bench.training.streams import Streams

MAX_SEED = 2**53


@dataclass(frozen=True, eq=False)
class StoredLatents:
    """Latents ``z`` [N, style_dim], with a seed each, and how a manifest names them all.

    ``seeds`` are those of their fresh layer noise, and of the latents themselves unless they are of
    a probe batch.
    """

    z: Tensor
    seeds: tuple[int, ...]
    record: Mapping[str, Any]


def seeded(first: int, count: int, style_dim: int) -> StoredLatents:
    """A latent for each of ``count`` seeds from ``first`` on, the same however many there are."""
    seeds = tuple(range(first, first + count))
    z = torch.stack([torch.randn(style_dim, generator=Streams(seed)["latents"]) for seed in seeds])
    return StoredLatents(z, seeds, {"kind": "seeds", "first": first, "count": count})


def probe_batch(probe_seed: int, size: int, count: int, style_dim: int) -> StoredLatents:
    """The first ``count`` of the probe batch that cells of a suite are scored on."""
    if count > size:
        raise UserError(f"--count {count}: that probe batch has {size} latents.")
    z = torch.randn(size, style_dim, generator=Streams(probe_seed)["probe"])
    record = {"kind": "probe", "probe_seed": probe_seed, "size": size, "hash": tensor_hash(z)}
    return StoredLatents(z[:count], tuple(range(count)), record | {"count": count})


def same_as(
    other: Path,
    manifest: Mapping[str, Any] | None,
    count: int | None,
    style_dim: int,
    suite: str | None = None,
    data: Path | None = None,
) -> StoredLatents:
    """The latents of ``other``: images written before, or a task or a cell with its probe batch.

    Args:
        other: a folder or zip that ``generate`` wrote, or the folder of a task or of a cell.
        manifest: what :func:`fsgan_bench.snapshots.image_files.read_manifest` found in it.
        count: how many of them, by default all.
        style_dim: of the sampler that they are for.
        suite, data: of the cell, if its suite is not built in.

    Raises:
        UserError: ``other`` is neither, or the suite's probe batch is not the one of the runs.
    """
    if manifest is not None:
        return _recorded(other, manifest, count, style_dim)
    folders = (other, *other.resolve().parents[:2])
    task = next((f for f in map(TaskFiles, folders) if f.task.is_file()), None)
    if task is None:
        raise UserError(
            f"--same-noise-as {other}: there is neither a manifest.json of fsgan-bench generate "
            "nor a task.json of a run."
        )
    described = read_task(task)
    name = suite or described.suite
    if suite is None and name not in SUITES:
        raise UserError(
            f"{task.folder}: the suite '{name}' is not built in; name its file by --suite."
        )
    known = get_suite(name, data)
    latents = probe_batch(known.probe_seed, known.probe_size, count or known.probe_size, style_dim)
    if latents.record["hash"] != described.probe_hash:
        raise UserError(
            f"--same-noise-as {other}: its probe batch is not that of the suite '{known.name}', or "
            f"not one of latents of {style_dim} numbers."
        )
    return latents


def walk(first: int, anchors: int, frames: int, style_dim: int) -> list[Tensor]:
    """A closed walk through ``anchors`` seeded latents, [style_dim] for each of ``frames``.

    Between two anchors a and b it follows cos(t) a + sin(t) b, so that every point is distributed
    as a latent is (Gaussian, of the same variance), and the last frame leads back to the first.
    """
    z = seeded(first, anchors, style_dim).z
    points = []
    for frame in range(frames):
        place = frame * anchors / frames
        start, angle = int(place), (place - int(place)) * math.pi / 2
        after = z[(start + 1) % anchors]
        points.append(math.cos(angle) * z[start] + math.sin(angle) * after)
    return points


def _recorded(
    other: Path, manifest: Mapping[str, Any], count: int | None, style_dim: int
) -> StoredLatents:
    try:
        record = manifest["latents"]
        kind, stored = record["kind"], _number(record["count"])
        wanted = stored if count is None else count
        if kind == "seeds":
            return seeded(_number(record["first"]), wanted, style_dim)
        if kind == "probe":
            size = _number(record["size"])
            latents = probe_batch(_number(record["probe_seed"]), size, wanted, style_dim)
            if latents.record["hash"] == record["hash"]:
                return latents
            raise UserError(
                f"--same-noise-as {other}: its latents are not of {style_dim} numbers each."
            )
    except (KeyError, TypeError, ValueError):
        pass
    raise UserError(f"--same-noise-as {other}: its manifest.json does not say what was drawn.")


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ValueError
    return value


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UserError for a seed that a manifest could not hold."""
    if any(not 0 <= seed <= MAX_SEED for seed in seeds):
        raise UserError(f"--seed must be from 0 to {MAX_SEED:,}.")
