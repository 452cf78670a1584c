"""The errors and the cache of image sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data import decoding, sources
from fsgan_bench.data.images import Images, content_hashes
from fsgan_bench.data.sources import load_images, read_images
from fsgan_bench.errors import UserError

Noise = Callable[..., Images]
Encode = Callable[..., bytes]
Make = Callable[..., Path]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has been decoded, file by file."""
    contents: list[bytes] = []
    square = decoding.square

    def spying(content: bytes, size: int, formats: tuple[str, ...]) -> Images:
        contents.append(content)
        return square(content, size, formats)

    monkeypatch.setattr(sources, "square", spying)
    return contents


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_all_bad_files_are_named_at_once(
    tmp_path: Path, noise: Noise, encode: Encode, make_zip: Make
) -> None:
    one, other = (encode(image) for image in noise(2, 16))
    Image.new("F", (8, 8), 0.5).save(tmp_path / "float.png", format="TIFF")
    files = {
        "a.png": one,
        "again äöü.png": one,
        "cut.png": other[:200],
        "cut.webp": encode(noise(1, 64)[0], "WEBP")[:600],
        "empty.png": b"",
        "float.png": (tmp_path / "float.png").read_bytes(),
        "page.jpg": b"<html></html>",
        "pattern.bmp": encode(noise(1)[0], "BMP"),
        "tiny.png": encode(noise(1)[0][:, :7]),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for path in (tmp_path, make_zip(tmp_path / "set.zip", files)):
        with pytest.raises(UserError) as caught:
            load_images(path, 8)
        assert str(caught.value) == (
            f"{path} has 7 images that cannot be used: 'again äöü.png' (repeats 'a.png'), "
            "'cut.png' (damaged or cut short), 'cut.webp' (damaged or cut short), "
            "'empty.png' (empty), 'float.png' (floating-point images are not supported; save it "
            "as 8 or 16 bit), 'page.jpg' (no image but a web page, as a failed download leaves "
            "one), 'tiny.png' (7x8 px, under 8); repair them or take them out."
        )


def test_the_first_ten_are_named_and_all_are_counted(tmp_path: Path) -> None:
    for index in range(13):
        (tmp_path / f"{index:02d}.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"13 images .*'09\.png' \(empty\) and 3 more;"):
        load_images(tmp_path, 8)
    with pytest.raises(UserError, match=r"1 image that cannot be used: '00\.png' \(empty\);"):
        load_images(tmp_path, 8, limit=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.6, 0.95])
def test_truncated_file_is_named(
    tmp_path: Path, noise: Noise, encode: Encode, suffix: str, kept: float
) -> None:
    format = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]
    content = encode(noise(1, 64)[0], format)
    (tmp_path / f"broken.{suffix}").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=rf"'broken\.{suffix}' \("):
        load_images(tmp_path, 8)


@pytest.mark.parametrize("most", [50, 90])
def test_too_many_pixels(
    tmp_path: Path, noise: Noise, make_folder: Make, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)  # 144 px: over the one, twice the other
    folder = make_folder(tmp_path / "set", noise(1, 12))
    with pytest.raises(UserError, match=rf"'000\.png' \(over {most} px\)"):
        load_images(folder, 8)


def test_repeats_by_pixels_after_decoding(
    tmp_path: Path, noise: Noise, encode: Encode, make_folder: Make
) -> None:
    images = noise(3)
    folder = make_folder(tmp_path / "set", images)
    (folder / "001 copy.webp").write_bytes(b"")
    Image.fromarray(images[1]).save(folder / "001 copy.webp", lossless=True)
    for _ in range(2):  # decoded and cached
        found = read_images(folder, 8, repeats="drop")
        assert found.names == ("000.png", "001 copy.webp", "002.png") and found.repeats == 1
        assert np.array_equal(found.images, images)
        assert list(found.hashes) == content_hashes(images)
        with pytest.raises(UserError, match=r"'001\.png' \(repeats '001 copy\.webp'\);"):
            load_images(folder, 8)


def test_dropping_repeats_still_names_damage(
    tmp_path: Path, noise: Noise, make_folder: Make
) -> None:
    folder = make_folder(tmp_path / "set", noise(2)[[0, 1, 1]])
    (folder / "000.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 image .*'000\.png' \(empty\);"):
        load_images(folder, 8, repeats="drop")


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb"])
def test_a_set_is_decoded_once(
    tmp_path: Path,
    noise: Noise,
    encode: Encode,
    make_folder: Make,
    make_zip: Make,
    make_lmdb: Make,
    decoded: list[bytes],
    own_cache: Path,
    kind: str,
) -> None:
    images = noise(3)
    encoded = [encode(image) for image in images]
    path = {
        "folder": lambda: make_folder(tmp_path / "set", images),
        "zip": lambda: make_zip(
            tmp_path / "set.zip", {f"{i}.png": content for i, content in enumerate(encoded)}
        ),
        "lmdb": lambda: make_lmdb(tmp_path / "set", {8: encoded}),
    }[kind]()
    first, second = load_images(path, 8), load_images(path, 8)
    assert len(decoded) == 3 and np.array_equal(first, second)
    assert load_images(path, 4).shape == (3, 4, 4, 3) and len(decoded) == 6
    assert np.array_equal(load_images(path, 8, limit=2), images[:2]) and len(decoded) == 8


def test_a_changed_file_is_never_served_stale(
    tmp_path: Path, noise: Noise, encode: Encode, make_folder: Make, decoded: list[bytes]
) -> None:
    folder = make_folder(tmp_path / "set", noise(3))
    file = folder / "001.png"
    before = file.stat()
    load_images(folder, 8)
    changed = noise(3)[1].copy()
    changed[0, 0, 0] ^= 1
    content = encode(changed)
    while len(content) < before.st_size:  # same name, size and times, other pixels
        content += b"\0"
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert np.array_equal(load_images(folder, 8)[1], changed)
    file.rename(folder / "003.png")
    assert np.array_equal(load_images(folder, 8)[2], changed)


def test_a_file_that_changes_between_hashing_and_decoding_is_an_error(
    tmp_path: Path,
    noise: Noise,
    encode: Encode,
    make_folder: Make,
    monkeypatch: pytest.MonkeyPatch,
    own_cache: Path,
) -> None:
    folder = make_folder(tmp_path / "set", noise(2))
    key = sources._key

    def slow_key(*parts: Any) -> str:
        (folder / "001.png").write_bytes(encode(noise(1, seed=9)[0]))
        return key(*parts)

    monkeypatch.setattr(sources, "_key", slow_key)
    with pytest.raises(UserError, match=r"'001\.png' \(changed while it was read\)"):
        load_images(folder, 8)
    assert not list(own_cache.rglob("*.npy"))


def test_the_cache_follows_the_preprocessing(
    tmp_path: Path,
    noise: Noise,
    make_folder: Make,
    decoded: list[bytes],
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = make_folder(tmp_path / "set", noise(2))
    load_images(folder, 8)
    monkeypatch.setattr(sources, "PREPROCESSING", sources.PREPROCESSING + 1)
    load_images(folder, 8)
    monkeypatch.setattr("PIL.__version__", "0")
    load_images(folder, 8)
    assert len(decoded) == 6


def test_a_damaged_cache_is_made_again(
    tmp_path: Path, noise: Noise, make_folder: Make, own_cache: Path
) -> None:
    folder = make_folder(tmp_path / "set", noise(2))
    load_images(folder, 8)
    (stored,) = own_cache.rglob("*.npy")
    stored.write_bytes(stored.read_bytes()[:150])
    assert np.array_equal(load_images(folder, 8), noise(2))


def test_nonsense_is_a_value_error(tmp_path: Path) -> None:
    for size, limit in ((0, None), (8, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            load_images(tmp_path, size, limit)
