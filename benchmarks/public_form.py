"""The algorithms that public code of this field runs, in their obvious form, to be compared with.

Written from the papers and from what the code computes; the values are those of the package's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from baselines import cdc
from baselines.relaxed_realism import RelaxedRealism
from fsgan_bench.data.images import Images
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.stylegan2 import ops, winograd
from fsgan_bench.stylegan2.networks import Layer
from fsgan_bench.training.session import Session

Pair = tuple[int, int]


def lpips_of_pair(backbone: Backbone, a: Images, b: Images) -> float:
    """LPIPS of two images [1, R, R, 3]: both go through the network, whatever went before."""
    first, second = backbone.features(a).lpips, backbone.features(b).lpips
    return float((first - second).square().sum())


def clusters_by_pairs(backbone: Backbone, fakes: Images, few_shot: Images) -> NDArray[np.intp]:
    """The nearest few-shot image [N] of each fake, from LPIPS of all N x M pairs."""
    distances = [
        [
            lpips_of_pair(backbone, fakes[i : i + 1], few_shot[j : j + 1])
            for j in range(len(few_shot))
        ]
        for i in range(len(fakes))
    ]
    return np.asarray(np.argmin(distances, axis=1), dtype=np.intp)


def pairs_of(clusters: NDArray[np.intp]) -> list[list[Pair]]:
    """All pairs inside each cluster."""
    members = (np.flatnonzero(clusters == each).tolist() for each in np.unique(clusters))
    return [list(itertools.combinations(each, 2)) for each in members]


def intra_lpips(backbone: Backbone, fakes: Images, few_shot: Images) -> float:
    """Intra-LPIPS (Ojha et al. 2021): the mean over clusters of the mean LPIPS of their pairs."""
    means = [
        np.mean([lpips_of_pair(backbone, fakes[i : i + 1], fakes[j : j + 1]) for i, j in pairs])
        for pairs in pairs_of(clusters_by_pairs(backbone, fakes, few_shot))
        if pairs
    ]
    return float(np.mean(means))


def frechet_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Frechet distance of features [N, d] by scipy's matrix root, as pytorch-fid and clean-fid."""
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s @ t)
    offset = x.mean(0) - y.mean(0)
    return float(offset @ offset + np.trace(s) + np.trace(t) - 2 * np.trace(np.real(root)))


@contextmanager
def training() -> Iterator[None]:
    """Training as CDC's code does it.

    Convolutions have weights for each image, in groups, and are the library's; low-pass filters are
    native operations on single channels; features and logits of the discriminator are passes of
    their own; similarities are formed pair by pair.
    """
    with (
        mock.patch.object(winograd, "pays", return_value=False),
        mock.patch.object(ops.ModulatedConv2d, "forward", _modulated_in_groups),
        mock.patch.object(ops, "depthwise_filter", _filter_channel_by_channel),
        mock.patch.object(RelaxedRealism, "judge_with_features", _judge_twice),
        mock.patch.object(cdc, "distance_consistency", _distances_by_pairs),
    ):
        yield


def _modulated_in_groups(self: ops.ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    style = self.modulation(w)
    weight = self.weight * self.weight_gain * style[:, None, :, None, None]
    if self.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    out, side = weight.shape[1], weight.shape[3]
    x = x.reshape(1, batch * channels, height, width)
    if self.blur is None:
        kernels = weight.reshape(batch * out, channels, side, side)
        x = F.conv2d(x, kernels, padding=self.padding, groups=batch)
        return x.reshape(batch, out, height, width)
    kernels = weight.transpose(1, 2).reshape(batch * channels, out, side, side)
    x = F.conv_transpose2d(x, kernels, stride=2, groups=batch)
    filtered: Tensor = self.blur(x.reshape(batch, out, *x.shape[2:]))
    return filtered


def _filter_channel_by_channel(
    x: Tensor, kernel: Tensor, padding: tuple[int, int], stride: int = 1
) -> Tensor:
    batch, channels, height, width = x.shape
    single = F.pad(x.reshape(batch * channels, 1, height, width), 2 * padding)
    filtered = F.conv2d(single, kernel.to(x.dtype)[None, None])[:, :, ::stride, ::stride]
    return filtered.reshape(batch, channels, *filtered.shape[2:])


def _judge_twice(
    self: RelaxedRealism, session: Session, images: Tensor, layers: Iterable[Layer]
) -> tuple[Tensor, dict[Layer, Tensor]]:
    discriminator = session.discriminator
    if self.judges_images(session):
        return discriminator(images).logits, discriminator(images, layers).features
    (name,) = dict(session.discriminator_side["patch_heads"].named_children())
    seen: Layer = (int(name), "conv2")
    features = discriminator(images, {seen, *layers}).features
    again = discriminator(images, {seen}).features
    head = session.discriminator_side["patch_heads"].get_submodule(name)
    return head(again[seen]), features


def _distances_by_pairs(
    source: Sequence[Tensor], target: Sequence[Tensor], layer_of_anchor: Tensor
) -> Tensor:
    divergences = []
    for anchor, layer in enumerate(layer_of_anchor.tolist()):
        rows = []
        for features in (source[layer], target[layer]):
            similarities = [
                F.cosine_similarity(features[anchor].flatten(), features[other].flatten(), dim=0)
                for other in range(len(layer_of_anchor))
                if other != anchor
            ]
            rows.append(torch.stack(similarities).softmax(dim=0))
        q, p = rows
        divergences.append((torch.xlogy(q, q) - q * p.log()).mean())
    return torch.stack(divergences).mean()
