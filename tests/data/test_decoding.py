"""What becomes of the pixels of a file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data.sources import load_images


def pixel(image: Image.Image, tmp_path: Path, name: str = "one.png") -> list[int]:
    """The centre of a file after loading."""
    image.save(tmp_path / name)
    return centre(tmp_path)


def centre(folder: Path) -> list[int]:
    loaded = load_images(folder, 8)
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


def test_phone_jpeg_of_several_pictures(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), (level,) * 3) for level in (200, 10))
    first.save(tmp_path / "one.jpg", format="MPO", save_all=True, append_images=[second])
    assert centre(tmp_path) == [200] * 3


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257 * 100, 100), (65535, 255)])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, level: int, expected: int) -> None:
    image = Image.fromarray(np.full((8, 8), level, dtype=np.uint16))
    assert pixel(image, tmp_path) == [expected] * 3


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_colour_type(
    tmp_path: Path, colour_type: int, channels: int
) -> None:
    levels = [257 * 60, 257 * 120, 257 * 180][: 3 if channels > 2 else 1]
    alpha = [65535] * (channels % 2 == 0)
    row = b"\0" + struct.pack(f">{channels}H", *levels, *alpha) * 8

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, 16, colour_type, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(row * 8)), (b"IEND", b"")
    (tmp_path / "one.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    )
    assert centre(tmp_path) == ([60, 120, 180] if channels > 2 else [60] * 3)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    upright = np.zeros((16, 16, 3), dtype=np.uint8)
    upright[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "one.png", exif=exif)
    assert np.array_equal(load_images(tmp_path, 16)[0], upright)


def test_largest_centred_square_is_kept_and_resized_by_lanczos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = rng.integers(0, 256, (8, 8, 3))
    Image.fromarray(wide).save(tmp_path / "one.png")
    assert np.array_equal(load_images(tmp_path, 8)[0], wide[:, 8:16])
    smaller = Image.fromarray(wide[:, 8:16]).resize((5, 5), Image.Resampling.LANCZOS)
    assert np.array_equal(load_images(tmp_path, 5)[0], np.asarray(smaller))
