"""Which images are found in a folder, a zip or an LMDB, and in what order."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data.containers import open_entries
from fsgan_bench.data.images import Images
from fsgan_bench.data.sources import load_images, read_images
from fsgan_bench.errors import UserError

Noise = Callable[..., Images]
Encode = Callable[..., bytes]
Make = Callable[..., Path]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_folder_is_sorted_by_name_and_limited(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.PNG", 10), ("c.webp", 30), (".hidden.png", 99)):
        image = Image.new("RGB", (8, 8), (level,) * 3)
        image.save(tmp_path / name, format="WEBP" if "webp" in name else "PNG", lossless=True)
    (tmp_path / "notes.txt").write_text("not an image, and not taken for one")
    (tmp_path / "folder.png").mkdir()
    assert load_images(tmp_path, 8)[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert load_images(str(tmp_path), 8, limit=2)[:, 0, 0, 0].tolist() == [10, 20]


def test_loose_images_and_those_of_subfolders_are_read_alike(
    tmp_path: Path, noise: Noise, encode: Encode
) -> None:
    images = noise(3)
    for image, name in zip(images, ("b/x y.png", "a/ü/gelb.png", "é.png"), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(image))
    found = read_images(tmp_path, 8)
    assert found.names == ("a/ü/gelb.png", "b/x y.png", "é.png")
    assert np.array_equal(found.images, images[[1, 0, 2]])
    assert found.notes == ("Read: 1 image at the top and 2 in subfolders.",)


def test_links(tmp_path: Path, noise: Noise, encode: Encode, make_folder: Make) -> None:
    real = make_folder(tmp_path / "real", noise(2))
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a.png").symlink_to(real / "000.png")
    (linked / "loop").symlink_to(linked)
    assert np.array_equal(load_images(linked, 8), noise(2)[:1])
    (tmp_path / "again").symlink_to(real)
    assert np.array_equal(load_images(tmp_path / "again", 8), noise(2))
    (linked / "b.png").symlink_to(tmp_path / "nothing.png")
    (linked / "c.png").symlink_to(linked / "c.png")
    with pytest.raises(UserError, match=r"2 images .*'b\.png' \(a link to nothing\), 'c\.png' \("):
        load_images(linked, 8)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    with pytest.raises(UserError, match=r"self does not exist"):
        load_images(tmp_path / "self", 8)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.png")
    with pytest.raises(UserError, match=r"'one\.png' \(not a regular file\)"):
        load_images(tmp_path, 8)


def test_zip_equals_the_folder_of_its_files(tmp_path: Path, make_zip: Make) -> None:
    rng = np.random.default_rng(0)
    for name, size, mode in (("a", (8, 20), "RGB"), ("b", (30, 9), "RGBA"), ("c", (9, 9), "L")):
        pixels = rng.integers(0, 256, (*size, 4), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(tmp_path / f"{name}.png")
    files = sorted(tmp_path.iterdir())
    entries = {f"0000{i}/{file.name}": file.read_bytes() for i, file in enumerate(files)}
    labels = b'{"labels": [["00000/a.png", 0]]}'
    path = make_zip(tmp_path / "set.zip", {"dataset.json": labels, **entries})
    plain = make_zip(tmp_path / "plain.ZIP", {file.name: file.read_bytes() for file in files})
    assert np.array_equal(load_images(path, 8), load_images(tmp_path, 8))
    assert np.array_equal(load_images(plain, 8), load_images(tmp_path, 8))


def test_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, noise: Noise, encode: Encode, make_zip: Make
) -> None:
    path = make_zip(
        tmp_path / "set.zip", {"a.png": bytes(65 * 2**20), "b.png": encode(noise(1)[0])}
    )
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("c.png", bytes(1000))
    with pytest.raises(UserError) as caught:
        load_images(path, 8)
    assert "2 images" in str(caught.value)
    assert "'a.png' (over 64 MiB), 'c.png' (neither stored nor deflated)" in str(caught.value)


def test_zip_that_lies_about_a_size(tmp_path: Path, make_zip: Make) -> None:
    path = make_zip(tmp_path / "set.zip", {"a.png": bytes(2**20)})
    content = path.read_bytes()
    true_size, told = (size.to_bytes(4, "little") for size in (2**20, 100))
    assert content.count(true_size) == 2
    path.write_bytes(content.replace(true_size, told))
    with pytest.raises(UserError, match=r"'a\.png' \(damaged\)"):
        load_images(path, 8)


def test_encrypted_zip(tmp_path: Path, noise: Noise, encode: Encode, make_zip: Make) -> None:
    path = make_zip(tmp_path / "set.zip", {"a.png": encode(noise(1)[0])})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"'a\.png' \(encrypted\)"):
        load_images(path, 8)


@pytest.mark.parametrize(
    ("stored", "size", "best"),
    [
        ((128, 256, 1024), 256, 256),
        ((1024, 16, 32), 20, 32),
        ((1024, 16, 32), 64, 1024),
        ((8, 16), 64, 16),
    ],
)
def test_lmdb_resolution_that_fits_best(
    tmp_path: Path,
    noise: Noise,
    encode: Encode,
    make_lmdb: Make,
    stored: tuple[int, ...],
    size: int,
    best: int,
) -> None:
    images = {side: noise(3, side, seed=side) for side in stored}
    path = make_lmdb(tmp_path / "set", {s: [encode(i) for i in images[s]] for s in stored})
    before = listing(path)
    found = read_images(path, size)
    assert found.names == tuple(f"{best}-0000{index}" for index in range(3))
    expected = [
        Image.fromarray(i).resize((size, size), Image.Resampling.LANCZOS) for i in images[best]
    ]
    assert np.array_equal(found.images, np.stack([np.asarray(image) for image in expected]))
    assert listing(path) == before


def test_lmdb_without_its_lock_is_read_and_stays_without(
    tmp_path: Path, noise: Noise, encode: Encode, make_lmdb: Make
) -> None:
    path = make_lmdb(tmp_path / "set", {16: [encode(i, "JPEG") for i in noise(2, 16)]})
    (path / "lock.mdb").unlink()
    assert load_images(path, 16, limit=1).shape == (1, 16, 16, 3)
    assert [file.name for file in path.iterdir()] == ["data.mdb"]


def test_lmdb_names_missing_and_damaged_images(
    tmp_path: Path, noise: Noise, encode: Encode, make_lmdb: Make
) -> None:
    good = [encode(image) for image in noise(4)]
    path = make_lmdb(tmp_path / "set", {8: [*good[:2], good[0], good[3][:50]]}, 6)
    with pytest.raises(UserError) as caught:
        load_images(path, 8)
    message = str(caught.value)
    assert "4 images" in message and "'8-00002' (repeats '8-00000')" in message
    assert "'8-00003' (damaged or cut short), '8-00004' (missing)" in message


def test_lmdb_that_is_none(tmp_path: Path, noise: Noise, encode: Encode, make_lmdb: Make) -> None:
    path = make_lmdb(tmp_path / "set", {8: [encode(image) for image in noise(50)]})
    whole = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut short"):
        load_images(path, 8)
    for content in (b"", b"nonsense" * 10_000):
        (path / "data.mdb").write_bytes(content)
        with pytest.raises(UserError, match=r"set cannot be read as an LMDB"):
            load_images(path, 8)
    with pytest.raises(UserError, match="lacks images"):
        load_images(make_lmdb(tmp_path / "empty", {}), 8)


@pytest.mark.parametrize("length", [None, b"", b"-1", b"many", b"9" * 5000])
def test_lmdb_of_an_unfinished_run(
    tmp_path: Path, noise: Noise, encode: Encode, length: bytes | None
) -> None:
    with lmdb.open(str(tmp_path / "set")) as environment, environment.begin(write=True) as writing:
        writing.put(b"8-00000", encode(noise(1)[0]))
        if length is not None:
            writing.put(b"length", length)
    with pytest.raises(UserError, match="lacks a length"):
        load_images(tmp_path / "set", 8)


def test_lmdb_without_its_reader(
    tmp_path: Path, make_lmdb: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_lmdb(tmp_path / "set", {8: [b""]})
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UserError, match=r"pip install 'fsgan-bench\[lmdb\]'$"):
        load_images(path, 8)


def test_nothing_to_read(tmp_path: Path, make_zip: Make) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        load_images(tmp_path / "nowhere", 8)
    with pytest.raises(UserError, match="holds no image"):
        load_images(tmp_path, 8)
    with pytest.raises(UserError, match="holds no image"):
        load_images(make_zip(tmp_path / "set.zip", {"dataset.json": b"{}"}), 8)
    for name, message in (("broken.zip", "cannot be read as a zip"), ("one.png", "is a file")):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(UserError, match=message):
            load_images(tmp_path / name, 8)
    with pytest.raises(UserError, match="does not exist"):
        load_images(tmp_path / "none.zip", 8)


def test_a_hidden_entry_in_another_compression_refuses_nothing(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, format="PNG")
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", picture.getvalue())
        archive.writestr("__MACOSX/._a.png", b"x" * 50, compress_type=zipfile.ZIP_BZIP2)
    with open_entries(path, 8) as contents:
        (entry,) = contents.entries
        assert entry.read() == picture.getvalue()
