"""What a task's Frechet distance is to, and how many images of which sets it compares."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fsgan_bench.data.targets import TargetImages
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.names import INCEPTIONS
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.statistics_file import read_statistics
from fsgan_bench.suites.model import Suite


def frechet_reference(
    suite: Suite,
    images: TargetImages,
    backbone: Backbone,
    held_out: Tensor | None,
    statistics: Path | None,
    resolution: int,
) -> FrechetReference | None:
    """The statistics in a file, or else those of the images that ``suite.reference`` names.

    Args:
        suite: of the task.
        images: of the target.
        backbone: whose pooled features are compared.
        held_out: features [N, d] of the held-out real images; None without any.
        statistics: the file, if there is one.
        resolution: of the generated images.
    """
    if statistics is not None:
        return read_statistics(statistics, backbone.pooled_dim)
    blocks = images.every_real(resolution) if suite.reference == "all" else None
    if blocks is not None:
        features = torch.cat([backbone.pooled(block) for block in blocks])
        return FrechetReference(features) if len(features) > 1 else None
    return None if held_out is None else FrechetReference(held_out)


def compared(
    suite: Suite,
    backbone: str,
    reference: FrechetReference | None,
    generated: int,
    learnt_from: int,
) -> str:
    """How many images of which sets a Frechet distance compares, in one clause.

    Empty where it is no FID and to images that nothing else sees.

    Args:
        suite: of the task.
        backbone: name of the network.
        reference: what the distance is to.
        generated: generated images.
        learnt_from: real images that the classifier learns from, 0 without one.
    """
    if reference is None or reference.count is None:
        return ""
    if backbone not in INCEPTIONS and suite.reference == "held-out":
        return ""
    made = f"compares {generated:,} generated images with"
    if suite.reference == "held-out":
        return f"{made} {reference.count:,} held-out real ones"
    taught = f"{learnt_from:,} that taught the classifier, and " if learnt_from else ""
    return (
        f"{made} all {reference.count:,} real ones, mirrored at random, among them "
        f"{taught}what is also in the few-shot set"
    )
