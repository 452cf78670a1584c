"""What a Frechet distance is to: held-out images, or the whole real set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fsgan_bench.data.images import Images
from fsgan_bench.data.locations import Location
from fsgan_bench.data.targets import FileImages
from fsgan_bench.driver.reference import compared, frechet_reference
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import frechet_distance
from fsgan_bench.suites.model import PAPER


@pytest.fixture
def real(tmp_path: Path) -> Images:
    """Seven images [7, 32, 32, 3] in a folder, of which two are equal."""
    coarse = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    coarse[5] = coarse[2]
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    (tmp_path / "real").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "real" / f"{number}.png")
    return images


@pytest.fixture
def target(tmp_path: Path, real: Images) -> FileImages:
    folder = Location((tmp_path / "real",))
    return FileImages(folder, folder, {}, grey_source=False)


@pytest.fixture
def backbone() -> Backbone:
    return load_backbone("lite0", "cpu")


def test_every_real_image_is_there_once_mirrored_or_not(target: FileImages, real: Images) -> None:
    blocks = target.every_real(32)
    assert blocks is not None
    found = np.concatenate(list(blocks))
    assert len(found) == 7
    mirrored = []
    for image, original in zip(found, real, strict=True):
        upright = np.array_equal(image, original)
        assert upright or np.array_equal(image, original[:, ::-1])
        mirrored.append(not upright)
    assert 0 < sum(mirrored) < 7
    again = target.every_real(32)
    assert again is not None and np.array_equal(np.concatenate(list(again)), found)
    assert replace(target, real=None).every_real(32) is None


def test_the_distance_is_to_the_whole_set_in_the_paper_suites(
    target: FileImages, backbone: Backbone
) -> None:
    assert PAPER.reference == "all"
    blocks = target.every_real(32)
    assert blocks is not None
    features = torch.cat([backbone.pooled(image[None]) for block in blocks for image in block])
    found = frechet_reference(PAPER, target, backbone, features[:3], None, 32)
    assert found is not None and found.count == 7
    fakes = features[:5].flip(1)
    assert found.distance(fakes) == pytest.approx(frechet_distance(fakes, features), rel=1e-3)
    held_out = replace(PAPER, reference="held-out")
    few = frechet_reference(held_out, target, backbone, features[:3], None, 32)
    assert few is not None and few.count == 3
    assert frechet_reference(held_out, target, backbone, None, None, 32) is None

    assert compared(PAPER, PAPER.frechet_backbone, found, 5000, 500) == (
        "compares 5,000 generated images with all 7 real ones, mirrored at random, among them 500 "
        "that taught the classifier, and what is also in the few-shot set"
    )
    assert "among them what is also in the few-shot set" in compared(
        PAPER, PAPER.frechet_backbone, found, 5000, 0
    )
    assert compared(held_out, held_out.frechet_backbone, few, 40, 9) == (
        "compares 40 generated images with 3 held-out real ones"
    )
    assert "all 7 real ones" in compared(PAPER, "lite0", found, 40, 9)
    assert compared(held_out, "lite0", few, 40, 9) == ""
