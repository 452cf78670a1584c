"""Draws docs/images/metrics.png: sets of images of which it is known what is wrong with them.

``python docs/stress.py`` scores them by every metric, in about a minute.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fsgan_bench.data.images import Images
from fsgan_bench.driver.task import Task, TaskRequest
from fsgan_bench.metrics.registry import OURS
from fsgan_bench.metrics.retention import LEVELS

PICTURE = Path(__file__).with_name("images") / "metrics.png"
TARGET, SHOTS, TILES = "watercolours", 10, 6
GRAIN = 25.0
"""Standard deviation of the added grain, in levels of 255."""

LEFT_OUT = ("intra_lpips_cdc2021", "retention", *(f"retention_{level}" for level in LEVELS))


def image_sets(task: Task) -> dict[str, tuple[Images, bool]]:
    """Sets by what they are, and whether each image belongs to a latent of the probe batch."""
    ideal_of = task.target.images.ideal
    assert ideal_of is not None
    source = task.source_images
    ideal = ideal_of(source)
    grain = np.random.default_rng(0).normal(0.0, GRAIN, ideal.shape)
    noisy = (ideal + grain).clip(0, 255).astype(np.uint8)
    copies = np.resize(task.splits.few_shot, ideal.shape)
    return {
        "other real images": (task.splits.held_out, False),
        "source, not adapted": (source, True),
        "ideal adaptation": (ideal, True),
        "ideal with grain": (noisy, True),
        "few-shot images, repeated": (copies, False),
    }


def main() -> None:
    task = Task(TaskRequest("avatars", TARGET, SHOTS, Path()))
    metrics = [metric for name, metric in OURS.items() if name not in LEFT_OUT]
    rows = []
    for name, (images, paired) in image_sets(task).items():
        scored = task.scorer.score(images, metrics=metrics, paired=paired)
        rows.append((name, images, {score.about.short: score.value for score in scored.scores}))
    draw(rows)


def draw(rows: list[tuple[str, Images, dict[str, float | None]]]) -> None:
    """A row a set: some of its images, and its scores."""
    columns = list(dict.fromkeys(title for _, _, scores in rows for title in scores))
    figure, axes = plt.subplots(
        len(rows), 2, figsize=(13, 1.05 * len(rows) + 0.5), width_ratios=(5, 9), squeeze=False
    )
    figure.subplots_adjust(left=0.005, right=0.995, top=0.86, bottom=0.02, wspace=0.02, hspace=0.3)
    places = (np.arange(len(columns)) + 0.5) / len(columns)
    for place, title in zip(places, columns, strict=True):
        heading = title.replace(" ", "\n")
        axes[0, 1].text(place, 1.15, heading, ha="center", va="bottom", fontsize=9)
    for (name, images, scores), (left, right) in zip(rows, axes, strict=True):
        left.imshow(np.concatenate(list(images[:TILES]), axis=1), interpolation="nearest")
        left.set_title(name, fontsize=9, loc="left", pad=2)
        for axis in (left, right):
            axis.set_axis_off()
        for place, title in zip(places, columns, strict=True):
            value = scores.get(title)
            text = "-" if value is None else f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2f}"
            right.text(place, 0.5, text, ha="center", va="center", fontsize=10)
    figure.savefig(PICTURE, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
