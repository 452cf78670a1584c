"""What is fuzzed: each function reads bytes as a file of one kind.

Damaged bytes may be refused with a :class:`UserError` and nothing else; no code in them may run,
and nothing may be written. The functions are deterministic, so that an input that once broke a
reader can be kept in ``corpus``.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from fsgan_bench.data.containers import Unusable, open_entries
from fsgan_bench.data.sources import _square
from fsgan_bench.errors import UserError
from fsgan_bench.figures.grids import read_strip
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.suite_file import parse_suite

MAX_BYTES = 2**16


def _checkpoint(suffix: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            load_networks(path)
        assert [file.name for file in Path(folder).iterdir()] == [path.name]


def torch_file(data: bytes) -> None:
    """A rosinality checkpoint."""
    _checkpoint(".pt", data)


def nvidia_pickle(data: bytes) -> None:
    """NVIDIA's pickle."""
    _checkpoint(".pkl", data)


def safetensors(data: bytes) -> None:
    """A checkpoint of our own."""
    _checkpoint(".safetensors", data)


def image(data: bytes) -> None:
    """An image of any set."""
    with contextlib.suppress(Unusable):
        pixels = _square(data, 8)
        assert pixels.shape == (8, 8, 3)


def image_zip(data: bytes) -> None:
    """A zip of images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.zip"
        path.write_bytes(data)
        with contextlib.suppress(UserError), open_entries(path, 8) as entries:
            for entry in entries:
                with contextlib.suppress(Unusable):
                    entry.read()


def strip(data: bytes) -> None:
    """The image strip of a snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "000000.png"
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            read_strip(path, 1)


def suite(data: bytes) -> None:
    """A suite file."""
    with contextlib.suppress(UserError):
        parse_suite(data.decode("utf-8", "replace"), Path("suite.toml"))


READERS: Mapping[str, Callable[[bytes], None]] = {
    reader.__name__: reader
    for reader in (torch_file, nvidia_pickle, safetensors, image, image_zip, strip, suite)
}


def seeds() -> dict[str, list[bytes]]:
    """A small valid input or two for each reader, to start from."""
    import json
    import pickle
    from collections import OrderedDict

    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import save

    from fsgan_bench.streams import Streams
    from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator

    shape = Architecture(8, style_dim=2, mapping_layers=1, channels={4: 1, 8: 1})
    with Streams(0).initialising("networks"):
        networks = {"generator": Generator(shape), "discriminator": Discriminator(shape)}
    tensors = {
        f"{part}.{name}": value
        for part, network in networks.items()
        for name, value in network.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save({"g_ema": networks["generator"].state_dict()}, buffer)
    pictures = []
    pixels = np.arange(10 * 10 * 3, dtype=np.uint8).reshape(10, 10, 3)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        picture = io.BytesIO()
        Image.fromarray(pixels).save(picture, format=kind)
        pictures.append(picture.getvalue())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/0.png", pictures[0])
        file.writestr("dataset.json", "{}")
    record = OrderedDict(weight=torch.zeros(1, 1, 3, 3))
    return {
        "torch_file": [buffer.getvalue()],
        "nvidia_pickle": [pickle.dumps({"G_ema": record, "D": {}}, protocol=2)],
        "safetensors": [save(tensors, {"card": json.dumps({"title": "seed"})})],
        "image": pictures,
        "image_zip": [archive.getvalue()],
        "strip": [pictures[0]],
        "suite": [b'name = "s"\nsource = "s.pt"\ntargets = ["ink"]\n[recipe]\nbatch = 2\n'],
    }
