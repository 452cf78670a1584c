"""What scores the images of a task: the networks, and the yardstick that they are held against."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.cache import release
from fsgan_bench.data.images import Images
from fsgan_bench.data.splits import Splits
from fsgan_bench.data.targets import TargetImages
from fsgan_bench.driver.attributes import attribute_readers
from fsgan_bench.driver.learning import Learnt, too_few
from fsgan_bench.driver.reference import compared, frechet_reference
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.kept import kept_pooled
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import distance_to_nearest
from fsgan_bench.metrics.metric import NO_REFERENCE, Yardstick
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.suites.model import Suite


def make_scorer(
    suite: Suite,
    images: TargetImages,
    splits: Splits,
    learnt: Learnt,
    *,
    source_images: Callable[[], Images],
    sampled: int,
    resolution: int,
    device: str,
) -> Scorer:
    """The scorer of a task, with the features of its real images extracted.

    Args:
        suite: names the networks and the protocol.
        images: of the target.
        splits: of the target's images.
        learnt: the classifier, or why there is none.
        source_images: what the source draws for the probe batch.
        sampled: images of a snapshot that the Frechet distance takes.
        resolution: side of the images in px.
        device: ``cpu`` or ``cuda``.
    """
    reference = splits.reference
    lpips = load_backbone(suite.lpips_backbone, device)
    frechet = load_backbone(suite.frechet_backbone, device)
    few_shot = lpips.features(splits.few_shot).lpips
    content = splits.reference_hash
    real = kept_pooled(frechet, reference, content) if len(reference) > 1 else None
    others = _also(suite, images, splits, resolution, device) if real is not None else []
    release(reference)
    statistics = images.statistics.found if images.statistics is not None else None
    known = frechet_reference(suite, images, frechet, real, statistics, resolution)
    held_out, ideal = splits.held_out, images.ideal

    @functools.cache
    def real_nearest() -> NDArray[np.float32]:
        batches = (part.lpips for part in lpips.batches(held_out))
        return np.concatenate([distance_to_nearest(part, few_shot) for part in batches])

    taught = 0 if learnt.classifier is None else len(splits.classifier)
    yardstick = Yardstick(
        few_shot=few_shot,
        classifier=learnt.classifier,
        no_classifier=learnt.without,
        no_reference=too_few(splits, "it takes two real images at least", NO_REFERENCE),
        reference=known,
        statistics=statistics.name if statistics else "",
        compared=compared(suite, frechet.name, known, sampled, taught),
        real=real,
        real_nearest=real_nearest if len(held_out) > 0 else None,
        source=source_images,
        ideal=None if ideal is None else lambda: ideal(source_images()),
        attributes=attribute_readers(images, resolution, lpips),
    )
    also = [
        (
            other,
            replace(
                yardstick,
                reference=theirs,
                statistics="",
                compared=compared(suite, other.name, theirs, sampled, taught),
            ),
        )
        for other, theirs in others
    ]
    return Scorer(lpips, frechet, yardstick, also)


def _also(
    suite: Suite, images: TargetImages, splits: Splits, resolution: int, device: str
) -> list[tuple[Backbone, FrechetReference]]:
    """The further backbones of the Frechet distance, with what it is to."""
    also = []
    for name in suite.frechet_also:
        backbone = load_backbone(name, device)
        features = kept_pooled(backbone, splits.reference, splits.reference_hash)
        reference = frechet_reference(suite, images, backbone, features, None, resolution)
        assert reference is not None
        also.append((backbone, reference))
    return also
