"""A checkpoint file as tensors by name: told apart by content, and no code in it is run.

Our safetensors files, the rosinality ``.pt`` layout, and NVIDIA's ``.pkl``, whatever they are
called, gzipped or not.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.nvidia import Inert, Refused, read_nvidia
from fsgan_bench.system.contents import known_content
from fsgan_bench.system.paths import exists

StateDict: TypeAlias = Mapping[str, Tensor]
Layout = Literal["safetensors", "torch", "nvidia"]

HEAD = 64
GZIP = b"\x1f\x8b"
MAX_UNPACKED = 4 * 2**30
"""What a gzipped checkpoint may unpack to."""

WRAPPERS = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""

_LEGACY_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_GLOBAL = re.compile(r"GLOBAL (\S+)")
_PICKLE = re.compile(rb"\x80[\x02-\x05]|[(\]}c]")

_INERT = (
    *("numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct"),
    *("numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct"),
    *("numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer"),
    *("numpy.ndarray", "numpy.dtype"),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    ),
)
"""What training scripts store beside the tensors: rebuilt as values that do nothing."""


@dataclass(frozen=True)
class Parts:
    """The tensors of a checkpoint, by network.

    Attributes:
        layout: of the file.
        generator: of the moving average.
        discriminator: None in a file without one.
        raw: of the generator that the average follows; None in a file of the average alone.
        card: what is known about the training; empty in foreign files.
    """

    layout: Layout
    generator: StateDict
    discriminator: StateDict | None
    raw: StateDict | None
    card: Mapping[str, Any] = field(default_factory=dict)


def layout_of(path: Path) -> Layout | None:
    """What layout the content of a file has, gzip apart; None if it is none of those read here."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if _is_gzipped(head):
        with gzip.open(path) as packed:
            head = packed.read(HEAD)
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"PK") or _LEGACY_TORCH in head:
        return "torch"
    return "nvidia" if _PICKLE.match(head) else None


def read_parts(path: Path) -> Parts:
    """Read a checkpoint.

    Raises:
        UserError: it is missing, damaged, of another format, or asks for code; each in a sentence
            of its own.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; a source model is a .safetensors, .pt or .pkl file.")
    if not exists(path):
        raise UserError(f"There is no model at {path}.")
    try:
        layout = layout_of(path)
        if layout is None:
            raise UserError(f"{path} cannot be read as a checkpoint: {_instead(path)}.")
        content = _unpacked(path)
        if layout == "nvidia":
            return Parts(layout, *read_nvidia(path, content or path.read_bytes()))
        if layout == "torch":
            return _torch_parts(path, content)
        tensors, card = read_tensors(path) if content is None else _packed_tensors(content)
        generator, *others = (_part(tensors, n) for n in ("generator", "discriminator", "raw"))
        discriminator, raw = (other or None for other in others)
        return Parts(layout, generator, discriminator, raw, card)
    except UserError:
        raise
    except Refused as error:
        raise refused(path, str(error)) from error
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise UserError(
            f"{path} cannot be read as a checkpoint: it is damaged or cut short."
        ) from error


def refused(path: Path, asked_for: str) -> UserError:
    """What is said of a file that asks for something which is not on the list."""
    if asked_for.startswith("dnnlib.tflib"):
        return UserError(
            f"{path} is a TensorFlow pickle of StyleGAN, which only TensorFlow's code can open; "
            "legacy.py of NVIDIA's stylegan2-ada-pytorch converts it to a PyTorch .pkl."
        )
    return UserError(
        f"{path} was refused and nothing in it was run: it asks for '{asked_for}', "
        "which no StyleGAN2 weights need."
    )


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Read all tensors of a safetensors file, and the card in its header (empty if none)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return tensors, _card(metadata)


def _packed_tensors(content: bytes) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return load(content), _card(header.get("__metadata__", {}))


def _card(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    card = json.loads(metadata.get("card", "{}"))
    if not isinstance(card, dict):
        raise ValueError("the card is no JSON object")
    return card


def _is_gzipped(head: bytes) -> bool:
    """A safetensors file begins with its header's length, which may be any bytes."""
    return head.startswith(GZIP) and head[8:9] != b"{"


def _unpacked(path: Path) -> bytes | None:
    """What a gzipped file holds; None if it is not gzipped."""
    with path.open("rb") as file:
        if not _is_gzipped(file.read(HEAD)):
            return None
    with gzip.open(path) as packed:
        content = packed.read(MAX_UNPACKED)
        if packed.read(1):
            raise UserError(f"{path} unpacks to more than {MAX_UNPACKED // 2**30} GiB.")
    return content


def _torch_parts(path: Path, content: bytes | None) -> Parts:
    # Training scripts store their arguments, and numbers of numpy's, beside the tensors.
    inert: list[Any] = [argparse.Namespace, *((Inert, name) for name in _INERT)]
    with torch.serialization.safe_globals(inert), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about formats, where an error says it all
        source = path if content is None else io.BytesIO(content)
        try:
            parts = torch.load(source, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if asked_for := _GLOBAL.search(str(error)):
                raise refused(path, asked_for[1][:80]) from error
            raise
    if not isinstance(parts, dict) or "g_ema" not in parts:
        raise not_a_pair(path, "it lacks 'g_ema'")
    found = {name: _unwrapped(parts[name]) for name in ("g_ema", "d", "g") if name in parts}
    return Parts("torch", found["g_ema"], found.get("d"), found.get("g"))


def _unwrapped(state: Any) -> Any:
    """``state`` without what wrappers put before every name, in whatever order they did."""
    if not isinstance(state, dict):
        return state
    while state and all(str(name).startswith(WRAPPERS) for name in state):
        prefix = next(p for p in WRAPPERS if str(next(iter(state))).startswith(p))
        state = {str(name).removeprefix(prefix): value for name, value in state.items()}
    return state


def not_a_pair(path: Path, reason: str) -> UserError:
    """What is said of a checkpoint that is another network's."""
    return UserError(
        f"{path} is not a StyleGAN2 checkpoint with a generator and a discriminator: {reason}."
    )


def _instead(path: Path) -> str:
    """What a file without a layout is, as far as its first bytes say."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "it is empty"
    known = known_content(head)
    return f"it is {known}" if known else "it is of another format"


def _part(tensors: StateDict, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
