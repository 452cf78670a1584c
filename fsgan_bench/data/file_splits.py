"""The splits of a target whose images lie on disk: a few-shot pool and perhaps a real set."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fsgan_bench.data.draws import Drawn, Left, draw_distinct
from fsgan_bench.data.entries import images
from fsgan_bench.data.fingerprints import Fingerprints
from fsgan_bench.data.near import first_of_each
from fsgan_bench.data.sources import ImageFiles, find_images
from fsgan_bench.data.splits import Splits, disjoint, few_shot_order
from fsgan_bench.errors import UserError
from fsgan_bench.system.paths import same_place


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
        passed_over: a sentence for each thing in the folders that was not taken for an image.
    """

    few_shot_names: tuple[str, ...]
    pool_size: int
    real_size: int
    overlap: Left
    repeats: Left
    passed_over: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that was left out."""
        return (
            *self.overlap.note("splits of the real set", "few-shot"),
            *self.repeats.note("real set", "repeated"),
            *self.passed_over,
        )


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
            the pool itself, repeats are no error and only the few-shot images are dropped. What
            is the same picture but for its encoding, size or a mirroring counts as the same, see
            ``fsgan_bench.data.near``.

    Raises:
        UserError: more shots than the pool holds, a real set with nothing of its own, or an image
            set that cannot be read.
        ValueError: a negative number.
    """
    if min(shots, n_classifier, n_reference, n_held_out) < 0:
        raise ValueError("the number of images in a set cannot be negative")
    candidates = find_images(pool, size)
    is_pool = real is not None and same_place(Path(pool), Path(real))
    drawn, pool_size, excluded, notes = _few_shot(candidates, shots, seed, is_pool)
    if real is None:
        rest, found = candidates, Drawn((), Left(), Left(), 0)
    else:
        rest = candidates if is_pool else find_images(real, size)
        total = n_classifier + n_reference + n_held_out
        found = draw_distinct(rest, "real", total, [excluded], whole=not rest.many)
        if not is_pool:
            notes += [f"{real}: {note}" for note in rest.notes]
        if not found.available:
            raise UserError(
                f"Every image of the real set {real} is a few-shot image or may become one; "
                f"add others, or leave some out of {pool}."
            )
    parts = _shares(len(found.chosen), (n_reference, n_classifier, n_held_out))
    reference, classifier, held_out = (rest.images(found.chosen[part]) for part in parts)
    sets = disjoint(
        few_shot=candidates.images(drawn),
        classifier=classifier,
        reference=reference,
        held_out=held_out,
    )
    return FileSplits(
        **sets,
        few_shot_names=tuple(candidates.names[index] for index in drawn),
        pool_size=pool_size,
        real_size=found.available,
        overlap=found.excluded,
        repeats=found.repeats,
        passed_over=tuple(notes),
    )


def _few_shot(
    pool: ImageFiles, shots: int, seed: int, is_real: bool
) -> tuple[list[int], int, Fingerprints, list[str]]:
    """Draw from the pool.

    Returns:
        indices, the pool's size, the fingerprints of what must not be among the real images, notes.
    """
    notes = [f"{pool.path}: {note}" for note in pool.notes]
    everything = range(len(pool))
    if is_real:
        keys = pool.order_keys(whole=not pool.many)
    else:
        whole = pool.fingerprints(everything, "refuse")
        keys = list(whole.hashes)
        alike = len(pool) - len(first_of_each(whole.thumbnails))
        if alike:
            notes.append(
                f"{pool.path}: {images(alike)} nearly equal{'s' * (alike == 1)} another few-shot "
                "image, encoded anew or mirrored, and may be drawn beside it."
            )
    first = dict(zip(reversed(keys), reversed(everything), strict=True))
    if shots > len(first):
        raise UserError(
            f"{shots} shots were asked for, but {pool.path} holds {images(len(first))}."
        )
    indices = [first[key] for key in first]
    order = [indices[i] for i in few_shot_order(list(first), seed)]
    if not is_real:
        return order[:shots], len(first), whole, notes
    # Files that differ may hold one picture, encoded anew; the next in the order takes its place.
    seen = shots
    while True:
        known = pool.fingerprints(order[:seen])
        distinct = first_of_each(known.thumbnails)
        if len(distinct) >= shots or seen >= len(order):
            break
        seen += shots - len(distinct)
    if len(distinct) < shots:
        raise UserError(
            f"{shots} shots were asked for, but {pool.path} holds {images(len(distinct))}, others "
            "nearly equal to one of them."
        )
    if again := seen - len(distinct):
        notes.append(
            f"{pool.path}: {images(again)} nearly equal{'s' * (again == 1)} a few-shot image, and "
            "the next in the seeded order stands in its place."
        )
    drawn = [order[i] for i in distinct[:shots]]
    return drawn, len(first), pool.fingerprints(drawn), notes


def _shares(available: int, asked: Sequence[int]) -> list[slice]:
    """Where each set begins and ends: as asked, or all there is, in proportion, if it is less."""
    total = sum(asked)
    ends = [0, *itertools.accumulate(asked)]
    if available < total:
        ends = [math.ceil(available * end / total) for end in ends]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]
