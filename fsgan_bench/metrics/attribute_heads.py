"""Reads a drawing's attributes from its picture: logistic heads on ``lite0`` features.

Whoever drew the images knows what is in them (`fsgan_bench.data.attributes`), so heads can be
trained and judged on real drawings and then read generated ones.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.attributes import attribute_table, attributes_of
from fsgan_bench.data.avatars import Domain, draw
from fsgan_bench.data.cache import cache_dir
from fsgan_bench.features.lite0 import Lite0
from fsgan_bench.metrics.retention import kept
from fsgan_bench.system.archives import DAMAGED
from fsgan_bench.system.files import write_atomic, write_json

Readings: TypeAlias = NDArray[np.int64]
"""A value an image and attribute, [N, A]; -1 where the drawing has no such attribute."""

TRAIN_START = 400_000
"""First index of the drawings that heads are trained on; the held-out ones follow."""

CARD_VERSION = 2
"""Of how the stride is chosen and how the card's numbers are made."""

GRID = 8
"""Feature maps are averaged down to at most so many positions a side."""


@dataclass(frozen=True)
class HeadsConfig:
    """How heads are trained.

    Attributes:
        train: real drawings that they are trained on.
        held_out: real drawings of which the first half chooses the stride and the second makes the
            card.
        inverse_regularisation: scikit-learn's C, for standardised features.
        max_iterations: limit of the solver.
    """

    train: int = 2000
    held_out: int = 1000
    inverse_regularisation: float = 0.01
    max_iterations: int = 200


@dataclass(frozen=True, eq=False)
class Head:
    """Multinomial logistic regression on standardised features of one stride.

    ``classes`` [K] are the values that it tells apart, ``weight`` [d, K] and ``bias`` [K] its
    parameters, with the standardisation of the features inside.
    """

    stride: int
    classes: NDArray[np.int64]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def read(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest value of each row of ``features`` [N, d]."""
        values: NDArray[np.int64] = self.classes[
            (features @ self.weight + self.bias).argmax(axis=1)
        ]
        return values


@dataclass(frozen=True, eq=False)
class AttributeHeads:
    """The heads of one domain, an attribute each, and their card.

    ``card["attributes"][NAME]`` holds the stride that was chosen, and ``accuracy`` and ``kappa``
    (Cohen's, against the truth, over drawings that have the attribute) on real drawings that chose
    nothing; ``card["strides"]`` the accuracy at each stride on those that chose.
    """

    names: tuple[str, ...]
    heads: tuple[Head, ...]
    card: Mapping[str, Any]

    def read(self, rows: Iterable[Tensor], side: int) -> Readings:
        """Attributes of images of ``side`` pixels, from batches of LPIPS features [B, D]."""
        parts = []
        for part in rows:
            maps = stride_features(part, side)
            parts.append(np.stack([head.read(maps[head.stride]) for head in self.heads], axis=1))
        return np.concatenate(parts)


def stride_features(rows: Tensor, side: int) -> dict[int, NDArray[np.float32]]:
    """The unit-length features behind ``lite0``'s LPIPS vectors [N, D], by stride: float32 [N, d].

    Maps of more than ``GRID`` positions a side are averaged down to that many.
    """
    heights = {stride: -(-side // stride) for _, stride in Lite0.layers}
    width = sum(channels * heights[stride] ** 2 for channels, stride in Lite0.layers)
    if rows.shape[1] != width:
        raise ValueError(f"expected LPIPS features [N, {width}] of lite0, got {list(rows.shape)}")
    values: dict[int, NDArray[np.float32]] = {}
    start = 0
    for channels, stride in Lite0.layers:
        height = heights[stride]
        size = channels * height * height
        maps = rows[:, start : start + size].reshape(-1, height, height, channels)
        maps = maps.permute(0, 3, 1, 2) * height
        if height > GRID:
            maps = F.adaptive_avg_pool2d(maps, GRID)
        values[stride] = maps.flatten(1).cpu().numpy()
        start += size
    return values


@functools.lru_cache(maxsize=8)
def attribute_heads(
    domain: Domain, side: int, config: HeadsConfig = HeadsConfig(), device: str = "cpu"
) -> AttributeHeads:
    """The heads of a domain at ``side`` pixels, trained once and kept in the cache."""
    backbone = Lite0(device)
    parts = [
        domain.definition_hash,
        side,
        asdict(config),
        backbone.version,
        TRAIN_START,
        GRID,
        CARD_VERSION,
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    folder = cache_dir() / "attributes" / f"{domain.name}-{side}px-{digest[:16]}"
    if (kept := _load(folder)) is not None:
        return kept
    heads = _fit(domain, side, config, backbone)
    with contextlib.suppress(OSError):
        _save(folder, heads)
    return heads


def _fit(domain: Domain, side: int, config: HeadsConfig, backbone: Lite0) -> AttributeHeads:
    count = config.train + config.held_out
    table = attribute_table(domain, TRAIN_START, count)
    rows = (part.lpips for part in backbone.batches(draw(domain, TRAIN_START, count, side)))
    batches = [stride_features(part, side) for part in rows]
    features = {s: np.concatenate([batch[s] for batch in batches]) for s in batches[0]}
    names = tuple(attribute.name for attribute in attributes_of(domain))
    chosen, described, strides = [], {}, {}
    for index, name in enumerate(names):
        truth = table[:, index]
        heads = {s: _fit_head(s, x[: config.train], truth, config) for s, x in features.items()}
        readings = {s: head.read(features[s][config.train :]) for s, head in heads.items()}
        held_out, half = truth[config.train :], config.held_out // 2
        right = {s: reading == held_out for s, reading in readings.items()}
        accuracy = {s: float(each[:half].mean()) for s, each in right.items()}
        best = max(accuracy, key=accuracy.__getitem__)
        chosen.append(heads[best])
        strides[name] = {str(s): round(value, 4) for s, value in accuracy.items()}
        described[name] = {
            "stride": best,
            "accuracy": round(float(right[best][half:].mean()), 4),
            "kappa": round(float(kept(readings[best][half:], held_out[half:]).mean()), 4),
            "values": len(np.unique(truth)),
        }
    card = {
        "domain": domain.name,
        "side": side,
        "config": asdict(config),
        "backbone": backbone.version,
        "attributes": described,
        "strides": strides,
    }
    return AttributeHeads(names, tuple(chosen), card)


def _fit_head(
    stride: int, features: NDArray[np.float32], truth: NDArray[np.int64], config: HeadsConfig
) -> Head:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    labels = truth[: len(features)]
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    classes = np.unique(labels)
    if len(classes) == 1:
        width = features.shape[1]
        return Head(stride, classes, np.zeros((width, 1), np.float32), np.zeros(1, np.float32))
    head = LogisticRegression(C=config.inverse_regularisation, max_iter=config.max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head.fit((features - mean) / scale, labels)
    weight, bias = head.coef_.T, head.intercept_
    if len(classes) == 2:
        weight = np.concatenate([np.zeros_like(weight), weight], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    weight = weight / scale[:, None]
    bias = bias - mean @ weight
    return Head(stride, classes, weight.astype(np.float32), bias.astype(np.float32))


def _save(folder: Path, heads: AttributeHeads) -> None:
    arrays: dict[str, Any] = {"card": np.array(json.dumps(dict(heads.card)))}
    for name, head in zip(heads.names, heads.heads, strict=True):
        arrays |= {f"{name}/{key}": np.asarray(value) for key, value in vars(head).items()}
    write_atomic(folder / "heads.npz", lambda path: np.savez_compressed(path, **arrays))
    write_json(folder / "card.json", dict(heads.card))


def _load(folder: Path) -> AttributeHeads | None:
    """The heads that are kept in ``folder``; None if there are none or they are damaged."""
    try:
        with np.load(folder / "heads.npz", allow_pickle=False) as file:
            card = json.loads(str(file["card"]))
            names = tuple(card["attributes"])
            heads = tuple(_read_head(file, name) for name in names)
    except DAMAGED:
        return None
    return AttributeHeads(names, heads, card)


def _read_head(file: Mapping[str, NDArray[Any]], name: str) -> Head:
    stride, *arrays = (file[f"{name}/{key}"] for key in ("stride", "classes", "weight", "bias"))
    return Head(int(stride), *arrays)
