from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data import decoding, sources
from fsgan_bench.data.draws import Left
from fsgan_bench.data.file_splits import FileSplits, file_splits
from fsgan_bench.data.images import Images, content_hashes, set_hash
from fsgan_bench.errors import UserError

Noise = Callable[..., Images]
Encode = Callable[..., bytes]
Make = Callable[..., Path]


@pytest.fixture
def pool(tmp_path: Path, noise: Noise, make_folder: Make) -> Path:
    return make_folder(tmp_path / "pool", noise(12))


@pytest.fixture
def real(tmp_path: Path, noise: Noise, make_folder: Make) -> Path:
    """Forty images of which three are in the pool and one comes twice."""
    images = noise(40, seed=1)
    images[[3, 20, 39]] = noise(12)[[0, 5, 11]]
    images[7] = images[8]
    return make_folder(tmp_path / "real", images)


def sets(splits: FileSplits) -> list[Images]:
    return [splits.few_shot, splits.reference, splits.classifier, splits.held_out]


def sizes(splits: FileSplits) -> list[int]:
    assert all(images.shape[1:] == (8, 8, 3) for images in sets(splits))
    return [len(images) for images in sets(splits)]


def check(splits: FileSplits) -> None:
    """Disjoint by content, no image twice, hashes as stated."""
    hashes = [content_hashes(images) for images in sets(splits)]
    assert all(len(set(h)) == len(h) for h in hashes)
    assert not any(set(one) & set(other) for one, other in combinations(hashes, 2))
    for name in ("few_shot", "reference", "classifier"):
        assert getattr(splits, f"{name}_hash") == set_hash(getattr(splits, name))


def test_few_shot_images_alone(pool: Path, noise: Noise) -> None:
    splits = file_splits(pool, 5, seed=0, size=8)
    assert sizes(splits) == [5, 0, 0, 0]
    check(splits)
    indices = [int(name.removesuffix(".png")) for name in splits.few_shot_names]
    assert np.array_equal(splits.few_shot, noise(12)[indices])
    assert (splits.pool_size, splits.real_size, splits.notes) == (12, 0, ())


def test_the_draw_is_seeded_and_more_shots_begin_with_the_fewer(pool: Path) -> None:
    five, seven = (file_splits(pool, k, seed=0, size=8) for k in (5, 7))
    assert seven.few_shot_names[:5] == five.few_shot_names
    assert file_splits(pool, 5, seed=0, size=8).few_shot_hash == five.few_shot_hash
    assert file_splits(pool, 5, seed=1, size=8).few_shot_hash != five.few_shot_hash


def test_a_pool_of_k_images_is_taken_whole(pool: Path) -> None:
    splits = file_splits(pool, 12, seed=3, size=8)
    assert sorted(splits.few_shot_names) == sorted(file.name for file in pool.iterdir())
    with pytest.raises(UserError, match=r"13 shots were asked for, but .*pool holds 12 images\."):
        file_splits(pool, 13, seed=0, size=8)
    with pytest.raises(ValueError, match="negative"):
        file_splits(pool, -1, seed=0, size=8)


def test_sizes_as_asked_and_what_is_left_out(pool: Path, real: Path) -> None:
    splits = file_splits(pool, 5, 0, 6, 10, 8, size=8, real=real)
    assert sizes(splits) == [5, 10, 6, 8]
    check(splits)
    assert (splits.real_size, splits.overlap, splits.repeats) == (36, Left(3), Left(1))
    assert splits.notes == (
        "Left out of the splits of the real set as few-shot: 3 images.",
        "Left out of the real set as repeated: 1 image.",
    )


def test_the_whole_pool_stays_out_and_only_few_shot_depends_on_the_draw(
    pool: Path, real: Path, noise: Noise
) -> None:
    one = file_splits(pool, 2, 0, 10, 10, 10, size=8, real=real)
    other = file_splits(pool, 9, 1, 10, 10, 10, size=8, real=real)
    drawn = {h for images in sets(one)[1:] for h in content_hashes(images)}
    assert not drawn & set(content_hashes(noise(12)))
    assert [set_hash(i) for i in sets(one)[1:]] == [set_hash(i) for i in sets(other)[1:]]
    more = file_splits(pool, 2, 0, 3, 20, 0, size=8, real=real)
    assert np.array_equal(more.reference[:10], one.reference)


def test_a_small_real_set_is_shared_out_whole(pool: Path, real: Path) -> None:
    splits = file_splits(pool, 5, 0, size=8, real=real)
    assert sizes(splits) == [5, 12, 12, 12]
    check(splits)
    assert sizes(file_splits(pool, 5, 0, 1000, 5000, 1000, size=8, real=real)) == [5, 26, 5, 5]


@pytest.mark.parametrize(("count", "expected"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (4, [2, 1, 1])])
def test_a_tiny_real_set(
    tmp_path: Path, pool: Path, noise: Noise, make_folder: Make, count: int, expected: list[int]
) -> None:
    few = make_folder(tmp_path / "few", noise(count, seed=5))
    assert sizes(file_splits(pool, 5, 0, size=8, real=few))[1:] == expected


def test_one_folder_may_be_pool_and_real_set(real: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(real)
    for place in (real, tmp_path / "link"):
        splits = file_splits(real, 5, 0, 10, 10, 10, size=8, real=place)
        assert sizes(splits) == [5, 10, 10, 10]
        check(splits)
        assert (splits.overlap, splits.repeats, splits.real_size) == (Left(5), Left(1), 34)


def test_nothing_but_few_shot_images_is_left(
    pool: Path, tmp_path: Path, noise: Noise, make_folder: Make
) -> None:
    inside = make_folder(tmp_path / "inside", noise(12)[:4])
    with pytest.raises(UserError, match=r"Every image of the real set .*inside is a few-shot"):
        file_splits(pool, 5, 0, size=8, real=inside)
    with pytest.raises(UserError, match="Every image"):
        file_splits(pool, 12, 0, size=8, real=pool)


def test_a_pool_that_repeats_itself_is_an_error(
    tmp_path: Path, noise: Noise, make_folder: Make
) -> None:
    pool = make_folder(tmp_path / "pool", noise(3)[[0, 1, 0, 2]])
    with pytest.raises(UserError, match=r"'002\.png' \(repeats '000\.png'\)"):
        file_splits(pool, 2, 0, size=8)


def test_every_container_gives_the_same_splits(
    tmp_path: Path, pool: Path, real: Path, encode: Encode, make_zip: Make, make_lmdb: Make
) -> None:
    files = {file.name: file.read_bytes() for file in sorted(real.iterdir())}
    archive = make_zip(tmp_path / "real.zip", files)
    database = make_lmdb(tmp_path / "lmdb", {8: list(files.values())})
    hashes = {
        tuple(
            set_hash(images) for images in sets(file_splits(pool, 5, 0, 9, 9, 9, size=8, real=path))
        )
        for path in (real, archive, database)
    }
    assert len(hashes) == 1


def drawings(count: int, start: int = 0) -> Images:
    """Smooth pictures [count, 32, 32, 3], as encoders expect them."""
    rng = np.random.default_rng(start)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    sizes = ((32, 32), Image.Resampling.BICUBIC)
    pictures = [np.asarray(Image.fromarray(each).resize(*sizes)) for each in coarse]
    return np.stack(pictures) if pictures else np.zeros((0, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb"])
def test_few_shot_images_in_the_real_set_whatever_their_encoding(
    tmp_path: Path, encode: Encode, make_folder: Make, make_zip: Make, make_lmdb: Make, kind: str
) -> None:
    """30 real images and not 40, in all three splits that are drawn from them."""
    few, others = drawings(10), drawings(30, start=1)
    pool = make_folder(tmp_path / "pool", few)
    changed = [
        *(encode(image, "JPEG") for image in few[:4]),
        *(encode(image[:, ::-1], "JPEG") for image in few[4:7]),
        *(encode(image, "WEBP") for image in few[7:9]),
        encode(few[9]),
    ]
    contents = [*changed, *(encode(image) for image in others)]
    names = [f"{index:05d}.png" for index in range(40)]
    made = {
        "folder": lambda: make_folder(tmp_path / "real", drawings(0)),
        "zip": lambda: make_zip(tmp_path / "real.zip", dict(zip(names, contents, strict=True))),
        "lmdb": lambda: make_lmdb(tmp_path / "real", {32: contents}),
    }
    real = made[kind]()
    if kind == "folder":
        for name, content in zip(names, contents, strict=True):
            (real / name).write_bytes(content)
    splits = file_splits(pool, 5, 0, size=32, real=real)
    assert sizes_at(splits, 32) == [5, 10, 10, 10] and splits.real_size == 30
    assert splits.overlap == Left(same=1, near=9)
    assert splits.notes == (
        "Left out of the splits of the real set as few-shot: 10 images, 9 of them encoded anew or "
        "mirrored.",
    )
    drawn = {h for images in sets(splits)[1:] for h in content_hashes(images)}
    assert drawn == set(content_hashes(others))


def sizes_at(splits: FileSplits, side: int) -> list[int]:
    assert all(images.shape[1:] == (side, side, 3) for images in sets(splits))
    return [len(images) for images in sets(splits)]


def test_real_images_that_repeat_each_other_nearly(
    tmp_path: Path, encode: Encode, make_folder: Make
) -> None:
    """No picture is in two of the splits, however it is encoded."""
    pool = make_folder(tmp_path / "pool", drawings(3))
    real = make_folder(tmp_path / "real", drawings(9, start=1))
    for index, image in enumerate(drawings(9, start=1)):
        (real / f"again{index}.jpg").write_bytes(encode(image[:, ::-1], "JPEG"))
    splits = file_splits(pool, 3, 0, size=32, real=real)
    assert splits.real_size == 9 and splits.repeats == Left(same=0, near=9)


def test_of_very_many_only_what_is_drawn_is_decoded(
    tmp_path: Path, encode: Encode, make_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MANY", 50)
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path / "cache"))
    pool = make_folder(tmp_path / "pool", drawings(4))
    real = make_folder(tmp_path / "real", np.concatenate([drawings(4), drawings(60, start=1)]))
    decoded = []
    square = decoding.square

    def spying(content: bytes, *arguments: Any) -> Images:
        decoded.append(content)
        return square(content, *arguments)

    monkeypatch.setattr(sources, "square", spying)
    splits = file_splits(pool, 4, 0, 4, 4, 4, size=32, real=real)
    assert sizes_at(splits, 32) == [4, 4, 4, 4]
    check_disjoint_of(splits)
    from_real = set(decoded) - {f.read_bytes() for f in pool.iterdir()}
    assert len(from_real) <= 12
    again = file_splits(pool, 4, 0, 4, 4, 4, size=32, real=real)
    assert again.reference_hash == splits.reference_hash
    stored = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.npy"))
    assert stored < 30 * 32 * 32 * 3


def check_disjoint_of(splits: FileSplits) -> None:
    hashes = [set(content_hashes(images)) for images in sets(splits)]
    assert not any(one & other for one, other in combinations(hashes, 2))


def test_images_are_mapped_and_cannot_be_written_to(pool: Path) -> None:
    images = file_splits(pool, 5, 0, size=8).few_shot
    assert not images.flags.writeable and not images.flags.owndata


def test_a_picture_encoded_anew_is_not_drawn_twice(tmp_path: Path) -> None:
    """Where the few-shot images come from the real ones, of which files that differ may be one."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    for number, image in enumerate(pixels.repeat(4, axis=1).repeat(4, axis=2)):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        Image.fromarray(image).save(tmp_path / f"{number}.bmp")
        Image.fromarray(image[:, ::-1]).save(tmp_path / f"{number}.tiff")
    said = ""
    for seed in range(4):
        splits = file_splits(tmp_path, 8, seed, 2, 2, 0, 32, real=tmp_path)
        drawn = [name.partition(".")[0] for name in splits.few_shot_names]
        assert len(set(drawn)) == len(drawn) == 8
        said += " ".join(splits.notes)
    assert "and the next in the seeded order stands in its place" in said
    with pytest.raises(UserError, match=r"13 shots were asked for, but .* holds 12 images"):
        file_splits(tmp_path, 13, 0, 2, 2, 0, 32, real=tmp_path)
