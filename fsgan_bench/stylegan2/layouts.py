"""Reading the three layouts of a checkpoint, and networks from the tensors in it.

Our safetensors files and the rosinality ``.pt`` layout name the tensors alike, NVIDIA's ``.pkl`` is
renamed. The architecture is read off their shapes, so a file needs no config.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator
from fsgan_bench.stylegan2.nvidia import read_nvidia
from fsgan_bench.system.paths import exists

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

StateDict = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Parts:
    """The tensors of a checkpoint, by network.

    Attributes:
        generator: of the moving average.
        discriminator: None in a file without one.
        raw: of the generator that the average follows; None in a file of the average alone.
        card: what is known about the training; empty in foreign files.
    """

    generator: StateDict
    discriminator: StateDict | None
    raw: StateDict | None
    card: Mapping[str, Any] = field(default_factory=dict)


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


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Read all tensors of a safetensors file, and the card in its header (empty if none)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    card = json.loads(metadata.get("card", "{}"))
    if not isinstance(card, dict):
        raise ValueError(f"the card of {path} is no JSON object")
    return tensors, card


def read_parts(path: Path) -> Parts:
    """Read a checkpoint.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; a source model is a .safetensors, .pt or .pkl file.")
    if not exists(path):
        raise UserError(f"There is no source model at {path}.")
    try:
        if path.suffix == ".safetensors":
            tensors, card = read_tensors(path)
            generator, *others = (_part(tensors, n) for n in ("generator", "discriminator", "raw"))
            discriminator, raw = (other or None for other in others)
            return Parts(generator, discriminator, raw, card)
        if path.suffix == ".pkl":
            return Parts(*read_nvidia(path))
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
        raise not_a_pair(path, "it lacks 'g_ema'")
    found = {name: _without_wrapper(parts[name]) for name in ("g_ema", "d", "g") if name in parts}
    return Parts(found["g_ema"], found.get("d"), found.get("g"))


def _without_wrapper(state: StateDict) -> StateDict:
    """``state`` without the prefix that ``DataParallel`` puts before every name."""
    if not isinstance(state, dict) or not all(str(name).startswith("module.") for name in state):
        return state
    return {name.removeprefix("module."): value for name, value in state.items()}


def not_a_pair(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a StyleGAN2 checkpoint with a generator and a discriminator: {reason}."
    )


def build(
    generator: StateDict, discriminator: StateDict | None
) -> tuple[Generator, Discriminator | None]:
    """Networks of these tensors, which do not train.

    Raises:
        KeyError: a tensor of the layout is missing.
        ValueError: a tensor has another shape, or is not of finite numbers.
    """
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
    # Released files may lack the fixed noise: their code draws it anew each time.
    dice = torch.Generator().manual_seed(0)
    noises = {name: value for name, value in expected.items() if name.startswith("noises.")}
    if state.keys().isdisjoint(noises):
        state = {**state, **{n: torch.randn(v.shape, generator=dice) for n, v in noises.items()}}
    for name, tensor in expected.items():
        found, needed = list(state[name].shape), list(tensor.shape)
        if found != needed:
            raise ValueError(f"'{name}' has shape {found} where {needed} is needed")
    if unknown := [name for name in state if name not in expected]:
        raise ValueError(f"{str(unknown[0])[:80]!r} is no tensor of the architecture")
    network.load_state_dict(state)
    network.eval().requires_grad_(False)
    return network


def _part(tensors: StateDict, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
