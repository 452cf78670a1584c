"""Checkpoints: our safetensors files, the rosinality ``.pt`` layout and NVIDIA's ``.pkl``.

The first two name the tensors alike, the third is renamed. The architecture is read off their
shapes, so a file needs no config.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.stylegan2.layouts import (
    StateDict,
    build,
    not_a_pair,
    read_parts,
    read_tensors,
)
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.files import file_hash, write_atomic


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
        """The averaged generator and the discriminator.

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

    @functools.cached_property
    def raw(self) -> Generator:
        """The generator as trained, which the average follows.

        Raises:
            UserError: the file holds the average alone.
        """
        raw = load_raw(self.path)
        if raw is None:
            key = {".pkl": "G", ".safetensors": "raw"}.get(self.path.suffix, "g")
            raise UserError(
                f"{self.path} holds the average of the generator alone: it lacks '{key}', which "
                "the suite's recipe starts from; a suite file that says start_from_average = true "
                "in its [recipe] starts from the average."
            )
        return raw

    def start(self, *, from_average: bool) -> tuple[Generator, Discriminator]:
        """The networks that adaptation starts from.

        Raises:
            UserError: the file lacks one of them.
        """
        generator, discriminator = self.pair
        return generator if from_average else self.raw, discriminator


def save_source(
    path: Path,
    generator: Generator,
    discriminator: Discriminator | None,
    card: Mapping[str, Any],
    raw: Generator | None = None,
) -> None:
    """Write what :class:`Source` holds as one safetensors file, with the card in its header.

    The file appears whole or not at all.
    """
    networks = {"generator": generator, "discriminator": discriminator, "raw": raw}
    tensors: dict[str, Tensor] = {}
    for name, network in networks.items():
        if network is not None:
            tensors |= _prefixed(name, network)
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
    parts = read_parts(path)
    with _said_of(path):
        return *build(parts.generator, parts.discriminator), parts.card


def load_raw(path: Path) -> Generator | None:
    """Read the generator as trained; None from a file of its average alone.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    raw = read_parts(path).raw
    if raw is None:
        return None
    with _said_of(path):
        return build(raw, None)[0]


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Turn what tensors that make no networks raise into a sentence about the file."""
    try:
        yield
    except KeyError as error:
        raise not_a_pair(path, f"it lacks {error}") from error
    except (IndexError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise not_a_pair(path, str(error)) from error


def save_rosinality(
    path: Path,
    generator: Generator,
    discriminator: Discriminator | None,
    raw: Generator | None = None,
) -> None:
    """Write the networks in the rosinality layout, where ``g`` repeats ``g_ema`` without ``raw``.

    The file appears whole or not at all.
    """
    parts = {"g": (raw or generator).state_dict(), "g_ema": generator.state_dict()}
    if discriminator is not None:
        parts["d"] = discriminator.state_dict()
    write_atomic(path, lambda temporary: torch.save(parts, temporary))


def convert(path: Path, target: Path) -> None:
    """Write the checkpoint ``path`` in the layout that the suffix of ``target`` names.

    ``.safetensors`` and ``.pt`` keep every bit of the networks; ``.pt`` has no place for the card.
    A missing discriminator stays missing, and a raw generator that repeats its average is left out
    of ``.safetensors``.

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
    raw = load_raw(path)
    if raw is not None and _equal(raw.state_dict(), generator.state_dict()):
        raw = None
    if target.suffix == ".safetensors":
        save_source(target, generator, discriminator, card, raw)
    else:
        save_rosinality(target, generator, discriminator, raw)


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
    return _equal(stored, modules.state_dict())


def _equal(ours: StateDict, theirs: StateDict) -> bool:
    return ours.keys() == theirs.keys() and all(
        torch.equal(value.cpu(), theirs[name].cpu()) for name, value in ours.items()
    )


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value.contiguous() for name, value in module.state_dict().items()}
