"""The card: what a classifier was trained on, and how it does on what it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, Scores
from classifiers.data import Group, TrainingData
from fsgan_bench.data.filters import grey
from fsgan_bench.data.images import Images
from fsgan_bench.training.streams import stream_seed

BLEND_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
CALIBRATION_BINS = 10
PROBE_IMAGES = 100
SCRAMBLE_TILES = 4

DEFINITIONS = {
    "weights": "every figure weighs the domains as 'weight' under target and non_target says",
    "accuracy": "share of held-out images on the right side of 0.5",
    "vs_source": "the same for target against source alone, both weighing the same",
    "brier": "mean squared difference of score and label (1 = target)",
    "ece": f"expected calibration error: {CALIBRATION_BINS} equally wide bins of the score, sum "
    "over the bins of weight in the bin times |mean score - share of target|",
    "probes": "mean scores; none of these images was trained on. Gaussian grey noise: mean 128, "
    f"deviation 40; scrambled target: {SCRAMBLE_TILES} x {SCRAMBLE_TILES} shuffled tiles of a "
    "target image",
    "blend": "mean scores of (1 - alpha) source image + alpha other, pixel by pixel",
}


def measure(
    classifier: Classifier,
    data: TrainingData,
    seed: int,
    ideal: Callable[[Images], Images] | None,
) -> dict[str, Any]:
    """All that the card says about the trained classifier and its data.

    ``ideal`` draws source images [N, H, W, 3] as the target domain would, where that is known; the
    blend curve then ends in each image's own rendering, else in another target image.
    """
    scores = [classifier.scores(group.held_out) for group in data.groups]
    by_name = {g.name: s for g, s in zip(data.non_target, scores[1:], strict=True)}
    source = data.source_group.held_out
    packages = ("scikit-learn", "timm", "torch")
    return {
        "image_size": list(data.target.train.shape[1:3]),
        "target": _describe(data.target, scores[0]),
        "source": data.source,
        "non_target": {g.name: _describe(g, by_name[g.name]) for g in data.non_target},
        "held_out": _held_out(data, scores),
        "probes": {
            **{
                name: _mean(classifier.scores(images))
                for name, images in _probes(source, data.target.held_out, seed).items()
            },
            "source": _mean(by_name[data.source]),
            "target": _mean(scores[0]),
        },
        "blend": _blend(classifier, source, data.target.held_out, ideal),
        "definitions": DEFINITIONS,
        "packages": {name: metadata.version(name) for name in packages},
    }


def _mean(scores: Scores) -> float:
    return round(float(scores.mean()), 6)


def _describe(group: Group, held_out_scores: Scores) -> dict[str, Any]:
    return {
        "train": len(group.train),
        "held_out": len(group.held_out),
        "weight": group.weight,
        "hash": group.hash,
        "mean_score": _mean(held_out_scores),
    }


def _held_out(data: TrainingData, scores: list[Scores]) -> dict[str, float]:
    everything = _agreement(list(zip(data.groups, scores, strict=True)))
    pair = [
        (group, values)
        for group, values in zip(data.groups, scores, strict=True)
        if group.is_target or group.name == data.source
    ]
    against_source = _agreement(pair)
    return {
        **everything,
        "accuracy_vs_source": against_source["accuracy"],
        "auc_vs_source": against_source["auc"],
    }


def _agreement(scored: list[tuple[Group, Scores]]) -> dict[str, float]:
    """Accuracy, AUC, Brier score and ECE with both classes weighing the same."""
    from sklearn.metrics import roc_auc_score

    scores = np.concatenate([values for _, values in scored])
    labels = np.concatenate([np.full(len(v), float(g.is_target)) for g, v in scored])
    weights = np.concatenate([np.full(len(v), g.weight / len(v)) for g, v in scored])
    for label in (0.0, 1.0):
        weights[labels == label] *= 0.5 / weights[labels == label].sum()
    values = {
        "accuracy": float(weights @ ((scores > 0.5) == labels)),
        "auc": float(roc_auc_score(labels, scores, sample_weight=weights)),
        "brier": float(weights @ (scores - labels) ** 2),
        "ece": calibration_error(scores, labels, weights),
    }
    return {name: round(value, 6) for name, value in values.items()}


def calibration_error(
    scores: Scores, labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    """Expected calibration error of scores [N] in [0, 1] for labels [N]; ``weights`` sum to 1."""
    bins = np.minimum((scores * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights * (scores - labels), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum())


def _probes(source: Images, target: Images, seed: int) -> dict[str, Images]:
    """Images that are not of the target domain and were not trained on, by name."""
    height, width = source.shape[1:3]
    stream = np.random.default_rng(stream_seed(seed, "classifier/probes"))
    shape = (PROBE_IMAGES, height, width)
    gaussian = np.clip(np.rint(128 + 40 * stream.standard_normal(shape)), 0, 255)
    return {
        "uniform_noise": stream.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "gaussian_grey_noise": np.repeat(gaussian.astype(np.uint8)[..., None], 3, axis=-1),
        "white_page": np.full((1, height, width, 3), 255, dtype=np.uint8),
        "grey_page": np.full((1, height, width, 3), 128, dtype=np.uint8),
        "grey_source": grey(source),
        "scrambled_target": _scramble(target, stream),
    }


def _scramble(images: Images, stream: np.random.Generator) -> Images:
    """Each image cut into tiles, which change places; a rest at the right and bottom is cut off."""
    count, tiles = len(images), SCRAMBLE_TILES
    high, wide = images.shape[1] // tiles, images.shape[2] // tiles
    cut = images[:, : high * tiles, : wide * tiles]
    pieces = cut.reshape(count, tiles, high, tiles, wide, 3).swapaxes(2, 3)
    pieces = pieces.reshape(count, tiles * tiles, high, wide, 3)
    mixed = stream.permuted(np.tile(np.arange(tiles * tiles), (count, 1)), axis=1)
    pieces = pieces[np.arange(count)[:, None], mixed].reshape(count, tiles, tiles, high, wide, 3)
    scrambled: Images = pieces.swapaxes(2, 3).reshape(cut.shape)
    return scrambled


def _blend(
    classifier: Classifier,
    source: Images,
    target: Images,
    ideal: Callable[[Images], Images] | None,
) -> dict[str, Any]:
    count = PROBE_IMAGES if ideal else min(PROBE_IMAGES, len(target))
    start = source[:count].astype(np.float64)
    end = (ideal(source[:count]) if ideal else target[: len(start)]).astype(np.float64)
    means = []
    for alpha in BLEND_STEPS:
        mixed = np.rint((1 - alpha) * start + alpha * end).astype(np.uint8)
        means.append(_mean(classifier.scores(mixed)))
    return {
        "other": "the ideal rendering of the same image" if ideal else "a target image",
        "alpha": list(BLEND_STEPS),
        "mean_score": means,
    }
