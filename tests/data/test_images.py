from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fsgan_bench.data.images import (
    Images,
    content_hash,
    content_hashes,
    grid,
    load_folder,
    save_grid,
    set_hash,
    to_tensor,
    to_uint8,
)
from fsgan_bench.errors import UserError


def random_images(count: int, height: int = 8, width: int = 8) -> Images:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_content_hash_depends_on_pixels_and_shape_only() -> None:
    image = random_images(1, 4, 6)[0]
    changed = image.copy()
    changed[0, 0, 0] ^= 1
    same_bytes = image.reshape(6, 4, 3)
    mirrored_twice = image[::-1][::-1]
    assert content_hash(image) == content_hash(mirrored_twice)
    assert len({content_hash(image), content_hash(changed), content_hash(same_bytes)}) == 3


def test_set_hash_depends_on_order() -> None:
    images = random_images(3)
    assert set_hash(images) == set_hash(images.copy())
    assert set_hash(images) != set_hash(images[::-1])
    assert set_hash(images) != set_hash(images[:2])


def test_hashes_reject_other_arrays() -> None:
    with pytest.raises(ValueError, match="uint8"):
        content_hashes(random_images(2).astype(np.float32))
    with pytest.raises(ValueError, match="H, W, 3"):
        content_hash(random_images(2))


@given(arrays(np.uint8, (2, 3, 5, 3)))
def test_tensor_round_trip_is_exact(images: Images) -> None:
    assert np.array_equal(to_uint8(to_tensor(images)), images)


def test_every_level_survives_and_spans_the_range() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = to_tensor(levels)
    assert tensor.dtype == torch.float32 and tensor.shape == (1, 3, 16, 16)
    assert tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(to_uint8(tensor), levels)


def test_quantising_rounds_halves_to_even_and_clamps() -> None:
    values = torch.tensor([-2.0, 0.0, 1.5, 1.0 / 127.5, float("inf")]).reshape(1, 1, 1, 5)
    levels = to_uint8(values.repeat(1, 3, 1, 1))[0, 0, :, 0]
    assert levels.tolist() == [0, 128, 255, 128, 255]  # 127.5 -> 128, 128.5 -> 128


def test_nan_is_an_error() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.full((1, 3, 2, 2), float("nan")))


def test_channels_keep_their_places() -> None:
    red = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert to_tensor(red)[0, :, 0, 0].tolist() == [1, -1, -1]


def test_folder_is_sorted_by_name_and_limited(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.PNG", 10), ("c.webp", 30), (".hidden.png", 99)):
        image = Image.new("RGB", (8, 8), (level,) * 3)
        image.save(tmp_path / name, format="WEBP" if "webp" in name else "PNG", lossless=True)
    (tmp_path / "notes.txt").write_text("not an image, and not taken for one")
    (tmp_path / "folder.png").mkdir()
    assert load_folder(tmp_path, 8)[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert load_folder(str(tmp_path), 8, limit=2)[:, 0, 0, 0].tolist() == [10, 20]


def pixel(image: Image.Image, tmp_path: Path, name: str = "one.png") -> list[int]:
    """The centre of a file after loading."""
    image.save(tmp_path / name)
    loaded = load_folder(tmp_path, 8)
    assert loaded.shape == (1, 8, 8, 3) and loaded.dtype == np.uint8
    return [int(level) for level in loaded[0, 4, 4]]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    assert pixel(Image.new("RGBA", (8, 8), (0, 100, 200, 0)), tmp_path) == [255, 255, 255]
    assert pixel(Image.new("RGBA", (8, 8), (0, 0, 0, 127)), tmp_path) == [128, 128, 128]
    assert pixel(Image.new("LA", (8, 8), (0, 127)), tmp_path) == [128, 128, 128]


@pytest.mark.parametrize("transparent", [False, True])
def test_palette(tmp_path: Path, transparent: bool) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    if transparent:
        image.info["transparency"] = 1
    assert pixel(image, tmp_path) == ([255, 255, 255] if transparent else [10, 20, 30])


def test_grey_black_and_white_and_cmyk(tmp_path: Path) -> None:
    assert pixel(Image.new("L", (8, 8), 77), tmp_path) == [77, 77, 77]
    assert pixel(Image.new("1", (8, 8), 1), tmp_path) == [255, 255, 255]
    (tmp_path / "one.png").unlink()
    assert pixel(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), tmp_path, "one.jpg") == [255] * 3


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257 * 100, 100), (65535, 255)])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, level: int, expected: int) -> None:
    image = Image.fromarray(np.full((8, 8), level, dtype=np.uint16))
    assert pixel(image, tmp_path) == [expected] * 3


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    upright = np.zeros((16, 16, 3), dtype=np.uint8)
    upright[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "one.png", exif=exif)
    assert np.array_equal(load_folder(tmp_path, 16)[0], upright)


def test_largest_centred_square_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 200
    Image.fromarray(wide).save(tmp_path / "one.png")
    assert (load_folder(tmp_path, 8) == 200).all()
    assert load_folder(tmp_path, 5).shape == (1, 5, 5, 3)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        load_folder(tmp_path / "nowhere", 8)
    with pytest.raises(UserError, match="holds no image"):
        load_folder(tmp_path, 8)
    file = tmp_path / "one.png"
    file.write_bytes(b"")
    with pytest.raises(UserError, match="is a file"):
        load_folder(file, 8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.6])
def test_truncated_file_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    file = tmp_path / f"broken.{suffix}"
    Image.fromarray(random_images(1, 64, 64)[0]).save(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=rf"broken\.{suffix}"):
        load_folder(tmp_path, 8)


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html></html>")
    with pytest.raises(UserError, match=r"page\.png is not an image"):
        load_folder(tmp_path, 8)


def test_floating_point_file_is_refused(tmp_path: Path) -> None:
    Image.new("F", (8, 8), 0.5).save(tmp_path / "one.png", format="TIFF")
    with pytest.raises(UserError, match="floating-point"):
        load_folder(tmp_path, 8)


def test_grid_places_images_row_by_row() -> None:
    images = random_images(5, 4, 6)
    sheet = grid(images, columns=3, padding=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    assert np.array_equal(sheet[1:5, 8:14], images[1])
    assert np.array_equal(sheet[6:10, 1:7], images[3])
    assert (sheet[6:10, 15:21] == 255).all()
    assert np.array_equal(grid(images[:1], columns=9, padding=0), images[0])


def test_save_grid_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "grid.png"
    images = random_images(4)
    save_grid(images[:1], path, columns=1)
    save_grid(images, path, columns=2)
    assert [file.name for file in path.parent.iterdir()] == ["grid.png"]
    assert np.array_equal(np.asarray(Image.open(path)), grid(images, 2))


@pytest.mark.parametrize("columns", [0, -1])
def test_grid_rejects_nonsense(columns: int) -> None:
    with pytest.raises(ValueError, match="column"):
        grid(random_images(1), columns)


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 3))
def test_grid_shows_every_image(count: int, columns: int, padding: int) -> None:
    images = np.zeros((count, 2, 2, 3), dtype=np.uint8)
    assert (grid(images, columns, padding) == 0).sum() == images.size
