"""NVIDIA's pickles: equal outputs by an independent forward pass, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2 import nvidia
from fsgan_bench.stylegan2.checkpoint import load_source

State = dict[str, Tensor]
DIM, WIDTHS, MAPPING = 6, {4: 7, 8: 5, 16: 4}, 3
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
FILTER = torch.outer(TAPS, TAPS) / 64


def random_generator() -> State:
    draw = torch.Generator().manual_seed(1)

    def r(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    state = {"synthesis.b4.const": r(WIDTHS[4], 4, 4), "mapping.w_avg": r(DIM)}
    for i in range(MAPPING):
        state |= {f"mapping.fc{i}.weight": r(DIM, DIM) * 100, f"mapping.fc{i}.bias": r(DIM) * 10}
    for size, width in WIDTHS.items():
        block = f"synthesis.b{size}"
        state[f"{block}.resample_filter"] = FILTER.clone()
        before = WIDTHS[max(4, size // 2)]
        for name, into in (("conv0", before), ("conv1", width)):
            if (size, name) == (4, "conv0"):
                continue
            layer = f"{block}.{name}"
            state |= {f"{layer}.weight": r(width, into, 3, 3), f"{layer}.bias": r(width)}
            state |= {f"{layer}.noise_const": r(size, size), f"{layer}.noise_strength": r()}
            state |= {f"{layer}.affine.weight": r(into, DIM), f"{layer}.affine.bias": r(into) + 1}
            state[f"{layer}.resample_filter"] = FILTER.clone()
        rgb = f"{block}.torgb"
        state |= {f"{rgb}.weight": r(3, width, 1, 1), f"{rgb}.bias": r(3)}
        state |= {f"{rgb}.affine.weight": r(width, DIM), f"{rgb}.affine.bias": r(width) + 1}
    return state


def random_discriminator() -> State:
    draw = torch.Generator().manual_seed(2)

    def r(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    state = {"b16.fromrgb.weight": r(WIDTHS[16], 3, 1, 1), "b16.fromrgb.bias": r(WIDTHS[16])}
    for size in (16, 8):
        width, after = WIDTHS[size], WIDTHS[size // 2]
        state |= {f"b{size}.conv0.weight": r(width, width, 3, 3), f"b{size}.conv0.bias": r(width)}
        state |= {f"b{size}.conv1.weight": r(after, width, 3, 3), f"b{size}.conv1.bias": r(after)}
        state |= {f"b{size}.skip.weight": r(after, width, 1, 1)}
        state |= {f"b{size}.conv1.resample_filter": FILTER.clone()}
    width = WIDTHS[4]
    state |= {"b4.conv.weight": r(width, width + 1, 3, 3), "b4.conv.bias": r(width)}
    state |= {"b4.fc.weight": r(width, 16 * width), "b4.fc.bias": r(width)}
    return state | {"b4.out.weight": r(1, width), "b4.out.bias": r(1)}


def linear(state: State, name: str, x: Tensor, lr: float = 1.0) -> Tensor:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    made: Tensor = x @ (weight * lr / weight.shape[1] ** 0.5).t() + bias * lr
    return made


def activate(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * 2**0.5


def resample(x: Tensor, before: int, after: int, up: int = 1) -> Tensor:
    """Insert zeros, pad, and convolve with the filter at a gain of ``up`` squared."""
    n, c, h, w = x.shape
    stuffed = x.new_zeros(n, c, h * up, w * up)
    stuffed[:, :, ::up, ::up] = x
    padded = F.pad(stuffed, (before, after, before, after)).flatten(0, 1)[:, None]
    out = F.conv2d(padded, FILTER.flip(0, 1)[None, None] * up**2)
    return out.reshape(n, c, *out.shape[2:])


def styled(state: State, name: str, x: Tensor, w: Tensor, *, up: bool = False) -> Tensor:
    style = linear(state, f"{name}.affine", w)
    maps = []
    for image, scale in zip(x, style, strict=True):
        weight = state[f"{name}.weight"] * scale[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            # A true convolution, thus the flip, of the image that is upsampled first.
            maps.append(F.conv2d(resample(image[None], 3, 2, up=2), weight.flip(2, 3)))
        else:
            maps.append(F.conv2d(image[None], weight, padding=1))
    out = torch.cat(maps) + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
    return activate(out + state[f"{name}.bias"][:, None, None])


def reference_images(state: State, z: Tensor) -> Tensor:
    w = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for i in range(MAPPING):
        w = activate(linear(state, f"mapping.fc{i}", w, lr=0.01))
    x = state["synthesis.b4.const"].expand(len(z), -1, -1, -1)
    image = torch.zeros(())
    for size, width in WIDTHS.items():
        block = f"synthesis.b{size}"
        if size > 4:
            x = styled(state, f"{block}.conv0", x, w, up=True)
            image = resample(image, 2, 1, up=2)
        x = styled(state, f"{block}.conv1", x, w)
        style = linear(state, f"{block}.torgb.affine", w) / width**0.5
        rgb = torch.einsum("oc,nc,nchw->nohw", state[f"{block}.torgb.weight"][..., 0, 0], style, x)
        image = image + rgb + state[f"{block}.torgb.bias"][:, None, None]
    return image


def reference_logits(state: State, x: Tensor) -> Tensor:
    def weight(name: str) -> Tensor:
        value = state[f"{name}.weight"]
        scaled: Tensor = value / value[0].numel() ** 0.5
        return scaled

    def bias(name: str) -> Tensor:
        return state[f"{name}.bias"][:, None, None]

    x = activate(F.conv2d(x, weight("b16.fromrgb")) + bias("b16.fromrgb"))
    for block in ("b16", "b8"):
        skip = F.conv2d(resample(x, 1, 1), weight(f"{block}.skip"), stride=2)
        x = activate(F.conv2d(x, weight(f"{block}.conv0"), padding=1) + bias(f"{block}.conv0"))
        x = F.conv2d(resample(x, 2, 2), weight(f"{block}.conv1"), stride=2)
        x = activate(x + bias(f"{block}.conv1")) * 0.5**0.5 + skip * 0.5**0.5
    spread = (x - x.mean(dim=0)).square().mean(dim=0).add(1e-8).sqrt().mean()
    x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], dim=1)
    x = activate(F.conv2d(x, weight("b4.conv"), padding=1) + bias("b4.conv"))
    return linear(state, "b4.out", activate(linear(state, "b4.fc", x.flatten(1))))


class Stored:
    """Pickles as a persistent object of NVIDIA's, with source code that leaves a mark."""

    def __init__(self, state: State, source: str = "", **attributes: object) -> None:
        self.tensors, self.source, self.attributes = state, source, attributes

    def __reduce__(self) -> Any:
        children: dict[str, State] = {}
        own: dict[str, OrderedDict[str, object]] = {
            "_parameters": OrderedDict(bias=None),
            "_buffers": OrderedDict(),
        }
        for name, value in self.tensors.items():
            head, _, rest = name.partition(".")
            if rest:
                children.setdefault(head, {})[rest] = value
            elif head in ("resample_filter", "w_avg", "noise_const"):
                own["_buffers"][head] = value
            else:
                own["_parameters"][head] = torch.nn.Parameter(value)
        modules = OrderedDict((name, Stored(part, self.source)) for name, part in children.items())
        state = {"training": False, "_modules": modules, "_non_persistent_buffers_set": set()}
        state |= {"weight_gain": np.float64(0.5), **own, **self.attributes}
        meta = {"type": "class", "version": 6, "module_src": self.source, "class_name": "X"}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (
            {**meta, "state": state},
        )


@pytest.fixture
def save(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Pickles parts while modules of NVIDIA's names are importable, which they are not after."""

    def write(parts: object, protocol: int = 4) -> Path:
        path = tmp_path / "network.pkl"
        with monkeypatch.context() as patch:
            for name, attribute in (
                ("torch_utils.persistence", "_reconstruct_persistent_obj"),
                ("dnnlib.util", "EasyDict"),
            ):
                module = types.ModuleType(name)
                made: Any = type(attribute, (dict,), {"__module__": name})
                if attribute.startswith("_"):

                    def made(meta: object) -> None: ...

                    made.__module__, made.__qualname__, made.__name__ = name, attribute, attribute
                setattr(module, attribute, made)
                patch.setitem(sys.modules, name.split(".")[0], types.ModuleType(name))
                patch.setitem(sys.modules, name, module)
            if isinstance(parts, dict):
                easy = sys.modules["dnnlib.util"].EasyDict
                parts = {**parts, "training_set_kwargs": easy(path="x.zip")}
            path.write_bytes(pickle.dumps(parts, protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", [3, 4])
def test_images_and_logits_are_those_of_the_published_layers(
    save: Callable[..., Path], protocol: int
) -> None:
    generator, discriminator = random_generator(), random_discriminator()
    path = save(
        {"G": None, "D": Stored(discriminator), "G_ema": Stored(generator, c_dim=0)}, protocol
    )
    source = load_source(path)
    z = torch.randn(4, DIM, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        images = source.generator(z).image
        expected = reference_images(generator, z)
        torch.testing.assert_close(images, expected, rtol=1e-4, atol=1e-4)
        logits = source.pair[1](expected).logits
        torch.testing.assert_close(
            logits, reference_logits(discriminator, expected), rtol=1e-4, atol=1e-4
        )
    assert source.generator.architecture.channels == WIDTHS


def pair(**changes: object) -> dict[str, object]:
    return {"D": Stored(random_discriminator()), "G_ema": Stored(random_generator())} | changes


def test_class_conditional_is_refused(save: Callable[..., Path]) -> None:
    path = save(pair(G_ema=Stored(random_generator(), c_dim=10)))
    with pytest.raises(UserError, match="class-conditional"):
        load_source(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"synthesis.b8.resample_filter": torch.ones(4, 4)}, "another filter"),
        ({"synthesis.b8.skip.weight": torch.ones(1)}, "is no tensor of"),
        ({"synthesis.b4.const": torch.ones(3)}, "is not a StyleGAN2"),
    ],
)
def test_other_networks_are_refused(save: Callable[..., Path], change: State, match: str) -> None:
    path = save(pair(G_ema=Stored(random_generator() | change)))
    with pytest.raises(UserError, match=match):
        load_source(path)


def test_missing_discriminator(save: Callable[..., Path]) -> None:
    source = load_source(save(pair(D=None)))
    with pytest.raises(UserError, match=r"network\.pkl is a generator alone: it lacks 'D'"):
        _ = source.pair


class Runs:
    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("how", ["system", "eval", "getattr", "storage"])
def test_nothing_is_run(save: Callable[..., Path], tmp_path: Path, how: str, nested: bool) -> None:
    mark = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    attack: object = {
        "system": Runs(os.system, f"touch {mark}"),
        "eval": Runs(eval, code),
        "getattr": Runs(getattr, "x", "upper"),
        "storage": Runs(
            torch.storage._load_from_bytes, pickle.dumps(Runs(os.system, f"touch {mark}"))
        ),
    }[how]
    if nested:
        attack = Stored(random_generator(), extra=[{"deep": (attack,)}])
    with pytest.raises(UserError, match=r"network\.pkl") as caught:
        load_source(save(pair(G_ema=attack)))
    assert not mark.exists()
    assert "\n" not in str(caught.value)


def test_source_code_in_the_file_is_not_run(save: Callable[..., Path], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')"
    path = save(
        {"D": Stored(random_discriminator(), code), "G_ema": Stored(random_generator(), code)}
    )
    load_source(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04N.", b"\x80\x04}."])
def test_other_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.pkl"):
        load_source(path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (10**6, (2,), (1,)),
        (0, (2,), (10**6,)),
        (-1, (2,), (1,)),
        (0, (5,), (1,)),
        (0, (2, 2), (2, 2)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    """Torch would make the storage larger, with whatever lies in memory there."""
    bytes_ = torch.zeros(4).untyped_storage()
    storage = torch.storage.TypedStorage(wrap_storage=bytes_, dtype=torch.float32, _internal=True)
    with pytest.raises(pickle.UnpicklingError, match="larger than its storage"):
        nvidia._tensor(storage, offset, size, stride)
    assert bytes_.nbytes() == 16
