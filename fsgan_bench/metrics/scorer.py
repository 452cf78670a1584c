"""Scoring: one batch of images -> every metric, one pass of each network over the images."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.metrics.correspondence import EDGES, paired_lpips
from fsgan_bench.metrics.failures import failure
from fsgan_bench.metrics.intra_lpips import Rows, held_rows, streamed_intra_lpips
from fsgan_bench.metrics.metric import PROTOCOL, Measured, Metric, Role, Yardstick
from fsgan_bench.metrics.per_image import NEAREST
from fsgan_bench.metrics.registry import EVERY_SNAPSHOT
from fsgan_bench.metrics.scored import Score, Scored, finite, plain

HELD_BYTES = 2**29
"""LPIPS features of this size at most are kept; larger ones are streamed, and made twice."""


class Scorer:
    """Scores image sets against one task's yardstick.

    ``lpips`` and ``frechet`` may be one backbone; then one pass serves both, and the classifier
    too if it looks through the same. ``also`` has further backbones for the Frechet distance, each
    with the yardstick of its own, which share the pass over generated images. ``notes`` holds a
    sentence for every metric that the task goes without and for every one whose values need care.
    """

    def __init__(
        self,
        lpips: Backbone,
        frechet: Backbone,
        yardstick: Yardstick,
        also: Sequence[tuple[Backbone, Yardstick]] = (),
    ) -> None:
        self.lpips = lpips
        self.also = tuple(also)
        self.frechet = frechet
        self.yardstick = yardstick
        self.networks: dict[Role, tuple[str, str]] = {
            "classifier": self._classifier_network(),
            "lpips": (lpips.name, lpips.version),
            "frechet": (frechet.name, frechet.version),
            "edges": ("edges", EDGES),
            "none": ("none", ""),
        }

    def score(
        self,
        images: Images,
        further: Iterable[Images] = (),
        metrics: Sequence[Metric] | None = None,
        *,
        paired: bool = True,
    ) -> Scored:
        """Score ``images``, uint8 [N, R, R, 3]; ``further`` images count for Frechet alone.

        ``metrics`` are by default those of every snapshot; without ``paired`` those are left out
        that need images of the probe batch, a latent each, in order. An undefined value (no cluster
        with two members, say) is stored as None. Beside the images and a batch of each network,
        memory holds pooled features, 4 d bytes for each image and further image, and LPIPS
        features: 4 N D bytes up to ``HELD_BYTES``; where they are larger they are streamed and
        memory does not depend on N, see ``metrics.intra_lpips.streamed_intra_lpips``.

        A metric of another package that fails is left out and named in ``broken``.

        Raises:
            UserError: a classifier of another package fails.
        """
        wanted = EVERY_SNAPSHOT.values() if metrics is None else metrics
        possible = [m for m in wanted if self.unable(m, len(images), paired) is None]
        measured, seconds = self._measure(images, further, possible)
        scores = []
        each: dict[str, NDArray[Any]] = {}
        versions: dict[str, str] = {}
        broken: dict[str, str] = {}
        for metric in possible:
            began = time.perf_counter()
            try:
                value = plain(metric(measured, self.yardstick), len(images))
            except Exception as error:
                broken[metric.name] = failure(metric, self.yardstick.classifier, error)
                continue
            name, backbone, version = self.identity(metric)
            network = self.networks[metric.role][1]
            scores.append(
                Score(
                    metric=name,
                    value=finite(value.value),
                    stderr=finite(value.stderr),
                    n=value.n,
                    backbone=backbone,
                    version=version,
                    seconds=round(time.perf_counter() - began, 4),
                    shared_seconds=round(seconds.get(network, 0.0), 4),
                    detail=dict(value.detail),
                    about=metric.describe(backbone),
                )
            )
            if value.each is not None:
                each[name], versions[name] = value.each, version
            if metric.role == "frechet" and metric in EVERY_SNAPSHOT.values():
                scores += self._on_others(metric, measured)
        if measured.clusters is None:
            return Scored(scores, each, versions, None, broken)
        each[NEAREST], versions[NEAREST] = measured.clusters.nearest, self.lpips.version
        return Scored(scores, each, versions, measured.clusters.index, broken)

    def unable(self, metric: Metric, count: int, paired: bool = True) -> str | None:
        """Why ``count`` images are not scored by a metric, in one clause; None if they are."""
        if reason := metric.missing(self.yardstick):
            return reason
        if metric.paired and not paired:
            return "it takes images of the probe batch, a latent each, in order"
        if count < metric.least:
            return f"it takes {metric.least} images at least, and there are {count}"
        return None

    def _on_others(self, metric: Metric, measured: Measured) -> Iterator[Score]:
        """The Frechet distance on each of ``also``."""
        for backbone, yardstick in self.also:
            began = time.perf_counter()
            features = replace(measured, frechet=measured.also[backbone.version])
            value = plain(metric(features, yardstick), len(measured.images))
            yield Score(
                metric=metric.stored_as(backbone.name),
                value=finite(value.value),
                stderr=finite(value.stderr),
                n=value.n,
                backbone=backbone.name,
                version=_version(metric, backbone.version),
                seconds=round(time.perf_counter() - began, 4),
                shared_seconds=0.0,
                detail=dict(value.detail),
                about=metric.describe(backbone.name),
            )

    def identity(self, metric: Metric) -> tuple[str, str, str]:
        """What tells a metric's scores from others: stored name, backbone, version."""
        backbone, network = self.networks[metric.role]
        return metric.stored_as(backbone), backbone, _version(metric, network)

    def identities(self, count: int) -> set[tuple[str, str, str]]:
        """Those of all scores of a snapshot of ``count`` paired images."""
        found = set()
        for metric in EVERY_SNAPSHOT.values():
            if self.unable(metric, count):
                continue
            found.add(self.identity(metric))
            if metric.role == "frechet":
                found |= {
                    (metric.stored_as(each.name), each.name, _version(metric, each.version))
                    for each, _ in self.also
                }
        return found

    @property
    def notes(self) -> list[str]:
        notes = []
        for metric in EVERY_SNAPSHOT.values():
            if metric.paired:
                continue
            if reason := metric.missing(self.yardstick):
                notes.append(f"{self.identity(metric)[0]} is left out: {reason}.")
                continue
            of = [(self.identity(metric)[0], self.yardstick)]
            if metric.role == "frechet":
                of += [(metric.stored_as(other.name), own) for other, own in self.also]
            for name, yardstick in of:
                if warning := metric.warning(yardstick):
                    notes.append(f"{name} {warning}.")
        return notes

    def _measure(
        self, images: Images, further: Iterable[Images], metrics: Sequence[Metric]
    ) -> tuple[Measured, dict[str, float]]:
        """What the networks make of the images, and the seconds of each, by its version."""
        roles = {metric.role for metric in metrics}
        seconds: dict[str, float] = {}
        pooled: dict[str, Tensor] = {}
        clusters = to_ideal = attributes = None
        readings = {metric.reading for metric in metrics}
        if "lpips" in roles:
            began = time.perf_counter()
            rows, lpips_pooled = self._rows(images)
            clusters = streamed_intra_lpips(rows, self.yardstick.few_shot, distances=True)
            pooled[self.lpips.version] = lpips_pooled
            if "ideal" in readings:
                to_ideal = paired_lpips(rows(None), self._ideal_rows(None))
            if "attributes" in readings:
                assert self.yardstick.attributes is not None
                read = self.yardstick.attributes().target.read
                attributes = read(rows(None), images.shape[1]), self._source_attributes
            seconds[self.lpips.version] = time.perf_counter() - began
        frechet = torch.empty(0, self.frechet.pooled_dim)
        also: dict[str, Tensor] = {}
        if "frechet" in roles:
            began = time.perf_counter()
            version = self.frechet.version
            if version not in pooled:
                pooled[version] = self.frechet.pooled(images)
            parts = {version: [pooled[version]]}
            parts |= {other.version: [other.pooled(images)] for other, _ in self.also}
            for more in further:
                for network in (self.frechet, *(other for other, _ in self.also)):
                    parts[network.version].append(network.pooled(more))
            also = {name: torch.cat(features) for name, features in parts.items()}
            frechet = also.pop(version)
            seconds[version] = seconds.get(version, 0.0) + time.perf_counter() - began
        return Measured(images, clusters, pooled, frechet, to_ideal, attributes, also), seconds

    @functools.cached_property
    def _ideal_rows(self) -> Rows:
        assert self.yardstick.ideal is not None
        return self._rows(self.yardstick.ideal())[0]

    @functools.cached_property
    def _source_attributes(self) -> NDArray[np.int64]:
        assert self.yardstick.attributes is not None and self.yardstick.source is not None
        images = self.yardstick.source()
        rows, _ = self._rows(images)
        return self.yardstick.attributes().source.read(rows(None), images.shape[1])

    def _rows(self, images: Images) -> tuple[Rows, Tensor]:
        """Passes over the LPIPS features, and the pooled ones, which are there after the first."""
        if 4 * len(images) * self.yardstick.few_shot.shape[1] <= HELD_BYTES:
            features = self.lpips.features(images)
            return held_rows(features.lpips), features.pooled
        pooled = torch.empty(len(images), self.lpips.pooled_dim, device=self.lpips.device)

        def rows(indices: NDArray[np.intp] | None) -> Iterable[Tensor]:
            if indices is None:
                return self.lpips.lpips_batches(images, pooled)
            return (part.lpips for part in self.lpips.batches(images, chosen=indices))

        return rows, pooled

    def _classifier_network(self) -> tuple[str, str]:
        """Name and version of what the classifier looks through; empty without one."""
        classifier = self.yardstick.classifier
        if classifier is None:
            return "", ""
        trunk = getattr(classifier, "trunk", "")
        name = trunk.partition("/")[0] or classifier.card["name"]
        return name, trunk or classifier.card["backbone"]


def _version(metric: Metric, network: str) -> str:
    return f"protocol {PROTOCOL}, {metric.name} {metric.version}, {network}"
