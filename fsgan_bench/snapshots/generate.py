"""Drawing from samplers: single images, sheets, walks through the latents, and adaptations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fsgan_bench import __version__
from fsgan_bench.data.images import Images, save_png
from fsgan_bench.errors import UserError
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.snapshots.animation import check_format, save_animation, sheet
from fsgan_bench.snapshots.image_files import check_new, read_manifest, write_images
from fsgan_bench.snapshots.latents import StoredLatents, check_seeds, same_as, seeded, walk
from fsgan_bench.snapshots.samplers import (
    LayerNoise,
    Sampler,
    load_sampler,
    stored_iterations,
)
from fsgan_bench.system.files import write_json
from fsgan_bench.system.machine import default_device

COUNTS = {"images": 1000, "grid": 8, "iterations": 8, "interpolate": 1}
"""Images of each sampler, by what is drawn."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4")
"""Suffixes of single files, which no folder of images has."""

LAST_HELD = 3
"""The last frame of an adaptation is shown so many times as long as another."""


@dataclass(frozen=True)
class Drawing:
    """What to draw; see ``fsgan-bench generate --help`` for each field.

    ``mode`` is images, grid, interpolate or iterations.
    """

    samplers: tuple[Path, ...]
    out: Path
    mode: str = "images"
    count: int | None = None
    seed: int = 0
    other: Path | None = None
    truncation: float = 1.0
    noise: LayerNoise = "fixed"
    iteration: int | None = None
    anchors: int | None = None
    frames: int = 120
    seconds: float = 4.0
    tile: int = 128
    suite: str | None = None
    data: Path | None = None
    plugins: tuple[Path, ...] = ()
    device: str = field(default_factory=default_device)

    def load(self, path: Path, iteration: int | None = None) -> Sampler:
        return load_sampler(
            path,
            iteration,
            suite=self.suite,
            data=self.data,
            plugins=self.plugins,
            device=self.device,
        )

    def latents(self, style_dim: int) -> StoredLatents:
        """The latents that every sampler draws from."""
        if self.other is not None:
            count = self.count if self.mode == "images" else self.count or COUNTS[self.mode]
            return same_as(
                self.other, read_manifest(self.other), count, style_dim, self.suite, self.data
            )
        return seeded(self.seed, self.count or COUNTS[self.mode], style_dim)

    def draw(self, sampler: Sampler, latents: StoredLatents) -> Iterator[Images]:
        return sampler.draw(latents, self.truncation, self.noise)


def generate_images(drawing: Drawing) -> Path:
    """Draw, and write ``drawing.out``, which appears whole or not at all; returns it.

    Raises:
        UserError: a sampler cannot be had, ``out`` exists or has a name for something else, or the
            samplers take latents of different sizes.
    """
    check_new("--out", drawing.out)
    check_seeds([drawing.seed + (drawing.count or 0) * (drawing.anchors or 1)])
    write = {
        "images": _images,
        "grid": _grid,
        "interpolate": _walk,
        "iterations": _adaptation,
    }[drawing.mode]
    write(drawing)
    return drawing.out


def _images(drawing: Drawing) -> None:
    if len(drawing.samplers) > 1:
        raise UserError(
            "Single images are drawn from one generator at a time; --grid shows several."
        )
    if drawing.out.suffix.lower() in PICTURES:
        raise UserError(
            f"--out {drawing.out}: single images go into a folder or a .zip; --grid makes a .png."
        )
    sampler = drawing.load(drawing.samplers[0], drawing.iteration)
    latents = drawing.latents(sampler.style_dim)
    key = "probe" if latents.record["kind"] == "probe" else "seed"
    manifest = _manifest(drawing, latents, [sampler])
    each = [{key: seed} for seed in latents.seeds]
    write_images(drawing.out, drawing.draw(sampler, latents), manifest | {"each": each})


def _grid(drawing: Drawing) -> None:
    if drawing.out.suffix.lower() != ".png":
        raise UserError(f"--out {drawing.out}: a sheet of images ends in .png.")
    check_new("--out", drawing.out.with_suffix(".json"))
    samplers = [drawing.load(path, drawing.iteration) for path in drawing.samplers]
    latents = drawing.latents(samplers[0].style_dim)
    rows = [np.concatenate(list(drawing.draw(sampler, latents))) for sampler in samplers]
    labels = _labels(samplers)
    save_png(sheet(rows, labels, drawing.tile), drawing.out)
    manifest = _manifest(drawing, latents, samplers)
    write_json(drawing.out.with_suffix(".json"), manifest)


def _walk(drawing: Drawing) -> None:
    check_format(drawing.out)
    samplers = [drawing.load(path, drawing.iteration) for path in drawing.samplers]
    anchors, dim = drawing.anchors or 2, samplers[0].style_dim
    count = drawing.count or COUNTS[drawing.mode]
    walks = [walk(drawing.seed + n * anchors, anchors, drawing.frames, dim) for n in range(count)]
    rows = []
    for sampler in samplers:
        each = []
        for number, points in enumerate(walks):
            seeds = (drawing.seed + number,) * drawing.frames
            batch = StoredLatents(torch.stack(points), seeds, {})
            each.append(np.concatenate(list(drawing.draw(sampler, batch))))
        rows.append(np.stack(each))
    labels = _labels(samplers)
    frames = [
        sheet([row[:, at] for row in rows], labels, drawing.tile) for at in range(drawing.frames)
    ]
    shown = [round(1000 * drawing.seconds / drawing.frames)] * drawing.frames
    save_animation(drawing.out, frames, shown)


def _adaptation(drawing: Drawing) -> None:
    check_format(drawing.out)
    if files := [path for path in drawing.samplers if not (path / "cell.json").is_file()]:
        raise UserError(f"--iterations all needs the folders of cells, and {files[0]} is none.")
    stored = {path: stored_iterations(CellFiles(path)) for path in drawing.samplers}
    moments = sorted({iteration for iterations in stored.values() for iteration in iterations})
    latents: StoredLatents | None = None
    drawn: dict[tuple[Path, int], Images] = {}
    titles = {}
    for path, iterations in stored.items():
        for iteration in iterations:
            sampler = drawing.load(path, iteration)
            latents = latents or drawing.latents(sampler.style_dim)
            drawn[path, iteration] = np.concatenate(list(drawing.draw(sampler, latents)))
            titles[path] = sampler.title
    labels = [titles[path] for path in stored]
    frames = []
    for at in moments:
        # Between two of its snapshots a cell shows the earlier one.
        rows = [
            drawn[path, max([i for i in iterations if i <= at], default=iterations[0])]
            for path, iterations in stored.items()
        ]
        frames.append(sheet(rows, labels, drawing.tile, f"iteration {at:,}"))
    each = round(1000 * drawing.seconds / (len(frames) - 1 + LAST_HELD))
    save_animation(drawing.out, frames, [*[each] * (len(frames) - 1), each * LAST_HELD])


def _labels(samplers: Sequence[Sampler]) -> list[str]:
    """Their titles, none for a single one."""
    return [sampler.title for sampler in samplers] if len(samplers) > 1 else [""]


def _manifest(
    drawing: Drawing, latents: StoredLatents, samplers: Sequence[Sampler]
) -> dict[str, Any]:
    return {
        "fsgan_bench": __version__,
        "samplers": [dict(sampler.record) for sampler in samplers],
        "latents": dict(latents.record),
        "truncation": drawing.truncation,
        "layer_noise": drawing.noise,
    }
