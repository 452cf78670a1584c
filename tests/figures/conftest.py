"""Run directories with made-up curves, laid out as the driver writes them."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fsgan_bench.metrics.description import SCORE_SCHEMA
from fsgan_bench.results.descriptions import describe
from fsgan_bench.results.looks import installed_look
from fsgan_bench.results.score_records import ScoreRecord

METHODS = {
    "tgan": "TGAN",
    "bsa": "BSA",
    "freezed": "FreezeD",
    "minegan": "MineGAN",
    "ewc": "EWC",
    "cdc": "CDC",
    "dcl": "DCL",
}
SNAPSHOTS = (0, 25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000)

# final p_t, iterations to half of it, depth of the early dip, final diversity, bump of noise
_SHAPES: dict[str, tuple[float, float, float, float, float]] = {
    "tgan": (0.94, 190, 0.05, 0.31, 0.10),
    "bsa": (0.91, 60, 0.0, 0.40, 0.0),
    "freezed": (0.95, 170, 0.04, 0.33, 0.08),
    "minegan": (0.93, 260, 0.05, 0.29, 0.12),
    "ewc": (0.90, 240, 0.03, 0.38, 0.06),
    "cdc": (0.92, 420, 0.03, 0.43, 0.09),
    "dcl": (0.93, 700, 0.02, 0.55, 0.14),
}
REFERENCES = {
    "source": (0.06, 0.747, 214.0),
    "real": (0.985, 0.502, 3.1),
    "ideal": (0.961, 0.488, 11.8),
}


def made_up(method: str, iteration: int, seed: int) -> dict[str, float]:
    """Plausible scores of a method at an iteration."""
    final, half, dip, diversity, bump = _SHAPES.get(method, (0.8, 300.0, 0.0, 0.35, 0.0))
    wobble = np.random.default_rng([seed, iteration, len(method)]).normal(0, 0.012, 3)
    if iteration == 0:
        wobble[:] = 0.0
    half *= 1 + 0.15 * math.sin(seed * 2.1 + 0.3)
    rise = iteration**2.4 / (iteration**2.4 + half**2.4)
    early = math.exp(-(((iteration - 0.35 * half) / (0.3 * half)) ** 2))
    start = REFERENCES["source"]
    p_t = start[0] + (final - start[0]) * rise - dip * early + wobble[0] * rise
    decay = start[1] + (diversity - start[1]) * (1 - math.exp(-iteration / (1.4 * half)))
    distance = start[2] + (24 - start[2]) * rise + 60 * bump * early
    return {
        "realisticness": float(np.clip(p_t, 0.002, 0.998)),
        "intra_lpips": float(max(decay + bump * early + wobble[1], 0.01)),
        "fd_lite0": float(distance * (1 + wobble[2])),
    }


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@functools.cache
def about(metric: str, backbone: str) -> dict[str, Any]:
    """What the driver stores beside a score: how its values are shown."""
    return asdict(describe(ScoreRecord(metric=metric, value=0.0, backbone=backbone, version="1")))


def score(metric: str, value: float, backbone: str = "lite0", version: str = "1") -> dict[str, Any]:
    line: dict[str, Any] = {"metric": metric, "value": value, "stderr": None, "n": 1000}
    line |= {"backbone": backbone, "version": version, "seconds": 0.4, "detail": {}}
    line |= {"schema": SCORE_SCHEMA, "about": about(metric, backbone)}
    if metric == "realisticness":
        line["stderr"] = 0.35 * math.sqrt(max(value * (1 - value), 0.0) / 1000) + 0.001
    if metric == "intra_lpips":
        line["stderr"] = 0.009
        sizes = [0, 260, 190, 150, 120, 100, 80, 60, 39, 1]
        line["detail"] = {"cluster_sizes": sizes, "empty": 1, "with_empty_as_zero": 0.9 * value}
    return line


def blocks(seed: int, count: int, resolution: int) -> NDArray[np.uint8]:
    """Images [count, R, R, 3] of four random colours each."""
    colours = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    half = resolution // 2
    return colours.repeat(half, axis=1).repeat(half, axis=2)


def write_strip(path: Path, images: NDArray[np.uint8]) -> None:
    """Up to 16 images as 2 rows of 8, the rest white."""
    size = images.shape[1]
    sheet = np.full((2 * size, 8 * size, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images[:16]):
        top, left = (i // 8) * size, (i % 8) * size
        sheet[top : top + size, left : left + size] = image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


class TaskWriter:
    """Writes one task folder, cell by cell."""

    def __init__(self, root: Path, target: str = "sketches", shots: int = 10) -> None:
        self.folder = root / "avatars" / f"{target}-{shots}shot"
        self.target, self.shots, self.resolution = target, shots, 16

    def task(
        self, ideal: bool = True, references: Sequence[str] = tuple(REFERENCES), **more: Any
    ) -> None:
        self.folder.mkdir(parents=True)
        task = {
            "suite": "avatars",
            "target": self.target,
            "shots": self.shots,
            "resolution": self.resolution,
            "source_title": "faces",
            "source": {"hash": "source", "card": {}},
            "few_shot_hash": "few-shot",
            "classifier_hash": "classifier",
            "protocol": "1",
            "target_title": "sketches",
            "attribution": "Based on Avataaars by Pablo Stanley (https://avataaars.com/).",
            **more,
        }
        (self.folder / "task.json").write_text(json.dumps(task))
        names = [name for name in references if ideal or name != "ideal"]
        write_lines(
            self.folder / "references.jsonl",
            (
                {"reference": name} | score(metric, value)
                for name in names
                for metric, value in zip(
                    ("realisticness", "intra_lpips", "fd_lite0"), REFERENCES[name], strict=True
                )
            ),
        )
        for number, name in enumerate(["few_shot", *names]):
            count = min(self.shots, 16) if name == "few_shot" else 16
            images = blocks(number, count, self.resolution)
            write_strip(self.folder / "strips" / f"{name}.png", images)

    def cell(
        self,
        method: str,
        seed: int = 0,
        status: str = "DONE",
        reason: str = "",
        snapshots: Sequence[int] = SNAPSHOTS,
        config: Mapping[str, Any] | None = None,
        scores: Callable[[str, int, int], dict[str, float]] = made_up,
        backbone: str = "lite0",
        version: str = "1",
    ) -> Path:
        config = dict(config or {})
        text = json.dumps([method, seed, config, list(snapshots)])
        digest = hashlib.sha256(text.encode()).hexdigest()
        folder = self.folder / method / f"seed{seed}-{digest[:8]}"
        folder.mkdir(parents=True)
        cell = {
            "suite": "avatars",
            "target": self.target,
            "shots": self.shots,
            "method": method,
            "title": METHODS.get(method, method),
            "paper": "",
            "method_version": "1",
            "config": config,
            "seed": seed,
            "iterations": max(snapshots),
            "snapshots": list(snapshots),
            "recipe": {"batch": 4, "lr": 0.002},
            "protocol": "1",
            "source_hash": "source",
            "few_shot_hash": "few-shot",
            "look": asdict(look) if (look := installed_look(method)) else None,
        }
        provenance = {"commit": None, "classifier_hash": "classifier"}
        document = {"schema": 2, "hash": digest, "cell": cell, "provenance": provenance}
        (folder / "cell.json").write_text(json.dumps(document))
        lines = []
        for iteration in snapshots:
            for metric, value in scores(method, iteration, seed).items():
                lines.append({"iteration": iteration} | score(metric, value, backbone, version))
            images = blocks(100 + iteration, 16, self.resolution)
            write_strip(folder / "grids" / f"{iteration:06d}.png", images)
        write_lines(folder / "scores.jsonl", lines)
        timing = {"training_seconds": 312.4 + 10 * seed, "scoring_seconds": 41.0}
        (folder / "timing.json").write_text(json.dumps(timing))
        if status in ("DONE", "FAILED"):
            (folder / status).write_text(reason)
        return folder


@pytest.fixture
def writer(tmp_path: Path) -> TaskWriter:
    """A writer of a task folder in a run root of its own: ``writer.folder``."""
    return TaskWriter(tmp_path / "runs")


@pytest.fixture(scope="session")
def task_writer() -> type[TaskWriter]:
    """The writer's class, for fixtures of more than one test."""
    return TaskWriter
