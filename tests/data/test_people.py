"""Files as people have them: which images are read, in every container, and what is said."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fsgan_bench.data.images import Images
from fsgan_bench.data.near import copies, first_of_each, thumbnails
from fsgan_bench.data.signatures import kind_of
from fsgan_bench.data.sources import ImageSet, load_images, read_images
from fsgan_bench.errors import UserError

Noise = Callable[..., Images]
Encode = Callable[..., bytes]
Make = Callable[..., Path]


@pytest.fixture(params=["folder", "zip"])
def put(request: pytest.FixtureRequest, tmp_path: Path, make_zip: Make) -> Callable[..., Path]:
    """Writes files by name into a folder or an archive."""

    def write(files: dict[str, bytes]) -> Path:
        if request.param == "zip":
            return make_zip(tmp_path / "set.zip", files)
        for name, content in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "set"

    return write


def picture(seed: int, side: int = 16) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "hidden",
    [
        *(".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", ".git", "$RECYCLE.BIN"),
        *("@__thumb", ".Trash-1000", "System Volume Information"),
    ],
)
@pytest.mark.parametrize("below", ["", "cats/", "a/b/"])
def test_hidden_and_system_folders(put: Callable[..., Path], hidden: str, below: str) -> None:
    files = {f"{below}{i}.png": encoded(picture(i), "PNG") for i in range(3)}
    found = read_images(
        put(
            files
            | {f"{below}{hidden}/{i}.png": encoded(picture(9 + i), "PNG") for i in range(2)}
            | {f"{below}._0.png": b"\0\5\x16\7", f"{below}.DS_Store": b"x"}
        ),
        8,
    )
    assert found.names == tuple(sorted(files))
    assert "Passed over as hidden or a system's own: 3 images" in found.notes[0]
    assert hidden in found.notes[0]


def test_a_hidden_folder_that_is_named_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / ".faces").mkdir()
    picture(0).save(tmp_path / ".faces" / "0.png")
    assert read_images(tmp_path / ".faces", 8).names == ("0.png",)
    with pytest.raises(UserError, match=r"holds no image .* hidden .*: 1 image \('\.faces'\)"):
        read_images(tmp_path, 8)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        *(("0.jfif", "JPEG"), ("0.jpe", "JPEG"), ("0.JPEG", "JPEG"), ("0.jpeg_large", "JPEG")),
        *(("0", "PNG"), ("0.ppm", "PPM"), ("0.PGM", "PPM"), ("0.tga", "TGA"), ("0.tif", "TIFF")),
        *(("0.TIFF", "TIFF"), ("0.bmp", "BMP"), ("0.BMP", "BMP"), ("0.gif", "GIF")),
        *(("0.dat", "WEBP"), ("0.jpg", "PNG"), ("0.png", "WEBP"), ("0.jpg:large", "JPEG")),
    ],
)
def test_content_decides_and_no_suffix(put: Callable[..., Path], name: str, format: str) -> None:
    content = encoded(picture(1), format)
    assert format == "TGA" or kind_of(content) == format
    found = read_images(put({name: content, "1.png": encoded(picture(0), "PNG")}), 16)
    assert set(found.names) == {name, "1.png"} and found.notes == ()
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(found.images[found.names.index(name)], expected)


@pytest.mark.parametrize(
    ("name", "format"), [("0.gif", "GIF"), ("0.tif", "TIFF"), ("0.png", "PNG"), ("0.webp", "WEBP")]
)
def test_of_several_pictures_the_first_is_read(
    put: Callable[..., Path], name: str, format: str
) -> None:
    first, second = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    content = encoded(first, format, save_all=True, append_images=[second])
    found = read_images(put({name: content, "1.png": encoded(picture(0), "PNG")}), 8)
    assert found.images[found.names.index(name), 4, 4].argmax() == 0
    assert found.notes == (f"Read of files with several pictures: the first ('{name}').",)


def test_what_stays_out_is_named(put: Callable[..., Path]) -> None:
    files = {"0.png": encoded(picture(0), "PNG"), "a.svg": b"<svg/>", "b.npy": b"\x93NUMPY"}
    companions = {"labels.csv": b"1", "dataset.json": b"{}", "README": b"", "Thumbs.db": b""}
    found = read_images(put(files | companions), 8)
    assert found.names == ("0.png",)
    assert found.notes == ("Passed over as no image: 2 files ('a.svg', 'b.npy').",)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("0.jpg", b"\0\0\0\x1cftypavif", "an AVIF image; save it as PNG"),
        ("0.avif", b"\0\0\0\x1cftypavif", "an AVIF image; save it as PNG"),
        ("0.jpg", b"\0\0\0\x1cftypheic", "a HEIC image; save it as PNG"),
        ("0", b"\0\0\0\x1cftypmif1", "a HEIC image; save it as PNG"),
        ("0.png", b"\xff\x0a\0\0", "a JPEG XL image; save it as PNG"),
        ("0.cr2", b"II*\0", "a camera raw file; save it as PNG"),
        ("0.png", b"version https://git-lfs.github.com/spec/v1", "no image but a Git LFS"),
        ("0.jpg", b"<!DOCTYPE html>", "no image but a web page"),
        ("0.png", b"%PDF-1.4", "no image but a PDF"),
    ],
)
def test_what_a_file_is_instead(
    put: Callable[..., Path], name: str, content: bytes, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_images(put({name: content + bytes(50)}), 8)
    assert f"'{name}' ({says}" in str(caught.value)


def test_linked_class_folders_are_followed_once(tmp_path: Path) -> None:
    for kind, seed in (("cats", 0), ("dogs", 1)):
        (tmp_path / "elsewhere" / kind).mkdir(parents=True)
        picture(seed).save(tmp_path / "elsewhere" / kind / "0.png")
    root = tmp_path / "set"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "elsewhere" / "cats")
    (root / "b").symlink_to(tmp_path / "elsewhere" / "dogs")
    assert read_images(root, 8).names == ("a/0.png", "b/0.png")
    (root / "b again").symlink_to(root / "b")
    (root / "loop").symlink_to(root)
    (tmp_path / "elsewhere" / "cats" / "up").symlink_to(tmp_path / "elsewhere")
    found = read_images(root, 8)
    assert found.names == ("a/0.png", "b/0.png") or set(found.names) == {
        "a/0.png",
        "a/up/dogs/0.png",
    }
    assert any("a link to a folder that is read already" in note for note in found.notes)


def test_a_subfolder_that_cannot_be_listed_is_no_silence(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    (tmp_path / "locked").mkdir(mode=0)
    if os.access(tmp_path / "locked", os.R_OK):
        pytest.skip("this user may read every folder")
    with pytest.raises(UserError, match="locked cannot be read"):
        read_images(tmp_path, 8)


@pytest.mark.parametrize(
    ("inside", "name"),
    [("cats\\0.png", "cats/0.png"), ("größe\\日本.png", "größe/日本.png"), ("a=b/{c}~.png",) * 2],
)
def test_names_inside_archives(tmp_path: Path, inside: str, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(inside, encoded(picture(0), "PNG"))
        archive.writestr("folder\\", b"")
    assert read_images(tmp_path / "set.zip", 8).names == (name,)


@pytest.mark.parametrize(
    "inside", ["..\\..\\0.png", "C:\\0.png", "\\\\server\\0.png", "a/../0.png"]
)
def test_names_that_lead_out_of_an_archive(tmp_path: Path, inside: str) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(inside, encoded(picture(0), "PNG"))
    with pytest.raises(UserError, match="outside the archive"):
        load_images(tmp_path / "set.zip", 8)


def test_a_zip_by_any_name(tmp_path: Path, make_zip: Make) -> None:
    made = make_zip(tmp_path / "set.cbz", {"0.png": encoded(picture(0), "PNG")})
    assert read_images(made, 8).names == ("0.png",)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt"])
def test_metadata_of_several_mebibytes(tmp_path: Path, kind: str) -> None:
    """Intact files, which Pillow's default of 1 MiB a text calls damaged."""
    info = PngImagePlugin.PngInfo()
    text = "prompt " * 700_000
    if kind == "iTXt":
        info.add_itxt("workflow", text, zip=True)
    else:
        info.add_text("workflow", text, zip=kind == "zTXt")
    picture(0).save(tmp_path / "0.png", pnginfo=info)
    assert np.array_equal(load_images(tmp_path, 16)[0], np.asarray(picture(0)))


def test_metadata_bombs_are_refused_as_such(tmp_path: Path) -> None:
    plain = encoded(picture(0), "PNG")
    packed = b"a\0\0" + zlib.compress(bytes(80 * 2**20))
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    (tmp_path / "0.png").write_bytes(plain[:33] + chunk + plain[33:])
    with pytest.raises(UserError, match=r"'0\.png' \(over 64 MiB of metadata\)"):
        load_images(tmp_path, 16)


def database(path: Path, values: dict[bytes, bytes]) -> Path:
    with lmdb.open(str(path), map_size=2**26) as environment, environment.begin(write=True) as t:
        for key, value in values.items():
            t.put(key, value)
    return path


def test_lsun_exports_and_basicsr(tmp_path: Path) -> None:
    """One encoded image a key, whatever the keys are."""
    images = {seed: encoded(picture(seed), "WEBP", lossless=True) for seed in range(3)}
    lsun = database(tmp_path / "church_lmdb", {f"{i:040x}".encode(): v for i, v in images.items()})
    assert np.array_equal(load_images(lsun, 16)[1], np.asarray(picture(1)))
    keys = [b"baboon", b"bird_s001", b"000-1"]
    basicsr = database(tmp_path / "x.lmdb", dict(zip(keys, images.values(), strict=True)))
    (basicsr / "meta_info.txt").write_text("baboon.png (16,16,3) 1\n")
    assert read_images(basicsr, 8).names == ("000-1", "baboon", "bird_s001")
    assert read_images(basicsr / "data.mdb", 8).names == ("000-1", "baboon", "bird_s001")


def test_the_complete_resolution_is_taken(tmp_path: Path, make_lmdb: Make, encode: Encode) -> None:
    stored = {
        side: [encode(np.asarray(picture(i, side))) for i in range(count)]
        for side, count in ((16, 4), (32, 2))
    }
    path = make_lmdb(tmp_path / "set", stored, 4)
    found = read_images(path, 32)
    assert found.names == ("16-00000", "16-00001", "16-00002", "16-00003")
    assert "16x16 px, as it has only 2 of 4 images at 32x32" in found.notes[0]


@pytest.mark.parametrize("domain", ["sketches", "ink"])
def test_near_duplicates_and_no_others(domain: str) -> None:
    from fsgan_bench.data.avatars import draw

    images = draw(domain, 0, 40, 64)
    pictures = thumbnails(images)
    assert first_of_each(pictures) == list(range(40))
    few = images[:20]

    def again(change: Callable[[Image.Image], Image.Image], **options: object) -> Images:
        changed = [change(Image.fromarray(image)) for image in few]
        files = [io.BytesIO(encoded(image, **options)) for image in changed]  # type: ignore[arg-type]
        return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])

    def mirrored(image: Image.Image) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    for made in (
        again(lambda image: image, format="JPEG"),
        again(lambda image: image, format="WEBP"),
        again(mirrored, format="JPEG"),
    ):
        found = copies(thumbnails(made), pictures[:20])
        assert found.all()
        assert not copies(thumbnails(made), pictures[20:]).any()


def test_pictures_of_low_contrast_are_not_taken_for_each_other() -> None:
    flat = np.stack([np.full((16, 16, 3), level, dtype=np.uint8) for level in (100, 102, 104)])
    assert first_of_each(thumbnails(flat)) == [0, 1, 2]


def test_the_notes_of_a_set_are_handed_on(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    (tmp_path / "x.bin").write_bytes(b"?")
    found: ImageSet = read_images(tmp_path, 8)
    assert found.notes == ("Passed over as no image: 1 file ('x.bin').",)
