"""Images of a target and of what its classifier rejects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsgan_bench.data.avatars import DOMAINS
from fsgan_bench.data.filters import grey
from fsgan_bench.data.images import Images, content_hashes, save_png
from fsgan_bench.data.locations import Location
from fsgan_bench.data.sources import load_images
from fsgan_bench.data.targets import AvatarImages, FileImages, SplitSizes


def write(folder: Path, count: int, seed: int) -> Location:
    images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        save_png(image, folder / f"{index:03d}.png")
    return Location((folder,))


def same(one: Images, other: Images) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def test_the_first_place_that_is_there_counts(tmp_path: Path) -> None:
    location = Location((tmp_path / "a", tmp_path / "b", tmp_path / "c"))
    assert location.found is None and location.path == tmp_path / "a"
    (tmp_path / "c").mkdir()
    assert location.found == location.path == tmp_path / "c"
    (tmp_path / "b").mkdir()
    assert location.found == tmp_path / "b"


@pytest.mark.parametrize("grey_source", [True, False])
def test_what_the_classifier_rejects(tmp_path: Path, grey_source: bool) -> None:
    source, dogs = write(tmp_path / "source", 60, 1), write(tmp_path / "dogs", 30, 2)
    rejected = {"source": source, "dogs": dogs, "gone": Location((tmp_path / "gone",))}
    images = FileImages(write(tmp_path / "few", 5, 3), None, rejected, grey_source)
    got = images.non_target(40, 16).images
    assert list(got) == ["source", *(["grey source"] if grey_source else []), "dogs"]
    assert [len(each) for each in got.values()] == [40, *([10] if grey_source else []), 10]
    everything = load_images(tmp_path / "source", 16)
    known = set(content_hashes(everything))
    assert set(content_hashes(got["source"])) < known
    assert not same(got["source"], everything[:40])  # a draw over all, not the first by name
    if grey_source:
        assert set(content_hashes(got["grey source"])) < set(content_hashes(grey(everything)))
    again = images.non_target(40, 16).images
    assert all(same(again[name], got[name]) for name in got)


def test_all_are_taken_in_the_order_of_their_names_where_no_more_are_wanted(tmp_path: Path) -> None:
    rejected = {"dogs": write(tmp_path / "dogs", 10, 2)}
    images = FileImages(write(tmp_path / "few", 5, 3), None, rejected)
    assert same(images.non_target(40, 16).images["dogs"], load_images(tmp_path / "dogs", 16))


def test_few_of_several_classes_are_drawn_over_all_of_them(tmp_path: Path) -> None:
    """Fewer wanted than there are: not {'cat': 40}."""
    kinds = [write(tmp_path / "animals" / kind, 60, seed) for seed, kind in enumerate("abc")]
    drawn = FileImages(
        write(tmp_path / "few", 5, 9), None, {"source": Location((tmp_path / "animals",))}
    )
    got = set(content_hashes(drawn.non_target(40, 16).images["source"]))
    shares = [len(got & set(content_hashes(load_images(kind.path, 16)))) for kind in kinds]
    assert sum(shares) == 40 and min(shares) >= 5


def test_rejected_images_hold_none_of_the_targets_own(tmp_path: Path) -> None:
    """Encoded anew or mirrored, too; a sentence says so."""
    source = write(tmp_path / "source", 30, 1)
    own = load_images(source.path, 16)
    save_png(own[3][:, ::-1], source.path / "mirrored.png")
    images = FileImages(write(tmp_path / "few", 5, 3), None, {"source": source}, grey_source=False)
    got = images.non_target(100, 16, [own[2:4]])
    assert len(got.images["source"]) == 28
    assert got.notes == (
        "Left out of the source images as the target's: 3 images, 1 of them encoded anew or "
        "mirrored.",
    )


@pytest.mark.parametrize(
    ("there", "sizes"), [(12, {"source": 12}), (45, {"source": 36, "grey source": 9})]
)
def test_few_source_images_are_shared_out(
    there: int, sizes: dict[str, int], tmp_path: Path
) -> None:
    source = write(tmp_path / "source", there, 1)
    images = FileImages(write(tmp_path / "few", 5, 3), None, {"source": source})
    assert {name: len(got) for name, got in images.non_target(100, 16).images.items()} == sizes


def test_without_a_real_set_there_are_few_shot_images_alone(tmp_path: Path) -> None:
    images = FileImages(write(tmp_path / "few", 12, 3))
    splits = images.splits(SplitSizes(10, 4, 4, 4), seed=0, resolution=16)
    assert len(splits.few_shot) == 10
    assert len(splits.classifier) == len(splits.reference) == len(splits.held_out) == 0
    assert images.non_target(8, 16).images == {}
    assert [part.name for part in images.parts] == [
        "few-shot images",
        "real images",
        "source images",
    ]


def test_a_domain_is_drawn(image_cache: Path) -> None:
    images = AvatarImages("sketches", ("faces", "ink"))
    splits = images.splits(SplitSizes(3, 4, 5, 6), seed=0, resolution=16)
    sizes = (splits.few_shot, splits.classifier, splits.reference, splits.held_out)
    assert [len(each) for each in sizes] == [3, 4, 5, 6]
    assert {n: len(i) for n, i in images.non_target(8, 16).images.items()} == {"faces": 8, "ink": 2}
    assert images.ideal is DOMAINS["sketches"].ideal and images.parts == ()


def test_the_greyed_images_are_of_every_folder(tmp_path: Path) -> None:
    """Where all are taken, in the order of their names, the last of them are of one class."""
    for seed, kind in enumerate("az"):
        write(tmp_path / "source" / kind, 30, seed)
    source = Location((tmp_path / "source",))
    got = FileImages(write(tmp_path / "few", 5, 9), None, {"source": source}).non_target(60, 16)
    last = {*content_hashes(load_images(tmp_path / "source" / "z", 16))}
    assert [len(each) for each in got.images.values()] == [48, 12]
    assert 10 < len(last & {*content_hashes(got.images["source"])}) < 30
