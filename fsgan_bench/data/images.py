"""Image arrays: hashing, tensors and back, Pillow images brought to one shape, grids.

Everywhere in the package ``images`` is a uint8 array [N, H, W, 3], RGB; a tensor for a network
is float32 [N, 3, H, W] in [-1, 1].
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fsgan_bench.errors import UserError
from fsgan_bench.system.files import write_atomic

if TYPE_CHECKING:
    import torch

Images: TypeAlias = NDArray[np.uint8]


def check_images(images: Images) -> None:
    """Raise ValueError unless ``images`` is a uint8 array [N, H, W, 3]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f"images must be a uint8 array [N, H, W, 3], got {images.dtype} {list(images.shape)}"
        )


def content_hash(image: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of the shape and the pixels of one uint8 image [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"an image must be a uint8 array [H, W, 3], got {image.dtype} {list(image.shape)}"
        )
    digest = hashlib.sha256(repr(tuple(int(n) for n in image.shape)).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def content_hashes(images: Images) -> list[str]:
    """``content_hash`` of every image of a uint8 array [N, H, W, 3]."""
    check_images(images)
    return [content_hash(image) for image in images]


def set_hash(images: Images) -> str:
    """SHA-256 (hex) of an ordered set of images [N, H, W, 3]; the order matters."""
    return joined_hash(content_hashes(images))


def joined_hash(hashes: Sequence[str]) -> str:
    """``set_hash`` of images whose content hashes are given."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def to_tensor(images: Images) -> torch.Tensor:
    """Images [N, H, W, 3] uint8 as a float32 CPU tensor [N, 3, H, W] in [-1, 1]."""
    import torch

    check_images(images)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes.astype(np.float32) / np.float32(127.5) - np.float32(1))


def to_uint8(tensor: torch.Tensor) -> Images:
    """Quantise a tensor [N, 3, H, W] to images [N, H, W, 3] uint8.

    Values are clamped to [-1, 1] and become ``round((x + 1) * 127.5)``, halves to even. Generated
    images turn into 8 bit here and nowhere else. Raises ValueError for a wrong shape or for NaN.
    """
    if tensor.ndim != 4 or tensor.shape[1] != 3:
        raise ValueError(f"expected a tensor [N, 3, H, W], got {list(tensor.shape)}")
    values = tensor.detach().float().clamp(-1, 1)
    if bool(values.isnan().any()):
        raise ValueError("the images contain NaN: the generator has diverged")
    levels = ((values + 1) * 127.5).round().to(device="cpu").numpy().astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: upright after its EXIF tag, 16-bit scaled, alpha on white."""
    upright = image
    # What a damaged tag says is not known, and the pixels are there.
    with contextlib.suppress(SyntaxError, ValueError, TypeError, KeyError, struct.error):
        upright = ImageOps.exif_transpose(image)
    if upright.mode == "I" and image.format == "TIFF":
        raise UserError("signed and 32-bit integers are not supported; save it as 8 or 16 bit")
    if upright.mode.startswith("I"):
        grey = np.asarray(upright).astype(np.float64) / 257.0
        upright = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    elif upright.mode == "F":
        raise UserError("floating-point images are not supported; save it as 8 or 16 bit")
    if "A" in upright.getbands() or "a" in upright.getbands() or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return upright.convert("RGB")


def to_square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Any Pillow image as uint8 [size, size, 3]: largest centred square, Lanczos."""
    rgb = to_rgb(image)
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = rgb.crop((left, top, left + side, top + side))
    if side != size:
        square = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square)


def save_png(image: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
    """Write one image [H, W, 3] uint8 as PNG; the file appears whole or not at all."""
    picture = Image.fromarray(image)
    write_atomic(Path(path), lambda temporary: picture.save(temporary, format="PNG"))


def grid(images: Images, columns: int, padding: int = 2) -> NDArray[np.uint8]:
    """Images [N, H, W, 3] tiled row by row on white as one uint8 image, ``padding`` px apart."""
    check_images(images)
    if len(images) == 0 or columns < 1 or padding < 0:
        raise ValueError("a grid needs at least one image, one column and no negative padding")
    count, height, width, _ = images.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows * (height + padding) + padding, columns * (width + padding) + padding, 3),
        255,
        dtype=np.uint8,
    )
    for index, image in enumerate(images):
        top = padding + (index // columns) * (height + padding)
        left = padding + (index % columns) * (width + padding)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_grid(images: Images, path: str | os.PathLike[str], columns: int, padding: int = 2) -> None:
    """Save ``grid(images, columns, padding)`` as a PNG, atomically."""
    save_png(grid(images, columns, padding), path)
