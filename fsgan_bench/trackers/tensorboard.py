"""TensorBoard: event files below ``tensorboard``, a folder a cell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorboard  # noqa: F401  torch's writer needs it, and says so less plainly
from PIL import Image
from torch.utils.tensorboard.writer import SummaryWriter

from fsgan_bench.trackers.tracker import TrackedCell


def _segment(text: str) -> str:
    """``text`` as the name of one folder, whatever a file from elsewhere has put into it."""
    return re.sub(r"[^\w.+=()-]+", "-", text).lstrip(".")


class TensorBoard:
    """Writes event files; earlier ones of the cell go."""

    def __init__(self, folder: Path, cell: TrackedCell) -> None:
        place = folder / "tensorboard" / _segment(cell.group)
        place /= _segment(f"{cell.name}-{cell.hash[:8]}")
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        self.writer = SummaryWriter(str(place))
        settings = json.dumps(dict(cell.config), indent=2)
        self.writer.add_text("config", "\n".join(f"    {line}" for line in settings.splitlines()))

    def log(self, iteration: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, iteration)
        self.writer.flush()

    def image(self, iteration: int, path: Path) -> None:
        with Image.open(path) as file:
            pixels = np.asarray(file.convert("RGB"))
        self.writer.add_image("same noise", pixels, iteration, dataformats="HWC")

    def finish(self, done: bool) -> None:
        self.writer.close()
