"""The splits of a target whose images lie on disk: a few-shot pool and perhaps a real set."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsgan_bench.data.sources import ImageSet, read_images
from fsgan_bench.data.splits import Splits, disjoint, few_shot_order, seeded_order
from fsgan_bench.errors import UserError


@dataclass(frozen=True, eq=False)
class FileSplits(Splits):
    """``Splits`` of images on disk, with a record of what was drawn and what was left out.

    Without a real set ``classifier``, ``reference`` and ``held_out`` have length 0.

    Attributes:
        few_shot_names: the files or entries of ``few_shot``, in its order.
        pool_size: images in the few-shot pool.
        real_size: different images of the real set that may be drawn; 0 without a real set.
        overlap: images of the real set left out because they are in the few-shot pool.
        repeats: images of the real set left out because they repeat another one.
    """

    few_shot_names: tuple[str, ...]
    pool_size: int
    real_size: int
    overlap: int
    repeats: int

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that was left out of the real set."""
        sentences = []
        if self.overlap:
            sentences.append(f"Left out of the real set as few-shot: {_images(self.overlap)}.")
        if self.repeats:
            sentences.append(f"Left out of the real set as repeated: {_images(self.repeats)}.")
        return tuple(sentences)


def file_splits(
    pool: str | os.PathLike[str],
    shots: int,
    seed: int,
    n_classifier: int = 1000,
    n_reference: int = 1000,
    n_held_out: int = 1000,
    size: int = 256,
    *,
    real: str | os.PathLike[str] | None = None,
) -> FileSplits:
    """The splits of a target given as image sets on disk, at ``size`` x ``size`` pixels.

    Args:
        pool: image set that the few-shot images are drawn from, in anything that ``load_images``
            reads. Two equal images in it are an error.
        shots: number of few-shot images.
        seed: of their draw; see ``few_shot_order``.
        n_classifier, n_reference, n_held_out: sizes asked for. A real set that holds fewer is
            shared out in the proportion of these three: a third each by default.
        size: width and height of the images in px.
        real: image set of the same domain. Its repeats are dropped, and so are the images of
            the whole pool, so that only ``few_shot`` depends on ``shots`` and ``seed``. If it is
            the pool itself, repeats are no error and only the few-shot images are dropped.

    Raises:
        UserError: more shots than the pool holds, a real set with nothing of its own, or an image
            set that cannot be read.
        ValueError: a negative number.
    """
    if min(shots, n_classifier, n_reference, n_held_out) < 0:
        raise ValueError("the number of images in a set cannot be negative")
    is_pool = real is not None and _same_place(Path(pool), Path(real))
    candidates = read_images(pool, size, repeats="drop" if is_pool else "refuse")
    if shots > len(candidates.images):
        raise UserError(
            f"{shots} shots were asked for, but {pool} holds {_images(len(candidates.images))}."
        )
    drawn = few_shot_order(candidates.hashes, seed)[:shots]
    few_shot = candidates.images[drawn]
    if real is None:
        rest, found = _nothing_of(candidates), list[int]()
    else:
        rest = candidates if is_pool else read_images(real, size, repeats="drop")
        excluded = [candidates.hashes[i] for i in drawn] if is_pool else candidates.hashes
        found = _others(rest.hashes, excluded)
        if not found:
            raise UserError(
                f"Every image of the real set {real} is a few-shot image or may become one; "
                f"add others, or leave some out of {pool}."
            )
    parts = _shares(len(found), (n_reference, n_classifier, n_held_out))
    reference, classifier, held_out = (rest.images[found[part]] for part in parts)
    sets = disjoint(
        few_shot=few_shot, classifier=classifier, reference=reference, held_out=held_out
    )
    return FileSplits(
        **sets,
        few_shot_names=tuple(candidates.names[index] for index in drawn),
        pool_size=len(candidates.images),
        real_size=len(found),
        overlap=len(rest.images) - len(found),
        repeats=rest.repeats,
    )


def _nothing_of(images: ImageSet) -> ImageSet:
    return ImageSet(images.images[:0], (), (), 0)


def _others(hashes: Sequence[str], excluded: Iterable[str]) -> list[int]:
    """Indices of the images that are not ``excluded``, in an order that only contents decide."""
    known = set(excluded)
    return [index for index in seeded_order(hashes, "real") if hashes[index] not in known]


def _shares(available: int, asked: Sequence[int]) -> list[slice]:
    """Where each set begins and ends: as asked, or all there is, in proportion, if it is less."""
    total = sum(asked)
    ends = [0, *itertools.accumulate(asked)]
    if available < total:
        ends = [math.ceil(available * end / total) for end in ends]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def _same_place(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
