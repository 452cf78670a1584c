"""Networks from the tensors of a checkpoint, in the names of the rosinality layout.

The architecture is read off their shapes, so a file needs no config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.stylegan2.nvidia import check_channels

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

NOISE_SEED = 0
NOISES = "noises."
KERNEL = ".kernel"

StateDict = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


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
    check_channels((*_shape(generator, "to_rgb1.conv.weight"), 3, 3)[1])
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
    state = {**_constants(expected, state), **state}
    for name, tensor in expected.items():
        found, needed = list(state[name].shape), list(tensor.shape)
        if found != needed:
            raise ValueError(f"'{name}' has shape {found} where {needed} is needed")
    if unknown := [name for name in state if name not in expected]:
        raise ValueError(f"{str(unknown[0])[:80]!r} is no tensor of the architecture")
    network.load_state_dict(state)
    network.eval().requires_grad_(False)
    return network


def _constants(expected: StateDict, state: StateDict) -> dict[str, Tensor]:
    """What a file may leave out, as released ones do: blur kernels, and the fixed noise.

    Their code draws the noise anew each time.
    """
    dice = torch.Generator().manual_seed(NOISE_SEED)
    left_out = [name for name in expected if name not in state]
    kernels = {name: expected[name] for name in left_out if name.endswith(KERNEL)}
    noises = [name for name in left_out if name.startswith(NOISES)]
    drawn = {name: torch.randn(expected[name].shape, generator=dice) for name in noises}
    return kernels | drawn


def left_out(generator: StateDict, discriminator: StateDict | None) -> tuple[str, ...]:
    """A sentence about the constants that a file's networks lack, if they do."""
    said = []
    if not any(name.startswith(NOISES) for name in generator):
        said.append(f"the fixed noise, which is drawn from the seed {NOISE_SEED}")
    states = [state for state in (generator, discriminator) if state]
    if not all(any(name.endswith(KERNEL) for name in state) for state in states):
        said.append("blur kernels, which are [1, 3, 3, 1]")
    return (f"The source model's file leaves out {' and '.join(said)}.",) if said else ()
