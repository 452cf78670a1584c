"""NVIDIA's stylegan2-ada-pytorch ``.pkl`` files: read without their code, renamed to our layout.

Such a file is a pickle whose networks carry their own source code. Only tensors and plain
containers are rebuilt here; networks become inert records and their code is never run.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.ops import blur_kernel

StateDict = dict[str, Tensor]


class _Module:
    """A pickled network: its attributes, and nothing that runs."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self.state: Mapping[str, Any] = meta["state"]


class Inert:
    """Stands for a value that no weight depends on, such as a gain stored as a numpy scalar."""

    def __init__(self, *_arguments: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


class _Call:
    """A callable whose attributes a pickle cannot reach."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_rest: object) -> Tensor:
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    there = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    if min([offset, *size, *stride]) < 0 or max(math.prod(size), last + 1) > there:
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    rebuild: Callable[..., Tensor] = torch._utils._rebuild_tensor_v2
    return rebuild(storage, offset, size, stride, False, OrderedDict())


def _parameter(data: Tensor, *_rest: object) -> Tensor:
    return data


_FUNCTIONS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Module,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch", "Size"): tuple,
    ("torch", "device"): Inert,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("numpy", "dtype"): Inert,
    ("numpy", "ndarray"): Inert,
    ("numpy.core.multiarray", "scalar"): Inert,
    ("numpy.core.multiarray", "_reconstruct"): Inert,
    ("numpy._core.multiarray", "scalar"): Inert,
    ("numpy._core.multiarray", "_reconstruct"): Inert,
}


class Refused(pickle.UnpicklingError):
    """The pickle names something that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        # A class of this load's own: a pickle may change the attributes of the classes it is given.
        self._easy_dict = type("EasyDict", (dict,), {})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("dnnlib.util", "EasyDict"):
            return self._easy_dict
        if (module, name) not in _FUNCTIONS:
            raise Refused(f"{module}.{name}"[:80].encode("ascii", "replace").decode())
        return _Call(_FUNCTIONS[module, name])


def _check_memory(content: bytes) -> None:
    """Refuse a pickle that numbers a value higher than it has bytes.

    The unpickler sets aside memory for every number up to it: a few bytes could ask for 32 GB.
    """
    for operation, argument, _ in pickletools.genops(io.BytesIO(content)):
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise pickle.UnpicklingError("it numbers its values too high")


def read_nvidia(path: Path, content: bytes) -> tuple[StateDict, StateDict | None, StateDict | None]:
    """The networks of a ``.pkl``'s content, in our names.

    Images and logits equal those of NVIDIA's code in float32, unless an activation exceeds the
    ``conv_clamp`` of a half-precision model or the discriminator sees batches whose ``mbstd``
    groups differ from 4. The stored average of ``w`` is left out: it is computed anew on use.

    Returns:
        the tensors of the generator's moving average, and those of the discriminator and of the
        raw generator, None for what the file lacks.

    Raises:
        UserError: it is class-conditional, not RGB, or no unconditional StyleGAN2 with a skip
            generator and a residual discriminator.
        Refused: it asks for anything but tensors and plain containers.
        Exception: damaged bytes make a pickle raise almost anything.
    """
    _check_memory(content)
    parts = _Unpickler(io.BytesIO(content)).load()
    try:
        if not isinstance(parts, dict):
            raise ValueError("it holds no networks by name")
        generator = _tensors(parts["G_ema"])
        discriminator, raw = (
            None if parts.get(name) is None else _tensors(parts[name]) for name in ("D", "G")
        )
        _check(parts["G_ema"], generator)
        return (
            _generator(generator),
            None if discriminator is None else _discriminator(discriminator),
            None if raw is None else _generator(raw),
        )
    except KeyError as error:
        raise UserError(f"{path} is not a StyleGAN2 of NVIDIA's: it lacks {error}.") from error
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path} cannot be used as a source model: {error}.") from error


def _tensors(module: _Module) -> dict[str, Tensor]:
    """Parameters and buffers of a network by their dotted names."""
    if not isinstance(module, _Module):
        raise ValueError("a network in it is not one of NVIDIA's")
    found: dict[str, Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in module.state.get(kind, {}).items():
            if isinstance(value, Tensor):
                found[name] = value.detach().float()
    for name, child in module.state.get("_modules", {}).items():
        found |= {f"{name}.{inner}": value for inner, value in _tensors(child).items()}
    return found


def _check(module: _Module, generator: Mapping[str, Tensor]) -> None:
    classes = module.state.get("c_dim", 0)
    if classes != 0 or "mapping.embed.weight" in generator:
        raise ValueError(
            f"it is class-conditional, of {classes or 'several'} classes, and only unconditional "
            "models of RGB images are read"
        )
    if "synthesis.input.freqs" in generator:
        raise ValueError("it is a StyleGAN3, and only StyleGAN2 models are read")
    check_channels(len(generator["synthesis.b4.torgb.bias"]))


def check_channels(count: int) -> None:
    """Raise ValueError unless a generator draws ``count`` = 3 channels."""
    if count != 3:
        kind = {1: "grey images, of 1 channel", 4: "RGBA images, of 4 channels"}.get(
            count, f"images of {count} channels"
        )
        raise ValueError(f"it draws {kind}, and only unconditional models of RGB images are read")


def _take(tensors: dict[str, Tensor], moves: Mapping[str, tuple[str, list[int]]]) -> StateDict:
    """Rename tensors; ``moves`` maps NVIDIA's name to ours and to the axes of length 1 to add."""
    kernel = blur_kernel()
    for name in [name for name in tensors if name.endswith("resample_filter")]:
        taps = tensors.pop(name)
        if taps.shape != kernel.shape or not torch.allclose(taps, kernel, atol=1e-6):
            raise ValueError("it resamples with another filter than [1, 3, 3, 1]")
    renamed = {}
    for theirs, (ours, axes) in moves.items():
        value = tensors.pop(theirs)
        for axis in axes:
            value = value.unsqueeze(axis)
        renamed[ours] = value.clone(memory_format=torch.contiguous_format)
    if tensors:
        raise ValueError(f"'{next(iter(tensors))}' is no tensor of an unconditional StyleGAN2")
    return renamed


def _resolutions(tensors: Mapping[str, Tensor], prefix: str) -> list[int]:
    """The resolutions of the blocks ``b4``, ``b8``, ... that are there without a gap."""
    names = {name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)}
    found = [4]
    while f"b{2 * found[-1]}" in names:
        found.append(2 * found[-1])
    return found


def _generator(tensors: dict[str, Tensor]) -> StateDict:
    tensors.pop("mapping.w_avg", None)
    moves: dict[str, tuple[str, list[int]]] = {"synthesis.b4.const": ("input.input", [0])}
    blurred = []
    layers = sum(name.startswith("mapping.fc") and name.endswith("weight") for name in tensors)
    for layer in range(layers):
        for part in ("weight", "bias"):
            moves[f"mapping.fc{layer}.{part}"] = (f"style.{layer + 1}.{part}", [])

    def styled(theirs: str, ours: str, noise: int) -> None:
        moves[f"{theirs}.weight"] = (f"{ours}.conv.weight", [0])
        moves[f"{theirs}.bias"] = (f"{ours}.activate.bias", [])
        moves[f"{theirs}.noise_strength"] = (f"{ours}.noise.weight", [0])
        moves[f"{theirs}.noise_const"] = (f"noises.noise_{noise}", [0, 0])
        affine(theirs, ours)

    def affine(theirs: str, ours: str) -> None:
        for part in ("weight", "bias"):
            moves[f"{theirs}.affine.{part}"] = (f"{ours}.conv.modulation.{part}", [])

    def to_rgb(theirs: str, ours: str) -> None:
        moves[f"{theirs}.weight"] = (f"{ours}.conv.weight", [0])
        moves[f"{theirs}.bias"] = (f"{ours}.bias", [0, 2, 3])
        affine(theirs, ours)

    styled("synthesis.b4.conv1", "conv1", 0)
    to_rgb("synthesis.b4.torgb", "to_rgb1")
    for block, resolution in enumerate(_resolutions(tensors, "synthesis.")[1:]):
        theirs = f"synthesis.b{resolution}"
        styled(f"{theirs}.conv0", f"convs.{2 * block}", 2 * block + 1)
        styled(f"{theirs}.conv1", f"convs.{2 * block + 1}", 2 * block + 2)
        to_rgb(f"{theirs}.torgb", f"to_rgbs.{block}")
        blurred += [f"convs.{2 * block}.conv.blur.kernel", f"to_rgbs.{block}.upsample.kernel"]
    return _take(tensors, moves) | {name: blur_kernel(gain=4.0) for name in blurred}


def _discriminator(tensors: dict[str, Tensor]) -> StateDict:
    moves: dict[str, tuple[str, list[int]]] = {}
    blurred = []
    resolutions = _resolutions(tensors, "")[::-1]

    def layer(theirs: str, weight: str, bias: str) -> None:
        moves[f"{theirs}.weight"] = (weight, [])
        moves[f"{theirs}.bias"] = (bias, [])

    layer(f"b{resolutions[0]}.fromrgb", "convs.0.0.weight", "convs.0.1.bias")
    for index, resolution in enumerate(resolutions[:-1], start=1):
        theirs, ours = f"b{resolution}", f"convs.{index}"
        layer(f"{theirs}.conv0", f"{ours}.conv1.0.weight", f"{ours}.conv1.1.bias")
        layer(f"{theirs}.conv1", f"{ours}.conv2.1.weight", f"{ours}.conv2.2.bias")
        moves[f"{theirs}.skip.weight"] = (f"{ours}.skip.1.weight", [])
        blurred += [f"{ours}.conv2.0.kernel", f"{ours}.skip.0.kernel"]
    layer("b4.conv", "final_conv.0.weight", "final_conv.1.bias")
    layer("b4.fc", "final_linear.0.weight", "final_linear.0.bias")
    layer("b4.out", "final_linear.1.weight", "final_linear.1.bias")
    return _take(tensors, moves) | {name: blur_kernel() for name in blurred}
