"""A made-up download: the file layouts of CDC's release, with a tiny model at 32x32."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch
from PIL import Image

from fsgan_bench.data.filters import grey
from fsgan_bench.data.images import Images
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

SIDE = 32


def pictures(count: int, seed: int) -> Images:
    """Different smooth colour images [count, SIDE, SIDE, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(each).resize((SIDE, SIDE))) for each in coarse])


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def write_folder(folder: Path, images: Images) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        (folder / f"{index:03d}.png").write_bytes(png(image))


def write_lmdb(folder: Path, images: Images) -> None:
    """As CDC's prepare_data.py: keys ``SIZE-00000`` and ``length``."""
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as t:
        for index, image in enumerate(images):
            t.put(f"{SIDE}-{index:05d}".encode(), png(image))
        t.put(b"length", str(len(images)).encode())


def write_rosinality(path: Path, *, discriminator: bool = True) -> None:
    """As the published training script: networks, optimiser states and its arguments."""
    with Streams(1).initialising("networks"):
        shape = Architecture(SIDE, 8, 2, {4: 8, 8: 8, 16: 8, 32: 4})
        g, d = Generator(shape), Discriminator(shape)
    parts = {
        "g": g.state_dict(),
        "g_ema": g.state_dict(),
        "g_optim": torch.optim.Adam(g.parameters()).state_dict(),
        "d_optim": torch.optim.Adam(d.parameters()).state_dict(),
        "args": argparse.Namespace(size=SIDE),
    }
    if discriminator:
        parts["d"] = d.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(parts, path)


@pytest.fixture
def lone_generator() -> Callable[[Path], None]:
    """Writes a checkpoint without a discriminator."""
    return partial(write_rosinality, discriminator=False)


@pytest.fixture
def image_folder() -> Callable[[Path, int], None]:
    """Writes a folder of so many images."""
    return lambda folder, count: write_folder(folder, pictures(count, seed=9))


@pytest.fixture(scope="session")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who followed CDC's instructions, and some real images beside it."""
    root = tmp_path_factory.mktemp("download")
    write_rosinality(root / "checkpoints" / "source_ffhq.pt")
    write_folder(root / "raw_data" / "sketches" / "images", grey(pictures(10, seed=1)))
    write_lmdb(root / "processed_data" / "babies", pictures(10, seed=2) // 2)
    write_folder(root / "ffhq" / "babies" / "real", pictures(240, seed=3) // 2)
    write_folder(root / "ffhq" / "source-images", pictures(160, seed=4) // 2 + 128)
    return root
