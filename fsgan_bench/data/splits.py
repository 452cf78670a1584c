"""Few-shot, classifier, reference and held-out images of a target: pairwise disjoint by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fsgan_bench.data.avatars import draw
from fsgan_bench.data.cache import release
from fsgan_bench.data.images import Images, content_hashes, joined_hash
from fsgan_bench.errors import UserError

FEW_SHOT_POOL = 256
"""Images 0 to ``FEW_SHOT_POOL - 1`` of a domain are what few-shot sets are drawn from."""

LEAST_TO_LEARN_FROM = 8
"""Images of a domain that a classifier needs to learn it."""

REFERENCE_START = 100_000
CLASSIFIER_START = 200_000
HELD_OUT_START = 300_000


@dataclass(frozen=True, eq=False)
class Splits:
    """The images of a target, each a uint8 array [N, H, W, 3], and the hash of each set.

    ``few_shot`` is what a method adapts to, ``classifier`` what the realisticness classifier
    learns from, ``reference`` what generated images are compared with, and ``held_out`` what is
    scored as if it had been generated, to draw reference lines. No image is in two sets or twice
    in one.
    """

    few_shot: Images
    classifier: Images
    reference: Images
    held_out: Images
    few_shot_hash: str
    classifier_hash: str
    reference_hash: str


def few_shot_order(hashes: Sequence[str], seed: int) -> list[int]:
    """A seeded order of distinct images, given their content hashes, as indices.

    The first ``k`` are the few-shot set of ``k`` shots, so a larger set holds the smaller ones.
    Depends on the images and the seed, not on the order they are given in.
    """
    return seeded_order(hashes, f"few-shot/{seed}")


def seeded_order(hashes: Sequence[str], seed: str) -> list[int]:
    """An order of distinct images, given their content hashes, as indices.

    Depends on the images and the seed, not on the order they are given in.
    """
    keys = [hashlib.sha256(f"{seed}/{digest}".encode()).digest() for digest in hashes]
    return sorted(range(len(keys)), key=keys.__getitem__)


def avatar_splits(
    domain: str,
    shots: int,
    seed: int,
    n_classifier: int = 1000,
    n_reference: int = 1000,
    n_held_out: int = 1000,
    size: int = 64,
) -> Splits:
    """The splits of an avatars domain at ``size`` x ``size`` pixels.

    Only ``few_shot`` depends on ``shots`` and ``seed``: the others avoid the whole pool it is
    drawn from. The reference set does not depend on the sizes of the others; a smaller one is the
    beginning of a larger one. Raises UserError for an unknown domain and for more shots
    than the pool holds, ValueError for a negative number.
    """
    if min(shots, n_classifier, n_reference, n_held_out) < 0:
        raise ValueError("the number of images in a set cannot be negative")
    seen: set[str] = set()
    pool = draw(domain, 0, FEW_SHOT_POOL, size)
    pool = pool[_new_indices(pool, seen)]
    if shots > len(pool):
        raise UserError(
            f"{shots} shots of '{domain}' were asked for, but its few-shot pool holds {len(pool)}."
        )
    order = few_shot_order(content_hashes(pool), seed)[:shots]
    few_shot = pool[order]
    reference = _take_new(domain, REFERENCE_START, n_reference, size, seen)
    classifier = _take_new(domain, CLASSIFIER_START, n_classifier, size, seen)
    held_out = _take_new(domain, HELD_OUT_START, n_held_out, size, seen)
    return Splits(
        **disjoint(few_shot=few_shot, classifier=classifier, reference=reference, held_out=held_out)
    )


def disjoint(**sets: Images) -> dict[str, Any]:
    """Fields of `Splits`: the named sets, and the hash of each that it records.

    Raises UserError if two of them share an image.
    """
    hashes = {name: _hashes(images) for name, images in sets.items()}
    _check_disjoint(hashes)
    recorded = {"few_shot", "classifier", "reference"} & sets.keys()
    return {**sets, **{f"{name}_hash": joined_hash(hashes[name]) for name in recorded}}


def _hashes(images: Images) -> list[str]:
    """Content hashes, after which nothing of a mapped set stays in memory."""
    hashes = content_hashes(images)
    release(images)
    return hashes


def deduplicate(images: Images) -> Images:
    """The images [N, H, W, 3] without repetitions by content, in order of first occurrence."""
    return images[_new_indices(images, set())]


def check_disjoint(**named_sets: Images) -> None:
    """Raise UserError if two of the named image sets [N, H, W, 3] share an image, by content."""
    _check_disjoint({name: content_hashes(images) for name, images in named_sets.items()})


def _check_disjoint(named_hashes: Mapping[str, Sequence[str]]) -> None:
    where = {
        name: {digest: i for i, digest in reversed(list(enumerate(hashes)))}
        for name, hashes in named_hashes.items()
    }
    for one, other in combinations(where, 2):
        shared = where[one].keys() & where[other].keys()
        if shared:
            first = min(shared, key=where[one].__getitem__)
            raise UserError(
                f"The sets '{one}' and '{other}' must be disjoint but share {len(shared)} "
                f"image{'s' if len(shared) > 1 else ''}; the first is image {where[one][first]} "
                f"of '{one}' and image {where[other][first]} of '{other}'."
            )


def _new_indices(images: Images, seen: set[str]) -> list[int]:
    """Indices of the images not in ``seen``, to which they are added."""
    indices = []
    for index, digest in enumerate(content_hashes(images)):
        if digest not in seen:
            seen.add(digest)
            indices.append(index)
    return indices


def _take_new(domain: str, start: int, count: int, size: int, seen: set[str]) -> Images:
    """The first ``count`` images of a domain from ``start`` on that are not in ``seen``.

    They are added to ``seen``. UserError if most of the domain's images repeat each other.
    """
    taken = draw(domain, start, 0, size)
    position, stop = start, start + 2 * count + 100
    while len(taken) < count:
        missing = count - len(taken)
        if position + missing > stop:
            raise UserError(f"'{domain}' has too few distinct images for a set of {count}.")
        images = draw(domain, position, missing, size)
        taken = np.concatenate([taken, images[_new_indices(images, seen)]])
        position += missing
    return taken
