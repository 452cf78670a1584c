from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fsgan_bench.cli.main import main
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import (
    convert,
    load_source,
    save_modules,
    save_rosinality,
    save_source,
)
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.files import file_hash

Pair = tuple[Generator, Discriminator]


def parts(pair: Pair) -> dict[str, Any]:
    """A pair in the published layout, with weights of its own in ``g``."""
    generator, discriminator = pair
    raw = {name: torch.zeros_like(value) for name, value in generator.state_dict().items()}
    return {"g": raw, "g_ema": generator.state_dict(), "d": discriminator.state_dict()}


def assert_same_pair(loaded: Pair, pair: Pair) -> None:
    for ours, theirs in zip(loaded, pair, strict=True):
        assert ours.architecture == theirs.architecture
        expected = theirs.state_dict()
        assert list(ours.state_dict()) == list(expected)
        for name, value in ours.state_dict().items():
            assert torch.equal(value, expected[name]), name


def assert_refused(path: Path, match: str) -> None:
    """Loading raises a UserError that is one sentence, names the file and matches."""
    with pytest.raises(UserError, match=match) as caught:
        load_source(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message.replace(str(path), "")) < 200


def assert_no_pair(path: Path, match: str) -> None:
    """The generator loads alone; asking for the pair says what is missing and what still runs."""
    source = load_source(path)
    assert source.discriminator is None
    with pytest.raises(UserError, match=match) as caught:
        _ = source.pair
    message = str(caught.value)
    assert message.startswith(f"{path} is a generator alone") and "\n" not in message
    assert "run --methods none" in message and "fsgan-bench convert" in message


def test_safetensors_round_trip(tmp_path: Path, networks: Pair) -> None:
    path = tmp_path / "source.safetensors"
    card = {"data": "faces", "seed": 3, "config": {"batch": 4}}
    save_source(path, *networks, card)
    source = load_source(path)
    assert_same_pair(source.pair, networks)
    assert source.card == card
    assert source.hash == file_hash(path)


def test_rosinality_round_trip(tmp_path: Path, networks: Pair) -> None:
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    torch.save(parts(networks), first)
    source = load_source(first)
    assert_same_pair(source.pair, networks)
    assert source.card == {}
    save_rosinality(second, *source.pair)
    again = load_source(second)
    assert_same_pair(again.pair, networks)
    stored = torch.load(second, weights_only=True)
    assert sorted(stored) == ["d", "g", "g_ema"]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_raw_generator_is_read_and_survives_conversion(
    tmp_path: Path, networks: Pair, suffix: str
) -> None:
    first, second = tmp_path / "first.pt", tmp_path / f"second{suffix}"
    torch.save(parts(networks), first)
    convert(first, second)
    for path in (first, second):
        source = load_source(path)
        assert_same_pair(source.pair, networks)
        raw, discriminator = source.start(from_average=False)
        assert discriminator is source.discriminator
        assert not any(value.any() for value in raw.state_dict().values())
        assert source.start(from_average=True) == (source.generator, discriminator)


def test_a_file_of_the_average_alone_says_what_to_do(tmp_path: Path, networks: Pair) -> None:
    path = tmp_path / "source.safetensors"
    save_source(path, *networks, {})
    with pytest.raises(UserError, match="lacks 'raw'") as refusal:
        load_source(path).start(from_average=False)
    assert "start_from_average = true" in str(refusal.value)
    again = tmp_path / "again.safetensors"
    convert(path, tmp_path / "pair.pt")  # where g repeats g_ema
    convert(tmp_path / "pair.pt", again)
    assert load_file(again).keys() == load_file(path).keys()


def test_fixed_noise_that_a_released_file_lacks_is_drawn_from_a_seed(
    tmp_path: Path, networks: Pair
) -> None:
    released = parts(networks)
    for name in ("g", "g_ema"):
        kept = {n: v for n, v in released[name].items() if not n.startswith("noises.")}
        released[name] = kept
    torch.save(released, tmp_path / "source.pt")
    first, second = (load_source(tmp_path / "source.pt").generator for _ in range(2))
    for ours, again, lost in zip(
        first.fixed_noise(), second.fixed_noise(), networks[0].fixed_noise(), strict=True
    ):
        assert torch.equal(ours, again)
        assert ours.shape == lost.shape and not torch.equal(ours, lost)
    assert float(torch.cat([n.flatten() for n in first.fixed_noise()]).std()) > 0.9


@pytest.mark.parametrize("resolution", [8, 32])
def test_architecture_survives_odd_widths(tmp_path: Path, resolution: int) -> None:
    channels = {r: width for r, width in {4: 5, 8: 7, 16: 3, 32: 2}.items() if r <= resolution}
    architecture = Architecture(resolution, style_dim=6, mapping_layers=3, channels=channels)
    path = tmp_path / "odd.safetensors"
    save_source(path, Generator(architecture), Discriminator(architecture), {})
    assert load_source(path).generator.architecture == architecture


def test_loaded_networks_are_frozen(tmp_path: Path, networks: Pair) -> None:
    path = tmp_path / "source.safetensors"
    save_source(path, *networks, {})
    source = load_source(path)
    for network in source.pair:
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_what_a_training_script_stores_beside_the_pair_is_passed_over(
    tmp_path: Path, networks: Pair
) -> None:
    optimizers = {}
    for key, network in zip(("g_optim", "d_optim"), networks, strict=True):
        optimizer = torch.optim.Adam(network.parameters(), lr=0.002, betas=(0.0, 0.99))
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        optimizers[key] = optimizer.state_dict()
    arguments = argparse.Namespace(size=16, batch=4, ckpt=None, path="data", augment=False)
    path = tmp_path / "050000.pt"
    torch.save(
        parts(networks) | optimizers | {"args": arguments, "ada_aug_p": 0.0, "iter": 5}, path
    )
    source = load_source(path)
    assert_same_pair(source.pair, networks)


def test_modules_round_trip(tmp_path: Path, networks: Pair) -> None:
    modules = nn.ModuleDict({"generator": networks[0], "miner": nn.Linear(8, 8)})
    path = tmp_path / "000100.safetensors"
    save_modules(path, modules, {"iteration": 100})
    tensors, card = read_tensors(path)
    assert card == {"iteration": 100}
    assert tensors.keys() == modules.state_dict().keys()
    assert all(torch.equal(tensors[name], value) for name, value in modules.state_dict().items())


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.pt", "There is no model at")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"folder{suffix}"
    path.mkdir()
    assert_refused(path, "is a folder")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".txt"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"hello, world. " * 100, bytes(range(256))])
def test_other_bytes(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"other{suffix}"
    path.write_bytes(content)
    assert_refused(path, "cannot be read as a checkpoint")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_file(tmp_path: Path, networks: Pair, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".pt":
        torch.save(parts(networks), path)
    else:
        save_source(path, *networks, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(path, "cannot be read as a checkpoint")


def test_unreadable_file(tmp_path: Path, networks: Pair) -> None:
    path = tmp_path / "locked.pt"
    torch.save(parts(networks), path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert_refused(path, "cannot be read: Permission denied")


def test_missing_average(tmp_path: Path, networks: Pair) -> None:
    stored = parts(networks)
    del stored["g_ema"]
    path = tmp_path / "half.pt"
    torch.save(stored, path)
    assert_refused(path, "lacks 'g_ema'")


@pytest.mark.parametrize("kept", [("g", "g_ema"), ("g_ema",)])
def test_missing_discriminator(tmp_path: Path, networks: Pair, kept: tuple[str, ...]) -> None:
    path = tmp_path / "half.pt"
    torch.save({name: parts(networks)[name] for name in kept}, path)
    assert_no_pair(path, "lacks 'd', which adaptation needs")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], 5, {}, {"g_ema": 1, "d": None}])
def test_pytorch_file_of_something_else(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    assert_refused(path, "is not a StyleGAN2 checkpoint")


def dcgan(pair: Pair) -> dict[str, Any]:
    other = nn.Sequential(nn.ConvTranspose2d(8, 16, 4), nn.BatchNorm2d(16), nn.Conv2d(16, 3, 3))
    return parts(pair) | {"g_ema": other.state_dict()}


def flat_convolution(pair: Pair) -> dict[str, Any]:
    stored = parts(pair)
    stored["g_ema"]["conv1.conv.weight"] = torch.zeros(3)
    return stored


def no_generator_tensor(pair: Pair) -> dict[str, Any]:
    stored = parts(pair)
    del stored["g_ema"]["convs.0.noise.weight"]
    return stored


def unknown_tensor(pair: Pair) -> dict[str, Any]:
    stored = parts(pair)
    stored["g_ema"]["attention.weight"] = torch.zeros(3)
    return stored


def other_resolution(pair: Pair) -> dict[str, Any]:
    smaller = Discriminator(Architecture(8, 8, 2, {4: 8, 8: 8}))
    return parts(pair) | {"d": smaller.state_dict()}


def other_width(pair: Pair) -> dict[str, Any]:
    wider = Discriminator(Architecture(16, 8, 2, {4: 8, 8: 8, 16: 5}))
    return parts(pair) | {"d": wider.state_dict()}


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (dcgan, "lacks 'conv1.conv.weight'"),
        (flat_convolution, "is not a StyleGAN2 checkpoint"),
        (no_generator_tensor, "lacks 'convs.0.noise.weight'"),
        (unknown_tensor, "'attention.weight'"),
        (other_resolution, "is not a StyleGAN2 checkpoint"),
        (other_width, r"'convs.0.0.weight' has shape \[5, 3, 1, 1\] where \[4, 3, 1, 1\]"),
    ],
)
def test_other_layout(
    tmp_path: Path, networks: Pair, spoil: Callable[[Pair], dict[str, Any]], match: str
) -> None:
    path = tmp_path / "other.pt"
    torch.save(spoil(networks), path)
    assert_refused(path, match)


def test_safetensors_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert_refused(path, "is not a StyleGAN2 checkpoint")


class Touch:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("key", ["g_ema", "d", "g_optim"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, networks: Pair, key: str, zipped: bool) -> None:
    path, mark = tmp_path / "malicious.pt", tmp_path / "ran"
    stored = parts(networks) | {key: Touch(mark)}
    torch.save(stored, path, _use_new_zipfile_serialization=zipped)
    assert_refused(path, r"nothing in it was run: it asks for '\w+\.system'")
    assert not mark.exists()


def test_stored_tensors_are_named_by_network(tmp_path: Path, networks: Pair) -> None:
    path = tmp_path / "source.safetensors"
    save_source(path, *networks, {})
    names: dict[str, Tensor] = load_file(path)
    assert {name.split(".")[0] for name in names} == {"generator", "discriminator"}


@pytest.mark.parametrize("wrapped", ["g_ema", "d", "both"])
def test_names_of_a_data_parallel_wrapper(tmp_path: Path, networks: Pair, wrapped: str) -> None:
    stored = parts(networks)
    for key in ("g_ema", "d") if wrapped == "both" else (wrapped,):
        stored[key] = {f"module.{name}": value for name, value in stored[key].items()}
    path = tmp_path / "parallel.pt"
    torch.save(stored, path)
    source = load_source(path)
    assert_same_pair(source.pair, networks)


def same_parts(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    assert isinstance(one, dict) and isinstance(other, dict)
    return list(one) == list(other) and all(same_parts(one[key], other[key]) for key in one)


@pytest.mark.parametrize("alone", [False, True])
def test_conversion_keeps_every_bit(tmp_path: Path, networks: Pair, alone: bool) -> None:
    first, middle, last = (tmp_path / name for name in ("a.pt", "b.safetensors", "c.pt"))
    state = networks[0].state_dict()
    stored = {"g": state, "g_ema": state} | ({} if alone else {"d": networks[1].state_dict()})
    torch.save(stored, first)
    convert(first, middle)
    convert(middle, last)
    assert same_parts(torch.load(last, weights_only=True), torch.load(first, weights_only=True))
    again = tmp_path / "d.safetensors"
    convert(last, again)
    assert same_parts(dict(load_file(again)), dict(load_file(middle)))
    if alone:
        assert_no_pair(first, "lacks 'd'")
        assert_no_pair(middle, "lacks 'discriminator'")


@pytest.mark.parametrize(
    ("name", "match"),
    [("x.pkl", "not ours to write"), ("x.onnx", "must end in"), ("in.pt", "exists already")],
)
def test_conversion_refused(tmp_path: Path, networks: Pair, name: str, match: str) -> None:
    torch.save(parts(networks), tmp_path / "in.pt")
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "in.pt"), str(tmp_path / name)])
    assert result.exit_code == 2
    assert match in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["in.pt"]


def test_convert_command(tmp_path: Path, networks: Pair) -> None:
    torch.save(parts(networks), tmp_path / "in.pt")
    result = CliRunner().invoke(
        main, ["convert", str(tmp_path / "in.pt"), str(tmp_path / "out.safetensors")]
    )
    assert result.exit_code == 0, result.output
    source = load_source(tmp_path / "out.safetensors")
    assert_same_pair(source.pair, networks)


def left_out(stored: dict[str, Any], *, noises: bool, kernels: bool) -> dict[str, Any]:
    """``stored`` without what published files lack and ``strict=False`` lets pass."""

    def kept(name: str) -> bool:
        return not (noises and name.startswith("noises.")) and not (
            kernels and name.endswith(".kernel")
        )

    networks = ("g", "g_ema", "d")
    return {
        key: {n: v for n, v in value.items() if kept(n)} if key in networks else value
        for key, value in stored.items()
    }


@pytest.mark.parametrize(("noises", "kernels"), [(True, False), (False, True), (True, True)])
def test_noise_and_kernels_may_be_missing(
    tmp_path: Path, networks: Pair, noises: bool, kernels: bool
) -> None:
    path = tmp_path / "550000.pt"
    torch.save(left_out(parts(networks), noises=noises, kernels=kernels), path)
    source = load_source(path)
    [note] = source.notes
    assert ("fixed noise, which is drawn from the seed 0" in note) == noises
    assert ("blur kernels" in note) == kernels
    expected = networks[0].state_dict()
    ours = source.generator.state_dict()
    for name, value in ours.items():
        drawn = noises and name.startswith("noises.")
        assert torch.equal(value, expected[name]) != drawn, name
    torch.manual_seed(5)  # no global state decides
    again = load_source(path).generator.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in ours.items())
    assert source.discriminator is not None
    for name, value in source.discriminator.state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name])


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod.", "module.module."]
)
def test_wrappers_in_any_order(tmp_path: Path, networks: Pair, prefix: str) -> None:
    stored = parts(networks)
    for key in ("g_ema", "d"):
        stored[key] = {prefix + name: value for name, value in stored[key].items()}
    torch.save(stored, tmp_path / "wrapped.pt")
    source = load_source(tmp_path / "wrapped.pt")
    assert_same_pair(source.pair, networks)


def test_numbers_and_paths_beside_the_tensors_do_nothing(tmp_path: Path, networks: Pair) -> None:
    arguments = argparse.Namespace(ckpt=Path("a/b"), lr=np.float64(0.002), sizes=np.arange(3))
    beside = {
        "args": arguments,
        "fid": np.float32(12.5),
        "steps": np.arange(6).reshape(2, 3),
        "mean": np.zeros(3, dtype=np.float16),
        "flags": np.array([True, False]),
        "path": PurePosixPath("x"),
        "iteration": np.int64(7),
    }
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pt"
        torch.save(parts(networks) | beside, path, _use_new_zipfile_serialization=zipped)
        source = load_source(path)
        assert_same_pair(source.pair, networks)


def test_content_decides_and_no_suffix(tmp_path: Path, networks: Pair) -> None:
    """Misnamed and gzipped files."""
    torch.save(parts(networks), tmp_path / "rosinality.pkl")
    torch.save(parts(networks), tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    save_source(tmp_path / "ours.safetensors", *networks, {"title": "x"})
    (tmp_path / "ours.safetensors").rename(tmp_path / "ours.ckpt")
    for path in list(tmp_path.iterdir()):
        packed = path.with_suffix(".pt.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        for each in (path, packed):
            source = load_source(each)
            assert_same_pair(source.pair, networks)
            assert source.card == ({"title": "x"} if "ours" in each.name else {})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"hello", "it is of another format"),
        (b"PK\x03\x04cut", "it is damaged or cut short"),
        (b"\x80\x02}q\x00", "it is damaged or cut short"),
    ],
)
def test_three_causes_have_three_sentences(tmp_path: Path, content: bytes, says: str) -> None:
    for suffix in (".pt", ".pkl", ".safetensors"):
        path = tmp_path / f"other{suffix}"
        path.write_bytes(content)
        assert_refused(path, f"cannot be read as a checkpoint: {says}")


def test_a_tensorflow_pickle_is_named(tmp_path: Path) -> None:
    network = b"cdnnlib.tflib.network\nNetwork\nq\x01)\x81q\x02}q\x03b"
    path = tmp_path / "stylegan2-ffhq-config-f.pkl"
    path.write_bytes(b"\x80\x03" + network + b".")
    with pytest.raises(UserError, match=r"TensorFlow pickle .*legacy\.py .* converts it"):
        load_source(path)


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey images, of 1 channel"), (4, "RGBA")])
def test_models_of_other_channels(tmp_path: Path, networks: Pair, channels: int, kind: str) -> None:
    stored = parts(networks)
    shape = list(stored["g_ema"]["to_rgb1.conv.weight"].shape)
    stored["g_ema"]["to_rgb1.conv.weight"] = torch.zeros(shape[0], channels, *shape[2:])
    torch.save(stored, tmp_path / "other.pt")
    assert_refused(tmp_path / "other.pt", f"{kind}.* and only unconditional models of RGB images")
