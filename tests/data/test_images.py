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
    save_grid,
    set_hash,
    to_rgb,
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


def test_32_bit_integers_are_refused(tmp_path: Path) -> None:
    """Nobody can tell what their white is."""
    path = tmp_path / "image.tiff"
    Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8) * 4).save(path)
    with pytest.raises(UserError, match="32-bit integers are not supported"):
        to_rgb(Image.open(path))


def test_a_damaged_exif_tag_costs_no_image(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    image.save(tmp_path / "image.png", exif=b"Exif\0\0garbage that is no tag")
    assert to_rgb(Image.open(tmp_path / "image.png")).getpixel((0, 0)) == (255, 0, 0)
