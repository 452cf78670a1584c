"""Metrics beyond those of every snapshot: ``fsgan-bench score`` adds them from what is stored."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fsgan_bench.metrics.kernel import kernel_distance
from fsgan_bench.metrics.manifold import NEIGHBOURS, Manifolds
from fsgan_bench.metrics.metric import NO_REFERENCE, Measured, Metric, Value, Yardstick

NO_HELD_OUT = "the target has no real images beside the few-shot ones"
FEW_NEIGHBOURS = f"the target has no more than {NEIGHBOURS} real images to compare with"


class KernelScore(Metric):
    """Kernel distance to real target images (Binkowski et al. 2018), not multiplied by anything.

    The unbiased squared MMD over all images; ``kid`` on ``inception`` only, see `kernel_distance`.
    """

    name = "kid"
    title = "kernel distance"
    version = "1"
    higher_is_better = False
    definition = "unbiased squared MMD to real target images, cubic kernel (Binkowski et al. 2018)"
    role = "frechet"

    def missing(self, yardstick: Yardstick) -> str | None:
        return NO_REFERENCE if yardstick.real is None else None

    def stored_as(self, backbone: str) -> str:
        return "kid" if backbone == "inception" else f"kid_{backbone}"

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.real is not None
        value, stderr = kernel_distance(measured.frechet, yardstick.real)
        detail = {"references": len(yardstick.real)}
        return Value(value, len(measured.frechet), stderr, detail)


class ManifoldScore(Metric):
    """One of precision, recall, density and coverage, with balls to the fifth neighbour.

    ``stderr`` is that of the mean over the images that are judged, given the others.
    """

    version = "1"
    higher_is_better = True
    role = "frechet"
    part: ClassVar[Literal["precision", "recall", "density", "coverage"]]

    def missing(self, yardstick: Yardstick) -> str | None:
        few = yardstick.real is None or len(yardstick.real) <= NEIGHBOURS
        return FEW_NEIGHBOURS if few else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        assert yardstick.real is not None
        each = getattr(Manifolds(yardstick.real, measured.frechet), self.part)()
        detail = {"references": len(yardstick.real), "neighbours": NEIGHBOURS}
        stderr = float(each.std() / len(each) ** 0.5)
        return Value(float(each.mean()), len(measured.frechet), stderr, detail)


class PrecisionScore(ManifoldScore):
    """Share of fakes among the real images, in [0, 1] (Kynkaanniemi et al. 2019)."""

    name = part = "precision"
    title = "precision"
    definition = "share of fakes in the real images' manifold (Kynkaanniemi et al. 2019)"


class RecallScore(ManifoldScore):
    """Share of real images among the fakes, in [0, 1] (Kynkaanniemi et al. 2019)."""

    name = part = "recall"
    title = "recall"
    definition = "share of real images in the fakes' manifold (Kynkaanniemi et al. 2019)"


class DensityScore(ManifoldScore):
    """Real images' balls around a fake, by the neighbours, from 0; about 1 for real images."""

    name = part = "density"
    title = "density"
    definition = "how densely real images lie around the fakes (Naeem et al. 2020)"


class CoverageScore(ManifoldScore):
    """Share of real images with a fake in their ball, in [0, 1] (Naeem et al. 2020)."""

    name = part = "coverage"
    title = "coverage"
    definition = "share of real images with a fake near (Naeem et al. 2020)"


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
    version = "1"
    higher_is_better = True
    definition = "mean LPIPS to the nearest few-shot image, by that of held-out real images"
    role = "lpips"

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


FURTHER: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        KernelScore(),
        PrecisionScore(),
        RecallScore(),
        DensityScore(),
        CoverageScore(),
        NearestScore(),
    )
}
