"""Checkpoints: networks from a file, and a file from networks."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.stylegan2.layouts import StateDict, build, left_out
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.stylegan2.reading import layout_of, not_a_pair, read_parts, read_tensors
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
        notes: a sentence for what the file leaves out.
    """

    generator: Generator
    discriminator: Discriminator | None
    path: Path
    hash: str
    card: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def pair(self) -> tuple[Generator, Discriminator]:
        """The averaged generator and the discriminator.

        Raises:
            UserError: there is no discriminator; it says what can still be done.
        """
        if self.discriminator is None:
            keys = {"nvidia": "D", "safetensors": "discriminator"}
            key = keys.get(layout_of(self.path) or "", "d")
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
            key = {"nvidia": "G", "safetensors": "raw"}.get(layout_of(self.path) or "", "g")
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
    read = load_networks(path)
    return Source(read.generator, read.discriminator, path, file_hash(path), read.card, read.notes)


class Networks(NamedTuple):
    """A generator, its discriminator if the file holds one, the file's card, and notes."""

    generator: Generator
    discriminator: Discriminator | None
    card: Mapping[str, Any]
    notes: tuple[str, ...]


def load_networks(path: Path) -> Networks:
    """Read the networks of a checkpoint, whatever its layout is.

    Blur kernels that it lacks are filled in, and fixed noise that it lacks is drawn from a fixed
    seed; a note says so.

    Raises:
        UserError: the file is missing, damaged, or of another layout.
    """
    parts = read_parts(path)
    with _said_of(path):
        built = build(parts.generator, parts.discriminator)
        return Networks(*built, parts.card, left_out(parts.generator, parts.discriminator))


def generator_of(path: Path, state: StateDict) -> Generator:
    """The generator whose tensors ``state`` holds, which were read from ``path``.

    Raises:
        UserError: it is none.
    """
    with _said_of(path):
        return build(state, None)[0]


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
    check_target(target)
    generator, discriminator, card, _ = load_networks(path)
    raw = load_raw(path)
    if raw is not None and _equal(raw.state_dict(), generator.state_dict()):
        raw = None
    write_networks(target, generator, discriminator, card, raw)


def check_target(target: Path) -> None:
    """Raise UserError unless a checkpoint can be written to ``target``."""
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


def write_networks(
    target: Path,
    generator: Generator,
    discriminator: Discriminator | None,
    card: Mapping[str, Any],
    raw: Generator | None = None,
) -> None:
    """Write networks in the layout that the suffix of ``target`` names."""
    if target.suffix == ".safetensors":
        save_source(target, generator, discriminator, card, raw)
    else:
        save_rosinality(target, generator, discriminator, raw)


def save_modules(path: Path, modules: nn.ModuleDict, card: Mapping[str, Any]) -> None:
    """Write the tensors of ``modules`` as safetensors, atomically, under their module's name.

    ``card`` goes into the header as one entry: the order of several is not reproducible.
    """
    save_tensors(path, modules.state_dict(), card)


def save_tensors(path: Path, tensors: StateDict, card: Mapping[str, Any]) -> None:
    """Write tensors by name as :func:`save_modules` does."""
    whole = {name: value.contiguous() for name, value in tensors.items()}
    write_atomic(path, lambda temporary: save_file(whole, temporary, {"card": json.dumps(card)}))


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
