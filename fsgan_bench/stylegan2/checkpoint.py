"""Checkpoints: our safetensors files, the rosinality ``.pt`` layout and NVIDIA's ``.pkl``.

The first two name the tensors alike, the third is renamed. The architecture is read off their
shapes, so a file needs no config.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fsgan_bench.errors import UserError
from fsgan_bench.store import file_hash, write_atomic
from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator
from fsgan_bench.stylegan2.nvidia import read_nvidia

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class Source:
    """A pretrained pair.

    Attributes:
        generator: the moving average that samples are drawn from.
        discriminator: its discriminator.
        hash: SHA-256 of the file that it was read from.
        card: what is known about its training; empty for foreign files.
    """

    generator: Generator
    discriminator: Discriminator
    hash: str
    card: Mapping[str, Any]


def infer_architecture(generator: StateDict) -> Architecture:
    """Read resolution and widths off a generator's tensors.

    Raises:
        KeyError: a tensor of the layout is missing.
    """
    mapping_layers = sum(k.startswith("style.") and k.endswith(".weight") for k in generator)
    blocks = sum(k.startswith("to_rgbs.") and k.endswith(".conv.weight") for k in generator)
    channels = {4: generator["conv1.conv.weight"].shape[1]}
    for block in range(blocks):
        weight = generator[f"convs.{2 * block + 1}.conv.weight"]
        channels[8 << block] = weight.shape[1]
    style_dim = generator["conv1.conv.modulation.weight"].shape[1]
    return Architecture(4 << blocks, style_dim, mapping_layers, channels)


def save_source(
    path: Path, generator: Generator, discriminator: Discriminator, card: Mapping[str, Any]
) -> None:
    """Write a pair as one safetensors file, atomically, with the card in its header."""
    tensors = _prefixed("generator", generator) | _prefixed("discriminator", discriminator)
    metadata = {"card": json.dumps(card)}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_source(path: Path) -> Source:
    """Read a pair from ``.safetensors``, from a rosinality ``.pt`` or from NVIDIA's ``.pkl``.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    generator, discriminator, card = _read_pair(path)
    try:
        networks = _build(generator, discriminator)
    except KeyError as error:
        raise _not_a_pair(path, f"it lacks {error}") from error
    except (IndexError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise _not_a_pair(path, str(error)) from error
    return Source(*networks, hash=file_hash(path), card=card)


def save_rosinality(path: Path, source: Source) -> None:
    """Write a pair in the rosinality layout, atomically; ``g`` repeats ``g_ema``."""
    generator = source.generator.state_dict()
    parts = {"g": generator, "d": source.discriminator.state_dict(), "g_ema": generator}
    write_atomic(path, lambda temporary: torch.save(parts, temporary))


def save_modules(path: Path, modules: nn.ModuleDict, card: Mapping[str, Any]) -> None:
    """Write the tensors of ``modules`` as safetensors, atomically, under their module's name.

    ``card`` goes into the header as one entry: the order of several is not reproducible.
    """
    tensors = {name: value.contiguous() for name, value in modules.state_dict().items()}
    write_atomic(path, lambda temporary: save_file(tensors, temporary, {"card": json.dumps(card)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Read all tensors of a safetensors file, and the card in its header (empty if none)."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return tensors, json.loads(metadata.get("card", "{}"))


def _read_pair(path: Path) -> tuple[StateDict, StateDict, Mapping[str, Any]]:
    """Tensors of the generator, of the discriminator, and the card (empty for a ``.pt``)."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; a source model is a .safetensors, .pt or .pkl file.")
    if not path.exists():
        raise UserError(f"There is no source model at {path}.")
    try:
        if path.suffix == ".safetensors":
            tensors, card = read_tensors(path)
            return _part(tensors, "generator"), _part(tensors, "discriminator"), card
        if path.suffix == ".pkl":
            state, judge = read_nvidia(path)
            if judge is None:
                raise _not_a_pair(path, "it lacks 'D'")
            return state, judge, {}
        # The published training script stores its arguments beside the tensors.
        with torch.serialization.safe_globals([argparse.Namespace]):
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
    missing = [key for key in ("g_ema", "d") if not isinstance(parts, dict) or key not in parts]
    if missing:
        raise _not_a_pair(path, f"it lacks {' and '.join(map(repr, missing))}")
    return parts["g_ema"], parts["d"], {}


def _not_a_pair(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a StyleGAN2 checkpoint with a generator and a discriminator: {reason}."
    )


def _build(generator: StateDict, discriminator: StateDict) -> tuple[Generator, Discriminator]:
    architecture = infer_architecture(generator)
    networks = Generator(architecture), Discriminator(architecture)
    for network, state in zip(networks, (generator, discriminator), strict=True):
        expected = network.state_dict()
        for name, tensor in expected.items():
            found, needed = list(state[name].shape), list(tensor.shape)
            if found != needed:
                raise ValueError(f"'{name}' has shape {found} where {needed} is needed")
        if unknown := [name for name in state if name not in expected]:
            raise ValueError(f"'{unknown[0]}' is no tensor of the architecture")
        network.load_state_dict(state)
        network.eval().requires_grad_(False)
    return networks


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value.contiguous() for name, value in module.state_dict().items()}


def _part(tensors: StateDict, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
