"""Checkpoints: our safetensors files, the rosinality ``.pt`` layout and NVIDIA's ``.pkl``.

The first two name the tensors alike, the third is renamed. The architecture is read off their
shapes, so a file needs no config.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator
from fsgan_bench.stylegan2.nvidia import read_nvidia
from fsgan_bench.system.files import file_hash, write_atomic
from fsgan_bench.system.paths import exists

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

StateDict = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Source:
    """A pretrained generator, with its discriminator if the file holds one.

    Attributes:
        generator: the moving average that samples are drawn from.
        discriminator: its discriminator; None in a file of a generator alone, which can be scored
            and converted but not adapted.
        path: the file that it was read from.
        hash: its SHA-256.
        card: what is known about its training; empty for foreign files.
    """

    generator: Generator
    discriminator: Discriminator | None
    path: Path
    hash: str
    card: Mapping[str, Any]

    @property
    def pair(self) -> tuple[Generator, Discriminator]:
        """Both networks, which adaptation starts from.

        Raises:
            UserError: there is no discriminator; it says what can still be done.
        """
        if self.discriminator is None:
            key = {".pkl": "D", ".safetensors": "discriminator"}.get(self.path.suffix, "d")
            raise UserError(
                f"{self.path} is a generator alone: it lacks '{key}', which adaptation needs; "
                "fsgan-bench run --methods none still scores it, and fsgan-bench convert takes it."
            )
        return self.generator, self.discriminator


def infer_architecture(generator: StateDict) -> Architecture:
    """Read resolution and widths off a generator's tensors.

    Every width is that of a square weight, so that a small file cannot ask for a large network.

    Raises:
        KeyError: a tensor of the layout is missing.
        ValueError: a weight has another shape.
    """
    mapping = [k for k in generator if k.startswith("style.") and k.endswith(".weight")]
    blocks = sum(k.startswith("to_rgbs.") and k.endswith(".conv.weight") for k in generator)
    channels = {4: _width(generator, "conv1.conv.weight", 3)}
    for block in range(blocks):
        channels[8 << block] = _width(generator, f"convs.{2 * block + 1}.conv.weight", 3)
    modulation = _shape(generator, "conv1.conv.modulation.weight")
    if len(modulation) != 2 or any(_width(generator, k) != modulation[1] for k in mapping):
        raise ValueError("its mapping network and its modulation are of different widths")
    return Architecture(4 << blocks, modulation[1], len(mapping), channels)


def _shape(state: StateDict, name: str) -> list[int]:
    if not isinstance(state[name], Tensor):
        raise ValueError(f"'{name}' is of {type(state[name]).__name__}, not of numbers")
    return list(state[name].shape)


def _width(generator: StateDict, name: str, kernel: int | None = None) -> int:
    """C of a weight [C, C], or [1, C, C, kernel, kernel]."""
    shape = _shape(generator, name)
    width: int | str = shape[0 if kernel is None else 1] if len(shape) > 1 else "C"
    needed = [width, width] if kernel is None else [1, width, width, kernel, kernel]
    if shape != needed:
        raise ValueError(f"'{name}' has shape {shape} where {needed} is needed")
    return int(width)


def save_source(
    path: Path, generator: Generator, discriminator: Discriminator | None, card: Mapping[str, Any]
) -> None:
    """Write a pair, or a generator alone, as one safetensors file, with the card in its header.

    The file appears whole or not at all.
    """
    tensors = _prefixed("generator", generator)
    if discriminator is not None:
        tensors |= _prefixed("discriminator", discriminator)
    metadata = {"card": json.dumps(card)}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_source(path: Path) -> Source:
    """Read a source from ``.safetensors``, from a rosinality ``.pt`` or from NVIDIA's ``.pkl``.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    generator, discriminator, card = load_networks(path)
    return Source(generator, discriminator, path, file_hash(path), card)


def load_networks(path: Path) -> tuple[Generator, Discriminator | None, Mapping[str, Any]]:
    """Read a generator, its discriminator if the file holds one, and the card of the file.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    generator, discriminator, card = _read_parts(path)
    try:
        return *_build(generator, discriminator), card
    except KeyError as error:
        raise _not_a_pair(path, f"it lacks {error}") from error
    except (IndexError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise _not_a_pair(path, str(error)) from error


def save_rosinality(path: Path, generator: Generator, discriminator: Discriminator | None) -> None:
    """Write a pair, or a generator alone, in the rosinality layout; ``g`` repeats ``g_ema``.

    The file appears whole or not at all.
    """
    state = generator.state_dict()
    parts = {"g": state, "g_ema": state}
    if discriminator is not None:
        parts["d"] = discriminator.state_dict()
    write_atomic(path, lambda temporary: torch.save(parts, temporary))


def convert(path: Path, target: Path) -> None:
    """Write the checkpoint ``path`` in the layout that the suffix of ``target`` names.

    ``.safetensors`` and ``.pt`` keep every bit of the moving-average generator and of the
    discriminator; ``.pt`` has no place for the card. A missing discriminator stays missing.

    Raises:
        UserError: ``path`` is no checkpoint, or ``target`` exists or is of no layout written here.
    """
    if target.suffix == ".pkl":
        raise UserError(
            f"{target}: NVIDIA's .pkl holds their classes with their source code, which is not "
            "ours to write; name a .pt or .safetensors file."
        )
    if target.suffix not in (".pt", ".safetensors"):
        raise UserError(f"{target} must end in .pt or .safetensors, which names its layout.")
    if target.exists():
        raise UserError(f"{target} exists already; name a new file.")
    check_folder(str(target), target.parent)
    generator, discriminator, card = load_networks(path)
    if target.suffix == ".safetensors":
        save_source(target, generator, discriminator, card)
    else:
        save_rosinality(target, generator, discriminator)


def save_modules(path: Path, modules: nn.ModuleDict, card: Mapping[str, Any]) -> None:
    """Write the tensors of ``modules`` as safetensors, atomically, under their module's name.

    ``card`` goes into the header as one entry: the order of several is not reproducible.
    """
    tensors = {name: value.contiguous() for name, value in modules.state_dict().items()}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, {"card": json.dumps(card)}))


def holds_modules(path: Path, modules: nn.ModuleDict) -> bool:
    """Whether :func:`save_modules` of ``modules``, bit for bit, is what ``path`` holds."""
    try:
        stored, _ = read_tensors(path)
    except (OSError, SafetensorError, ValueError):
        return False
    ours = modules.state_dict()
    return stored.keys() == ours.keys() and all(
        torch.equal(stored[name], value.cpu()) for name, value in ours.items()
    )


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Read all tensors of a safetensors file, and the card in its header (empty if none)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    card = json.loads(metadata.get("card", "{}"))
    if not isinstance(card, dict):
        raise ValueError(f"the card of {path} is no JSON object")
    return tensors, card


def _read_parts(path: Path) -> tuple[StateDict, StateDict | None, Mapping[str, Any]]:
    """Tensors of the generator, of the discriminator if there is one, and the card."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; a source model is a .safetensors, .pt or .pkl file.")
    if not exists(path):
        raise UserError(f"There is no source model at {path}.")
    try:
        if path.suffix == ".safetensors":
            tensors, card = read_tensors(path)
            return _part(tensors, "generator"), _part(tensors, "discriminator") or None, card
        if path.suffix == ".pkl":
            return *read_nvidia(path), {}
        # The published training script stores its arguments beside the tensors.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats, where an error says it all
            parts = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # damaged bytes make the two readers raise almost anything
        raise UserError(
            f"{path} cannot be read as a checkpoint: it is damaged, of another format, or holds "
            "Python objects other than tensors."
        ) from error
    if not isinstance(parts, dict) or "g_ema" not in parts:
        raise _not_a_pair(path, "it lacks 'g_ema'")
    discriminator = _without_wrapper(parts["d"]) if "d" in parts else None
    return _without_wrapper(parts["g_ema"]), discriminator, {}


def _without_wrapper(state: StateDict) -> StateDict:
    """``state`` without the prefix that ``DataParallel`` puts before every name."""
    if not isinstance(state, dict) or not all(str(name).startswith("module.") for name in state):
        return state
    return {name.removeprefix("module."): value for name, value in state.items()}


def _not_a_pair(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a StyleGAN2 checkpoint with a generator and a discriminator: {reason}."
    )


def _build(
    generator: StateDict, discriminator: StateDict | None
) -> tuple[Generator, Discriminator | None]:
    for state in (generator, discriminator or {}):
        if not isinstance(state, Mapping):
            raise ValueError("a network in it is no set of tensors by name")
    architecture = infer_architecture(generator)
    for state in (generator, discriminator or {}):
        _check_numbers(state)
    made = _fill(Generator(architecture), generator)
    if discriminator is None:
        return made, None
    return made, _fill(Discriminator(architecture), discriminator)


def _check_numbers(state: StateDict) -> None:
    """Raise ValueError unless all of ``state`` is finite floating-point numbers that are there."""
    for name, value in state.items():
        label = repr(str(name)[:80])
        if not isinstance(value, Tensor) or value.dtype not in _DTYPES:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{label} is of {kind}, not of floating-point numbers")
        if value.numel() * value.itemsize > value.untyped_storage().nbytes():
            raise ValueError(f"{label} is larger than its storage")
        if not bool(value.isfinite().all()):
            raise ValueError(f"{label} is not finite: it holds NaN or infinity")


def _fill(network: Network, state: StateDict) -> Network:
    expected = network.state_dict()
    for name, tensor in expected.items():
        found, needed = list(state[name].shape), list(tensor.shape)
        if found != needed:
            raise ValueError(f"'{name}' has shape {found} where {needed} is needed")
    if unknown := [name for name in state if name not in expected]:
        raise ValueError(f"{str(unknown[0])[:80]!r} is no tensor of the architecture")
    network.load_state_dict(state)
    network.eval().requires_grad_(False)
    return network


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value.contiguous() for name, value in module.state_dict().items()}


def _part(tensors: StateDict, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
