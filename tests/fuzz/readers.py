"""What is fuzzed: each function reads bytes as a file of one kind.

Damaged bytes may be refused with a :class:`UserError` and nothing else; no code in them may run,
and nothing may be written. The functions are deterministic, so that an input that once broke a
reader can be kept in ``corpus``.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from PIL import Image

from fsgan_bench.data.containers import open_entries
from fsgan_bench.data.decoding import square
from fsgan_bench.data.entries import Unusable
from fsgan_bench.errors import UserError
from fsgan_bench.figures.grids import read_strip
from fsgan_bench.metrics.per_image import ProbeValues
from fsgan_bench.metrics.statistics_file import read_statistics
from fsgan_bench.results.pack import unpacked, verify_pack
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.suites.file import parse_suite

MAX_BYTES = 2**16


@contextlib.contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """A file of these bytes, in a folder of its own, that may be refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            yield path
        assert [file.name for file in path.parent.iterdir()] == [name]


def _checkpoint(suffix: str, data: bytes) -> None:
    with _file(f"model{suffix}", data) as path:
        load_networks(path)


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
    with contextlib.suppress(Unusable), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pixels = square(data, 8)
        assert pixels.shape == (8, 8, 3)


def image_zip(data: bytes) -> None:
    """A zip of images."""
    with _file("images.zip", data) as path, open_entries(path, 8) as contents:
        for entry in contents.entries:
            with contextlib.suppress(Unusable):
                entry.read()


def strip(data: bytes) -> None:
    """The image strip of a snapshot."""
    with _file("000000.png", data) as path:
        read_strip(path, 1)


def suite(data: bytes) -> None:
    """A suite file."""
    with contextlib.suppress(UserError):
        parse_suite(data.decode("utf-8", "replace"), Path("suite.toml"))


def per_image(data: bytes) -> None:
    """A snapshot's file of per-image values."""
    with _file("000000.npz", data) as path:
        ProbeValues.load(path)


def statistics(data: bytes) -> None:
    """Statistics of the Frechet distance."""
    with _file("statistics.npz", data) as path:
        read_statistics(path, 2)


def pack(data: bytes) -> None:
    """A pack of results."""
    with _file("run.zip", data) as path, unpacked(path) as place:
        verify_pack(place)


READERS: Mapping[str, Callable[[bytes], None]] = {
    reader.__name__: reader
    for reader in (
        *(torch_file, nvidia_pickle, safetensors, image, image_zip, strip, suite),
        *(per_image, statistics, pack),
    )
}


def seeds() -> dict[str, list[bytes]]:
    """A small valid input or two for each reader, to start from."""
    import json

    import numpy as np
    import torch
    from safetensors.torch import save

    from fsgan_bench.stylegan2.architecture import Architecture
    from fsgan_bench.stylegan2.networks import Discriminator, Generator
    from fsgan_bench.training.streams import Streams

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
    arrays = {
        "per_image": {"cluster": np.zeros(2, np.int16), "x": np.zeros(2), "versions": "{}"},
        "statistics": {"mu": np.zeros(2), "sigma": np.eye(2)},
    }
    packed = {name: io.BytesIO() for name in ("pack", *arrays)}
    for name, content in arrays.items():
        np.savez_compressed(packed[name], **content)  # type: ignore[arg-type]
    with zipfile.ZipFile(packed["pack"], "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("pack.json"), json.dumps({"sha256": {"README.md": "0"}}))
        file.writestr(zipfile.ZipInfo("README.md"), "packed" * 20)
    return {
        "torch_file": [buffer.getvalue()],
        "nvidia_pickle": [_nvidia_seed()],
        "safetensors": [save(tensors, {"card": json.dumps({"title": "seed"})})],
        "image": pictures,
        "image_zip": [archive.getvalue()],
        "strip": [pictures[0]],
        **{name: [file.getvalue()] for name, file in packed.items()},
        "suite": [b'name = "s"\nsource = "s.pt"\ntargets = ["ink"]\n[recipe]\nbatch = 2\n'],
    }


class _Network:
    """Pickles as a network of NVIDIA's that holds zeros, under their dotted names."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def __reduce__(self) -> tuple[Callable[..., None], tuple[object, ...]]:
        import torch

        tensors = {name: torch.zeros(shape) for name, shape in self.shapes.items()}
        return _network, ({"state": {"_parameters": tensors, "_buffers": {}, "_modules": {}}},)


def _network(_meta: object) -> None:
    """Stands for NVIDIA's function until the pickle is written."""


def _nvidia_seed() -> bytes:
    """A pair at 8x8 with one feature map everywhere."""
    affine: dict[str, tuple[int, ...]] = {"affine.weight": (1, 2), "affine.bias": (1,)}
    styled = {"weight": (1, 1, 3, 3), "bias": (1,), "noise_strength": (), **affine}
    layers: dict[str, dict[str, tuple[int, ...]]] = {
        "mapping.fc0": {"weight": (2, 2), "bias": (2,)},
        "synthesis.b4.conv1": {**styled, "noise_const": (4, 4)},
        "synthesis.b8.conv0": {**styled, "noise_const": (8, 8)},
        "synthesis.b8.conv1": {**styled, "noise_const": (8, 8)},
    }
    for side in (4, 8):
        layers[f"synthesis.b{side}.torgb"] = {"weight": (3, 1, 1, 1), "bias": (3,), **affine}
    judged: dict[str, dict[str, tuple[int, ...]]] = {
        "b8.fromrgb": {"weight": (1, 3, 1, 1), "bias": (1,)},
        "b8.conv0": {"weight": (1, 1, 3, 3), "bias": (1,)},
        "b8.conv1": {"weight": (1, 1, 3, 3), "bias": (1,)},
        "b8.skip": {"weight": (1, 1, 1, 1)},
        "b4.conv": {"weight": (1, 2, 3, 3), "bias": (1,)},
        "b4.fc": {"weight": (1, 16), "bias": (1,)},
        "b4.out": {"weight": (1, 1), "bias": (1,)},
    }
    generator, discriminator = (
        {
            f"{layer}.{name}": shape
            for layer, shapes in part.items()
            for name, shape in shapes.items()
        }
        for part in (layers, judged)
    )
    parts = {
        "G_ema": _Network({"synthesis.b4.const": (1, 4, 4), **generator}),
        "D": _Network(discriminator),
    }
    ours = f"c{_network.__module__}\n{_network.__name__}\n".encode()
    theirs = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    return pickle.dumps(parts, protocol=3).replace(ours, theirs)
