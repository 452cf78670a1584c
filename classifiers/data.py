"""Training data: target images against a mixture of non-target domains, and how they weigh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.data.images import Images, check_images, set_hash
from fsgan_bench.data.splits import LEAST_TO_LEARN_FROM, check_disjoint, deduplicate
from fsgan_bench.errors import TooFewImages, UserError, suggest
from fsgan_bench.training.streams import stream_seed

HELD_OUT = 0.25
"""Share of every set that is kept for the card."""


@dataclass(frozen=True, eq=False)
class Group:
    """The images of one domain: ``train`` and ``held_out`` [N, H, W, 3], disjoint by content.

    ``weight`` is the domain's share of the whole, at training and in the card; the weights of all
    groups sum to 1.
    """

    name: str
    is_target: bool
    weight: float
    train: Images
    held_out: Images
    hash: str


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Target first, then the non-target domains; ``source`` names one of them."""

    groups: tuple[Group, ...]
    source: str

    @property
    def target(self) -> Group:
        return self.groups[0]

    @property
    def non_target(self) -> tuple[Group, ...]:
        return self.groups[1:]

    @property
    def source_group(self) -> Group:
        return next(group for group in self.non_target if group.name == self.source)

    def training_set(self) -> tuple[Images, NDArray[np.float64], NDArray[np.float64]]:
        """All training images [N, H, W, 3], their labels (1 = target) [N] and weights [N].

        The weights of a domain's images are equal; all weights have the mean 1.
        """
        sizes = [len(group.train) for group in self.groups]
        images = np.concatenate([group.train for group in self.groups])
        labels = np.repeat([float(group.is_target) for group in self.groups], sizes)
        each = [g.weight * sum(sizes) / size for g, size in zip(self.groups, sizes, strict=True)]
        return images, labels, np.repeat(each, sizes)


def prepare(
    target: Images, negatives: Mapping[str, Images], source: str | None, seed: int
) -> TrainingData:
    """Weigh and split the sets of images [N, H, W, 3].

    Both classes weigh the same. Of the non-target half the ``source`` (by default the first of
    ``negatives``) takes half, since it is what every adaptation starts from; the other domains
    share the rest equally, whatever their sizes. Repeated images count once. A quarter of every
    set, chosen by ``seed``, is held out.

    Raises UserError for no non-target domain, an unknown ``source``, sets of different image
    sizes, or sets that share an image, and TooFewImages for a set of fewer than eight distinct
    images.
    """
    if not negatives:
        raise UserError("The classifier needs at least one non-target domain to tell apart.")
    source = next(iter(negatives)) if source is None else source
    if source not in negatives:
        known = ", ".join(negatives)
        raise UserError(
            f"The source domain '{source}' is not among the non-target domains {known}."
            f"{suggest(source, negatives)}"
        )
    sets = {"target": target} | {f"non-target {name}": negatives[name] for name in negatives}
    sets = {name: _distinct(name, images, target.shape[1:]) for name, images in sets.items()}
    check_disjoint(**sets)
    distinct = list(sets.values())
    weights = _non_target_weights(list(negatives), source)
    groups = [_group("target", True, 0.5, distinct[0], seed)]
    for name, images in zip(negatives, distinct[1:], strict=True):
        groups.append(_group(name, False, weights[name], images, seed))
    return TrainingData(tuple(groups), source)


def _distinct(name: str, images: Images, shape: tuple[int, ...]) -> Images:
    check_images(images)
    if images.shape[1:] != shape:
        raise UserError(
            f"All training images must have one size, but the set '{name}' is "
            f"{images.shape[1]}x{images.shape[2]} and the target {shape[0]}x{shape[1]}."
        )
    distinct = deduplicate(images)
    if len(distinct) < LEAST_TO_LEARN_FROM:
        raise TooFewImages(
            f"The set '{name}' has {len(distinct)} distinct images; the classifier needs at "
            f"least {LEAST_TO_LEARN_FROM}."
        )
    return distinct


def _non_target_weights(names: list[str], source: str) -> dict[str, float]:
    if len(names) == 1:
        return {source: 0.5}
    other = 0.25 / (len(names) - 1)
    return {name: 0.25 if name == source else other for name in names}


def _group(name: str, is_target: bool, weight: float, images: Images, seed: int) -> Group:
    stream = "classifier/split/" + ("target" if is_target else f"non-target/{name}")
    order = np.random.default_rng(stream_seed(seed, stream)).permutation(len(images))
    count = round(HELD_OUT * len(images))
    held_out, train = np.sort(order[:count]), np.sort(order[count:])
    return Group(name, is_target, weight, images[train], images[held_out], set_hash(images))
