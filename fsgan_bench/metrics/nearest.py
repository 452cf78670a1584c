"""Memorisation: how far generated images are from the few-shot images."""

from __future__ import annotations

import numpy as np

from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick

NO_HELD_OUT = "the target has no real images beside the few-shot ones"


class NearestScore(Metric):
    """Memorisation: how far generated images are from the few-shot images, real images being 1.

    The mean LPIPS to the nearest few-shot image, by that of held-out real target images, which
    have not seen them either (the idea of comparing with held-out images: Meehan et al. 2020).
    Below 1: nearer than real images, 0: copies. Above 1 is no merit: away from the domain.
    ``detail`` holds both means and ``nearer``, the share of images that are nearer than all but a
    twentieth of the real ones.
    """

    name = "nn_lpips"
    title = "distance to the few-shot images"
    short = "to few-shot"
    version = "1"
    higher_is_better = True
    definition = "mean LPIPS to the nearest few-shot image, by that of held-out real images"
    role = "lpips"
    limits = (0.0, None)
    capped = True

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_HELD_OUT if yardstick.real_nearest is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.real_nearest is not None and measured.clusters is not None
        ours = measured.clusters.nearest.astype(np.float64)
        theirs = yardstick.real_nearest().astype(np.float64)
        ratio = float(ours.mean() / theirs.mean())
        errors = [each.std(ddof=1) / len(each) ** 0.5 for each in (ours, theirs) if len(each) > 1]
        stderr = None
        if len(errors) == 2:
            stderr = float(np.hypot(errors[0], ratio * errors[1]) / theirs.mean())
        detail = {
            "mean": float(ours.mean()),
            "real_mean": float(theirs.mean()),
            "nearer": float((ours < np.quantile(theirs, 0.05)).mean()),
        }
        return Value(ratio, len(ours), stderr, detail)
