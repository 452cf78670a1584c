"""Where the images of a target come from: a domain of the avatars, or files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from fsgan_bench.data.avatars import DOMAINS, Domain, draw
from fsgan_bench.data.draws import draw_distinct
from fsgan_bench.data.file_splits import file_splits
from fsgan_bench.data.filters import grey
from fsgan_bench.data.fingerprints import Fingerprints, fingerprints_of
from fsgan_bench.data.images import Images
from fsgan_bench.data.locations import UNNAMED, Location, Part
from fsgan_bench.data.sources import find_images
from fsgan_bench.data.splits import LEAST_TO_LEARN_FROM, Splits, avatar_splits

NON_TARGET_START = 200_000
SOURCE_IMAGES = "source"
NO_FRECHET = "no Frechet distance (FID)"
WITHOUT_REAL = "no realisticness, no line of real images"
WITHOUT_SOURCE = "no realisticness, unless the classifier has other images to reject"
WITHOUT_STATISTICS = "the Frechet distance (FID) is to the real images themselves, if any"
WITHOUT_OTHER = "the classifier does not learn to reject them"


@dataclass(frozen=True)
class SplitSizes:
    """Numbers of images that a task wants: see ``Splits``."""

    shots: int
    classifier: int
    reference: int
    held_out: int


@dataclass(frozen=True)
class Rejected:
    """Images that a classifier learns to reject, by domain, the source's first.

    ``notes`` has a sentence for each thing that was passed over or left out.
    """

    images: Mapping[str, Images]
    notes: tuple[str, ...] = ()


class TargetImages(Protocol):
    """The images of a target domain, and those that its classifier learns to reject."""

    @property
    def parts(self) -> Sequence[Part]:
        """The files and folders that they are read from."""

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        """The known ideal adaptation of source images, where there is one."""

    @property
    def population(self) -> Domain | None:
        """The domain that draws them, if it draws the source's people; else None."""

    @property
    def attribution(self) -> str:
        """Whose work the images are, as a sentence; empty where it is not known."""

    def splits(self, sizes: SplitSizes, seed: int, resolution: int) -> Splits:
        """The target's own images, each set no larger than wanted; sets may be empty."""

    def non_target(self, count: int, resolution: int, target: Sequence[Images] = ()) -> Rejected:
        """Images to reject: ``count`` of the source, a quarter of each other domain.

        None of them equals one of the ``target``'s, or nearly.
        """

    @property
    def statistics(self) -> Location | None:
        """Statistics of real images, which a Frechet distance takes in place of the images."""

    def every_real(self, resolution: int) -> Iterator[Images] | None:
        """The whole real set in blocks, each image mirrored or not; None where there is none.

        Mirrored by a seeded coin, as in the FID of CDC's and AdAM's code.
        """

    def kept_images(self, sizes: SplitSizes) -> int:
        """How many images the cache keeps at most for the sets of a target; 0 if none of files."""


@dataclass(frozen=True)
class AvatarImages:
    """A domain of the avatars.

    Attributes:
        domain: its name in ``fsgan_bench.data.avatars``.
        rejected: domains that the classifier learns to reject; the source comes first.
    """

    domain: str
    rejected: tuple[str, ...]

    @property
    def parts(self) -> Sequence[Part]:
        return ()

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        return DOMAINS[self.domain].ideal

    @property
    def population(self) -> Domain | None:
        domain = DOMAINS[self.domain]
        return None if domain.ideal is None else domain

    @property
    def attribution(self) -> str:
        return DOMAINS[self.domain].attribution

    def splits(self, sizes: SplitSizes, seed: int, resolution: int) -> Splits:
        return avatar_splits(
            self.domain,
            sizes.shots,
            seed,
            sizes.classifier,
            sizes.reference,
            sizes.held_out,
            resolution,
        )

    def non_target(self, count: int, resolution: int, target: Sequence[Images] = ()) -> Rejected:
        source, *others = self.rejected
        counts = {source: count, **dict.fromkeys(others, count // 4)}
        return Rejected(
            {name: draw(name, NON_TARGET_START, n, resolution) for name, n in counts.items()}
        )

    @property
    def statistics(self) -> Location | None:
        return None

    def every_real(self, resolution: int) -> Iterator[Images] | None:
        return None

    def kept_images(self, sizes: SplitSizes) -> int:
        return 0


@dataclass(frozen=True)
class FileImages:
    """Image sets on disk: folders, zips or LMDBs, see ``fsgan_bench.data.sources.load_images``.

    Attributes:
        few_shot: the pool that few-shot sets are drawn from.
        real: more real images of the target, for the classifier and the Frechet distance.
        rejected: real images of other domains by name, for the classifier; if the source's own are
            among them they come first, as ``source``.
        grey_source: whether a fifth of the source images is greyed and rejected too. A classifier
            that has not seen them takes every colourless image for a sketch; where the target
            itself is colourless photographs of the source's domain, it must not see them.
        statistics: a ``.npz`` of FID statistics, see ``fsgan_bench.metrics.statistics_file``.
    """

    few_shot: Location
    real: Location | None = None
    rejected: Mapping[str, Location] = field(default_factory=dict)
    grey_source: bool = True
    statistics: Location | None = None

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        return None

    @property
    def population(self) -> Domain | None:
        return None

    @property
    def attribution(self) -> str:
        return ""

    @property
    def parts(self) -> Sequence[Part]:
        measured = self.statistics is not None and self.statistics.found is not None
        without_real = WITHOUT_REAL if measured else f"{NO_FRECHET}, {WITHOUT_REAL}"
        parts = [
            Part("few-shot images", self.few_shot, "the target cannot run"),
            Part("real images", self.real or UNNAMED, without_real),
        ]
        if self.statistics is not None:
            parts.append(Part("FID statistics", self.statistics, WITHOUT_STATISTICS))
        for name, location in {SOURCE_IMAGES: UNNAMED, **self.rejected}.items():
            own = name == SOURCE_IMAGES
            parts.append(Part(f"{name} images", location, WITHOUT_SOURCE if own else WITHOUT_OTHER))
        return parts

    def splits(self, sizes: SplitSizes, seed: int, resolution: int) -> Splits:
        return file_splits(
            self.few_shot.path,
            sizes.shots,
            seed,
            sizes.classifier,
            sizes.reference,
            sizes.held_out,
            resolution,
            real=self.real.found if self.real else None,
        )

    def every_real(self, resolution: int) -> Iterator[Images] | None:
        if self.real is None or self.real.found is None:
            return None
        coin = np.random.default_rng(0)
        return (
            np.where(coin.random(len(block))[:, None, None, None] < 0.5, block[:, :, ::-1], block)
            for block in find_images(self.real.found, resolution).blocks()
        )

    def non_target(self, count: int, resolution: int, target: Sequence[Images] = ()) -> Rejected:
        excluded = [fingerprints_of(images) for images in target if len(images)]
        images: dict[str, Images] = {}
        notes: list[str] = []
        for name, location in self.rejected.items():
            if location.found is None:
                continue
            loaded = self._draw(name, location.found, count, resolution, excluded, notes)
            greyed = len(loaded) // 5 if name == SOURCE_IMAGES and self.grey_source else 0
            if greyed < LEAST_TO_LEARN_FROM:
                images[name] = loaded
            else:
                # Of images in the order of their names the last would be of the last folders alone.
                chosen = np.random.default_rng(0).permutation(len(loaded)) < greyed
                images |= {name: loaded[~chosen], "grey source": grey(loaded[chosen])}
        return Rejected(images, tuple(notes))

    def _draw(
        self,
        name: str,
        path: Path,
        count: int,
        resolution: int,
        excluded: Sequence[Fingerprints],
        notes: list[str],
    ) -> Images:
        """All images at ``path`` in the order of their names; a seeded draw if there are more."""
        wanted = self._wanted(name, count)
        files = find_images(path, resolution)
        whole = len(files) <= wanted
        drawn = draw_distinct(files, f"rejected/{name}", wanted, excluded, whole=whole)
        notes += [f"{path}: {note}" for note in files.notes]
        notes += drawn.excluded.note(f"{name} images", "the target's")
        notes += drawn.repeats.note(f"{name} images", "repeated")
        return files.images(sorted(drawn.chosen) if whole else drawn.chosen)

    def _wanted(self, name: str, count: int) -> int:
        own = name == SOURCE_IMAGES
        return (count + count // 4 * self.grey_source) if own else count // 4

    def kept_images(self, sizes: SplitSizes) -> int:
        real = sizes.classifier + sizes.reference + sizes.held_out if self.real else 0
        rejected = sum(self._wanted(name, sizes.classifier) for name in self.rejected)
        return sizes.shots + real + rejected
