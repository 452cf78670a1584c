from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data.images import Images


def _noise(count: int, side: int = 8, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def _encode(image: Images, format: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format=format)
    return buffer.getvalue()


@pytest.fixture
def noise() -> Callable[..., Images]:
    """``noise(count, side=8, seed=0)``: different images [count, side, side, 3]."""
    return _noise


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """``encode(image, format="PNG")``: the bytes of a file."""
    return _encode


@pytest.fixture
def make_zip() -> Callable[..., Path]:
    """Writes an archive of named entries."""

    def make(path: Path, entries: Mapping[str, bytes]) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        return path

    return make


@pytest.fixture
def make_lmdb() -> Callable[..., Path]:
    """Writes encoded images, by resolution, as prepare_data.py of rosinality and CDC does."""

    def make(path: Path, stored: Mapping[int, Sequence[bytes]], length: int | None = None) -> Path:
        with (
            lmdb.open(str(path), map_size=1024**4, readahead=False) as environment,
            environment.begin(write=True) as transaction,
        ):
            for side, contents in stored.items():
                for index, content in enumerate(contents):
                    transaction.put(f"{side}-{str(index).zfill(5)}".encode(), content)
            if length is None:
                length = max(map(len, stored.values()), default=0)
            transaction.put(b"length", str(length).encode())
        return path

    return make


@pytest.fixture
def make_folder() -> Callable[..., Path]:
    """Writes images [N, H, W, 3] as 000.png, 001.png and so on."""

    def make(path: Path, images: Images) -> Path:
        path.mkdir()
        for index, image in enumerate(images):
            (path / f"{index:03d}.png").write_bytes(_encode(image))
        return path

    return make
