"""Backbones: real weights, LPIPS by the definition, batching, and what they refuse."""

from __future__ import annotations

import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torchvision import models

from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone, lpips_vector
from fsgan_bench.features.inception import Inception, InceptionLegacy, build_inception_legacy
from fsgan_bench.features.lite0 import build_lite0
from fsgan_bench.features.lpips import LPIPS_NAMES, LpipsNetwork, build_lpips
from fsgan_bench.features.names import LpipsName
from fsgan_bench.features.networks import BACKBONES, load_backbone
from fsgan_bench.metrics.intra_lpips import pairwise_lpips

Publish = Callable[[str, Path], None]


def pictures(count: int, size: int = 64, seed: int = 0) -> Images:
    """Coloured blocks of different coarseness, with a little noise."""
    generator = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for image in images:
        block = int(generator.choice([4, 8, 16]))
        cells = generator.integers(0, 240, (size // block, size // block, 3))
        image[:] = cells.repeat(block, 0).repeat(block, 1) + generator.integers(0, 16, image.shape)
    return images


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("lite0")


@pytest.fixture(scope="module")
def squeeze() -> LpipsNetwork:
    return LpipsNetwork("squeeze", build_lpips("squeeze", seed=0))


def test_lite0_weights_recognise_photographs() -> None:
    palace, daisy = 698, 985
    photographs = np.stack([photo[:420, 100:520] for photo in load_sample_images().images])
    inputs = nn.functional.interpolate(to_tensor(photographs), 224, mode="area")
    with torch.inference_mode():
        assert build_lite0()(inputs).argmax(1).tolist() == [palace, daisy]


def test_lite0_is_complete_and_frozen() -> None:
    network = build_lite0()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    variances = [v for name, v in network.state_dict().items() if name.endswith("running_var")]
    assert len(variances) == 49
    assert not any(bool((v == 1).all()) for v in variances)


def test_lite0_sizes(lite0: Backbone) -> None:
    features = lite0.features(pictures(3))
    assert features.lpips.shape == (3, 6.875 * 64 * 64)
    assert features.pooled.shape == (3, lite0.pooled_dim)
    assert features.lpips.dtype == features.pooled.dtype == torch.float32
    assert lite0.has_lpips


def test_lite0_lpips_is_the_uncalibrated_form(lite0: Backbone) -> None:
    strides = timm.create_model("tf_efficientnet_lite0", features_only=True, pretrained=False)
    strides.load_state_dict(build_lite0().state_dict(), strict=False)
    strides.eval()
    images = pictures(5)
    with torch.inference_mode():
        maps = [[m.double() for m in strides(x[None])] for x in to_tensor(images)]
    assert [m.shape[-1] for m in maps[0]] == [32, 16, 8, 4, 2]

    def naive(a: list[Tensor], b: list[Tensor]) -> float:
        total = 0.0
        for left, right in zip(a, b, strict=True):
            _, _, height, width = left.shape
            for row in range(height):
                for column in range(width):
                    u, v = left[0, :, row, column], right[0, :, row, column]
                    difference = u / (u.norm() + 1e-10) - v / (v.norm() + 1e-10)
                    total += float(difference.square().sum()) / (height * width)
        return total

    lpips = lite0.features(images).lpips
    for i, j in [(0, 1), (0, 2), (3, 4)]:
        expected = naive(maps[i], maps[j])
        assert expected > 0.1
        assert float((lpips[i] - lpips[j]).square().sum()) == pytest.approx(expected, abs=1e-5)
    assert float(pairwise_lpips(lpips[3:4], lpips[4:])) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", LPIPS_NAMES)
def test_lpips_networks_equal_the_lpips_package(name: LpipsName) -> None:
    model = build_lpips(name, seed=1)
    backbone = LpipsNetwork(name, model)
    images = pictures(4, seed=1)
    features = backbone.features(images)
    with torch.inference_mode():
        expected = model(to_tensor(images[:2]), to_tensor(images[2:])).flatten()
    assert float(expected.min()) > 1e-3
    actual = (features.lpips[:2] - features.lpips[2:]).square().sum(1)
    assert torch.allclose(actual, expected, atol=1e-5, rtol=1e-5)
    assert features.pooled.shape == (4, backbone.pooled_dim)


@pytest.mark.parametrize("fixture", ["lite0", "squeeze"])
def test_results_do_not_depend_on_the_batch_size(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(fixture)
    images = pictures(33)
    whole = backbone.features(images)
    scale = float(whole.pooled.abs().max())
    for batch_size in (1, 7, 33):
        parts = backbone.features(images, batch_size)
        assert torch.allclose(parts.lpips, whole.lpips, atol=1e-6)
        assert torch.allclose(parts.pooled, whole.pooled, atol=1e-5 * scale)
    alone = backbone.features(images[20:21])
    assert torch.allclose(alone.pooled[0], whole.pooled[20], atol=1e-5 * scale)


def test_views_of_the_features_agree(lite0: Backbone) -> None:
    images = pictures(10)
    whole = lite0.features(images, 4)
    batches = list(lite0.batches(images, 4))
    assert [len(part.pooled) for part in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([part.lpips for part in batches]), whole.lpips)
    assert torch.equal(lite0.pooled(images, 4), whole.pooled)


@pytest.mark.parametrize("view", ["features", "pooled"])
def test_pooled_features_can_train_a_head(lite0: Backbone, view: str) -> None:
    images = pictures(2)
    inputs = lite0.features(images).pooled if view == "features" else lite0.pooled(images)
    head = nn.Linear(lite0.pooled_dim, 1)
    head(inputs).sum().backward()
    assert head.weight.grad is not None
    assert torch.allclose(head.weight.grad[0], inputs.sum(0))


def test_versions_name_preprocessing_and_weights(squeeze: LpipsNetwork) -> None:
    other = LpipsNetwork("squeeze", build_lpips("squeeze", seed=2))
    same = LpipsNetwork("squeeze", build_lpips("squeeze", seed=0))
    assert squeeze.version.startswith("squeeze/1 native-size weights-")
    assert squeeze.version == same.version != other.version
    assert load_backbone("lite0").version == "lite0/1 native-size weights-5ddd2127"


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    build_lite0()
    build_lpips("squeeze", seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_load_backbone_makes_one_of_each() -> None:
    assert load_backbone("lite0") is load_backbone("lite0", "cpu")


def test_an_unknown_backbone_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no backbone 'lite'.*squeeze.*Did you mean 'lite0'\?"):
        load_backbone("lite")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vgg", "vgg16-397923af.pth"),
        ("alex", "alexnet-owt-7be5be79.pth"),
        ("squeeze", "squeezenet1_1-b8a52dc0.pth"),
        ("inception", "inception-2015-12-05.pt"),
    ],
)
def test_missing_weights_are_named_with_their_place(name: str, file: str, hub: Path) -> None:
    with pytest.raises(UserError) as error:
        load_backbone(name)
    message = str(error.value)
    assert f"fetch https://{message.split('https://')[1].split(' ')[0]}" in message
    assert f"save it as {hub / file}" in message
    assert set(BACKBONES) == {"lite0", "vgg", "alex", "squeeze", "inception", "inception_legacy"}


def test_trunk_weights_are_read_from_the_cache(hub: Path, publish: Publish) -> None:
    published = models.squeezenet1_1(weights=None).eval()
    torch.save(published.state_dict(), hub / "squeezenet1_1-b8a52dc0.pth")
    publish("squeezenet", hub / "squeezenet1_1-b8a52dc0.pth")
    model = build_lpips("squeeze")
    inputs = to_tensor(pictures(2))
    with torch.inference_mode():
        last = model.get_submodule("net")(inputs)[-1]
        assert torch.equal(last, published.features(inputs))


@pytest.mark.parametrize(("name", "builder"), [("vgg", models.vgg16), ("alex", models.alexnet)])
def test_trunk_names_are_torchvisions(
    name: LpipsName, builder: type[nn.Module], hub: Path, publish: Publish
) -> None:
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in builder().state_dict().items() if "features" in k}
    stored = {key: torch.full(shape, float(i)) for i, (key, shape) in enumerate(shapes.items())}
    file = {"vgg": "vgg16-397923af.pth", "alex": "alexnet-owt-7be5be79.pth"}[name]
    torch.save(stored, hub / file)
    publish({"vgg": "vgg16", "alex": "alexnet"}[name], hub / file)
    loaded = list(build_lpips(name).get_submodule("net").parameters())
    assert [float(p.flatten()[0]) for p in loaded] == [float(i) for i in range(len(stored))]


def test_inception_resizes_as_clean_fid_does() -> None:
    from cleanfid.resize import make_resizer

    layers = models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    layers.fc = nn.Identity()
    backbone = Inception(layers.eval())
    images = pictures(3)
    resize = make_resizer("PIL", False, "bicubic", (299, 299))
    resized = torch.stack([torch.from_numpy(resize(image)) for image in images])
    features = backbone.features(images, 2)
    with torch.inference_mode():
        expected = layers((resized.permute(0, 3, 1, 2) - 128) / 128)
    assert torch.allclose(features.pooled, expected, atol=1e-4 * float(expected.abs().max()))
    assert features.pooled.shape == (3, backbone.pooled_dim)
    assert features.lpips.shape == (3, 0)
    with pytest.raises(ValueError, match="no LPIPS"):
        pairwise_lpips(features.lpips, features.lpips)


def test_inception_layers_are_read_from_the_cache(hub: Path, publish: Publish) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 2048, 13, stride=26), nn.AdaptiveAvgPool2d(1)).eval()
    network = nn.Sequential(OrderedDict(layers=layers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, torch.zeros(1, 3, 299, 299))
        traced.save(hub / "inception-2015-12-05.pt")
        publish("inception", hub / "inception-2015-12-05.pt")
        backbone = Inception()
    images = pictures(3)
    given = Inception(layers).features(images)
    assert torch.allclose(backbone.features(images).pooled, given.pooled, atol=1e-6)
    assert backbone.version == Inception(layers).version


def test_channel_weights_must_not_be_negative() -> None:
    maps = [torch.ones(1, 2, 4, 4)]
    with pytest.raises(ValueError, match="layer 0"):
        lpips_vector(maps, [torch.tensor([1.0, -0.1])])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 64, 64, 3), dtype=np.uint8), "no images"),
        (np.zeros((1, 16, 64, 3), dtype=np.uint8), "at least 32 pixels"),
        (np.zeros((1, 64, 64, 3), dtype=np.float32), "uint8"),
        (np.zeros((1, 3, 64, 64), dtype=np.uint8), r"\[N, H, W, 3\]"),
    ],
)
def test_refuses_what_is_no_stack_of_images(lite0: Backbone, images: Images, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lite0.features(images)
    with pytest.raises(ValueError, match=message):
        lite0.pooled(images)


def test_refuses_a_batch_of_nothing(lite0: Backbone) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        lite0.features(pictures(1), 0)


@pytest.fixture
def legacy_weights(hub: Path, publish: Publish) -> Path:
    """Random weights in a file of the layout, name and place of pytorch-fid's."""
    path = hub / "pt_inception-2015-12-05-6726825d.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layout = models.inception_v3(
            weights=None, num_classes=1008, aux_logits=False, init_weights=False
        )
    torch.save(layout.state_dict(), path)
    publish("inception_legacy", path)
    return path


def test_legacy_inception_equals_pytorch_fid_on_files(legacy_weights: Path, tmp_path: Path) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    backbone = InceptionLegacy()
    images = pictures(3)
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    network = build_inception_legacy(legacy_weights)
    expected = fid_score.get_activations(files, network, 2, 2048, "cpu", num_workers=0)
    features = backbone.features(images)
    scale = float(np.abs(expected).max())
    assert scale > 0 and float(np.ptp(expected, axis=0).max()) > 1e-3 * scale
    assert np.allclose(features.pooled, expected, atol=1e-5 * scale)
    assert features.pooled.shape == (3, backbone.pooled_dim)
    assert features.lpips.shape == (3, 0) and not backbone.has_lpips
    assert float(network.get_parameter("blocks.0.0.conv.weight").flatten()[0]) == float(
        torch.load(legacy_weights)["Conv2d_1a_3x3.conv.weight"].flatten()[0]
    )


def test_legacy_inception_without_its_package_is_one_sentence(
    legacy_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_fid.inception", None)
    with pytest.raises(UserError, match="needs the Python package pytorch-fid"):
        InceptionLegacy()
