"""Where the images of a target come from: a domain of the avatars, or files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fsgan_bench.data.avatars import DOMAINS, draw
from fsgan_bench.data.file_splits import file_splits
from fsgan_bench.data.filters import grey
from fsgan_bench.data.images import Images
from fsgan_bench.data.sources import load_images
from fsgan_bench.data.splits import Splits, avatar_splits
from fsgan_bench.system.paths import exists

NON_TARGET_START = 200_000
SOURCE_IMAGES = "source"
MIN_GREYED = 8
"""Fewer greyed images than these are too few to learn from, and none are made."""

WITHOUT_REAL = "no Frechet distance (FID), no realisticness, no line of real images"
WITHOUT_SOURCE = "no realisticness, unless the classifier has other images to reject"
WITHOUT_OTHER = "the classifier does not learn to reject them"


@dataclass(frozen=True)
class Location:
    """Where a file or a folder is looked for: the first path that is there counts.

    Attributes:
        candidates: the paths, best first.
        patterns: the same in short, with ``{target}`` for a target's name and aliases.
        required: whether nothing runs without it.
    """

    candidates: tuple[Path, ...]
    patterns: tuple[str, ...] = ()
    required: bool = True

    @property
    def found(self) -> Path | None:
        return next((path for path in self.candidates if exists(path)), None)

    @property
    def path(self) -> Path:
        """What was found, or where it should be."""
        return self.found or self.candidates[0]


@dataclass(frozen=True)
class Part:
    """Something on disk that a task is made of.

    Attributes:
        name: what it is, in a sentence.
        location: where it is looked for.
        without: what cannot be done without it.
    """

    name: str
    location: Location
    without: str


@dataclass(frozen=True)
class SplitSizes:
    """Numbers of images that a task wants: see ``Splits``."""

    shots: int
    classifier: int
    reference: int
    held_out: int


class TargetImages(Protocol):
    """The images of a target domain, and those that its classifier learns to reject."""

    @property
    def parts(self) -> Sequence[Part]:
        """The files and folders that they are read from."""

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        """The known ideal adaptation of source images, where there is one."""

    @property
    def attribution(self) -> str:
        """Whose work the images are, as a sentence; empty where it is not known."""

    def splits(self, sizes: SplitSizes, seed: int, resolution: int) -> Splits:
        """The target's own images, each set no larger than wanted; sets may be empty."""

    def non_target(self, count: int, resolution: int) -> dict[str, Images]:
        """Images to reject, by domain, the source's first: ``count`` of it, a quarter of others."""


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

    def non_target(self, count: int, resolution: int) -> dict[str, Images]:
        source, *others = self.rejected
        counts = {source: count, **dict.fromkeys(others, count // 4)}
        return {name: draw(name, NON_TARGET_START, n, resolution) for name, n in counts.items()}


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
    """

    few_shot: Location
    real: Location | None = None
    rejected: Mapping[str, Location] = field(default_factory=dict)
    grey_source: bool = True

    @property
    def ideal(self) -> Callable[[Images], Images] | None:
        return None

    @property
    def attribution(self) -> str:
        return ""

    @property
    def parts(self) -> Sequence[Part]:
        parts = [Part("few-shot images", self.few_shot, "the target cannot run")]
        if self.real is not None:
            parts.append(Part("real images", self.real, WITHOUT_REAL))
        for name, location in self.rejected.items():
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

    def non_target(self, count: int, resolution: int) -> dict[str, Images]:
        images: dict[str, Images] = {}
        for name, location in self.rejected.items():
            if location.found is None:
                continue
            own = name == SOURCE_IMAGES
            wanted = (count + count // 4 * self.grey_source) if own else count // 4
            loaded = load_images(location.found, resolution, wanted, repeats="drop")
            greyed = len(loaded) // 5 if own and self.grey_source else 0
            if greyed < MIN_GREYED:
                images[name] = loaded
            else:
                images |= {name: loaded[:-greyed], "grey source": grey(loaded[-greyed:])}
        return images
