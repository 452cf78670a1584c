"""Weights & Biases: a run a cell, offline unless there is an account to use.

``WANDB_MODE`` decides; without it runs are online if ``WANDB_API_KEY`` is set, else they are files
below the folder, which ``wandb sync`` sends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import wandb

from fsgan_bench.trackers.tracker import TrackedCell

STEP = "iteration"


class WeightsAndBiases:
    """One run, with the iteration as the axis of everything, in whatever order it comes."""

    def __init__(self, folder: Path, cell: TrackedCell) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key = os.environ.get("WANDB_API_KEY")
        mode = os.environ.get("WANDB_MODE", "online" if key else "offline")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "fsgan-bench"),
            dir=str(folder),
            id=cell.hash[:16],
            name=f"{cell.group}: {cell.name}",
            group=cell.group,
            config=dict(cell.config),
            mode=mode,  # type: ignore[arg-type]
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )
        self.run.define_metric("*", step_metric=STEP)

    def log(self, iteration: int, values: Mapping[str, float]) -> None:
        self.run.log({STEP: iteration, **values})

    def image(self, iteration: int, path: Path) -> None:
        self.run.log({STEP: iteration, "same noise": wandb.Image(str(path))})

    def finish(self, done: bool) -> None:
        self.run.finish(exit_code=0 if done else 1)
