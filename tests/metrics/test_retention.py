"""Attributes read off pictures, and how many of them an adaptation keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score
from torch import Tensor

from fsgan_bench.data.attributes import ABSENT, attribute_table, attributes_of
from fsgan_bench.data.avatars import draw, get_domain
from fsgan_bench.features.lite0 import Lite0, build_lite0
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics import attribute_heads as reading
from fsgan_bench.metrics.attribute_heads import (
    GRID,
    AttributeHeads,
    HeadsConfig,
    stride_features,
)
from fsgan_bench.metrics.metric import AttributeReaders, Measured, Yardstick
from fsgan_bench.metrics.registry import OURS
from fsgan_bench.metrics.retention import (
    LEVELS,
    CoarseRetention,
    RetentionScore,
    agreement,
    kappa,
    kept,
)
from fsgan_bench.metrics.scorer import Scorer

SIDE = 32
SMALL = HeadsConfig(train=160, held_out=40, max_iterations=60)


@pytest.fixture(scope="module")
def heads(image_cache: object) -> AttributeHeads:
    return reading.attribute_heads(get_domain("faces"), SIDE, SMALL)


def test_kappa_is_cohens() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(-1, 4, (2, 200))
    second[:120] = first[:120]
    assert kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))
    assert agreement(first, second).mean() == pytest.approx(kappa(first, second))


def test_a_part_that_is_there_does_not_stand_for_its_colour() -> None:
    """Beards are kept, their colours drawn anew: of the colour nothing is kept."""
    random = np.random.default_rng(3)
    theirs = np.where(random.random(4000) < 0.5, random.integers(0, 4, 4000), -1)
    ours = np.where(theirs == -1, -1, random.integers(0, 4, 4000))
    assert kappa(ours, theirs) > 0.3
    assert kept(ours, theirs).mean() == pytest.approx(0, abs=0.05)
    assert kept(theirs, theirs).mean() == pytest.approx(1)
    has = theirs != -1
    some = np.where(random.random(4000) < 0.5, theirs, ours)
    each = kept(some, theirs)
    assert each.mean() == pytest.approx(cohen_kappa_score(some[has], theirs[has]))
    alone = agreement(some[has], theirs[has])
    assert each.std() / 4000**0.5 == pytest.approx(alone.std() / has.sum() ** 0.5, rel=1e-6)


def test_constant_readings_say_nothing() -> None:
    ones, varied = np.ones(10, dtype=np.int64), np.arange(10)
    assert kappa(ones, ones) == 0
    assert kappa(ones, varied) == pytest.approx(0)


@pytest.mark.parametrize("side", [32, 64])
def test_stride_features_are_lite0s_own_maps(side: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    rows = Lite0().features(images).lpips
    found = stride_features(rows, side)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        _, maps = build_lite0().forward_intermediates(batch, indices=5)
    assert list(found) == [2, 4, 8, 16, 32]
    for (stride, features), plain in zip(found.items(), maps, strict=True):
        unit = torch.nn.functional.normalize(plain, dim=1)
        cells = min(GRID, side // stride)
        block = unit.shape[2] // cells
        means = unit.unflatten(3, (cells, block)).unflatten(2, (cells, block)).mean(dim=(3, 5))
        np.testing.assert_allclose(features, means.flatten(1).numpy(), atol=1e-5)


def test_rows_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="of lite0"):
        stride_features(torch.zeros(2, 100), SIDE)


def test_heads_read_what_they_have_not_seen(heads: AttributeHeads) -> None:
    domain = get_domain("faces")
    start = reading.TRAIN_START + SMALL.train + SMALL.held_out
    images, truth = draw(domain, start, 60, SIDE), attribute_table(domain, start, 60)
    found = heads.read([Lite0().features(images).lpips], SIDE)
    assert found.shape == truth.shape
    skin = heads.names.index("skin")
    assert kappa(found[:, skin], truth[:, skin]) > 0.5
    assert list(heads.card["attributes"]) == [a.name for a in attributes_of(domain)]


def test_heads_are_kept(heads: AttributeHeads, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise AssertionError("they were trained again")

    monkeypatch.setattr(reading, "_fit", fail)
    reading.attribute_heads.cache_clear()
    again = reading.attribute_heads(get_domain("faces"), SIDE, SMALL)
    assert again.card == heads.card
    rows = torch.rand(5, int(6.875 * SIDE**2), generator=torch.Generator().manual_seed(0))
    assert (again.read([rows], SIDE) == heads.read([rows], SIDE)).all()


def card(kappas: dict[str, float]) -> dict[str, object]:
    return {"attributes": {name: {"kappa": value} for name, value in kappas.items()}}


def measured(ours: np.ndarray, theirs: np.ndarray) -> Measured:
    images = np.zeros((len(ours), 8, 8, 3), dtype=np.uint8)
    return Measured(images, None, {}, torch.empty(0, 1), attributes=(ours, theirs))


def known(target: AttributeHeads, source: AttributeHeads) -> Yardstick:
    return Yardstick(
        few_shot=torch.empty(0, 1),
        classifier=None,
        reference=None,
        attributes=lambda: AttributeReaders(target, source),
    )


def test_retention_leaves_out_what_the_target_does_not_show() -> None:
    names = ("top", "skin", "eyes")
    target = AttributeHeads(names, (), card({"top": 0.9, "skin": 0.1, "eyes": 0.8}))
    source = AttributeHeads(names, (), card({"top": 0.9, "skin": 0.9, "eyes": 0.8}))
    yardstick = known(target, source)
    random = np.random.default_rng(2)
    theirs = random.integers(0, 3, (300, 3))
    ours = theirs.copy()
    ours[:, 2] = random.integers(0, 3, 300)
    value = RetentionScore()(measured(ours, theirs), yardstick)
    expected = [cohen_kappa_score(ours[:, k], theirs[:, k]) for k in (0, 2)]
    assert value.value == pytest.approx(np.mean(expected))
    assert set(value.detail["attributes"]) == {"top", "eyes"}
    assert value.each is not None and value.each.mean() == pytest.approx(value.value)
    assert CoarseRetention()(measured(ours, theirs), yardstick).value == pytest.approx(1)


def test_retention_leaves_out_what_nearly_all_faces_share() -> None:
    names = ("top", "glasses")
    heads = AttributeHeads(names, (), card({"top": 0.9, "glasses": 0.9}))
    yardstick = known(heads, heads)
    theirs = np.stack([np.arange(200) % 5, np.arange(200) < 3], axis=1).astype(np.int64)
    assert RetentionScore()(measured(theirs, theirs), yardstick).detail["ceiling"] == {"top": 0.9}
    theirs[:4, 1] = 1
    theirs[9:, 1] = -1
    assert set(RetentionScore()(measured(theirs, theirs), yardstick).detail["attributes"]) == {
        "top"
    }
    theirs[9:, 1] = 0
    assert set(RetentionScore()(measured(theirs, theirs), yardstick).detail["attributes"]) == {
        "top",
        "glasses",
    }


def test_retention_counts_what_both_kinds_show_and_the_source_has() -> None:
    """The mouth is lost; the eyes are all alike, and so are the few beards; nobody reads a skin."""
    names = ("top", "mouth", "eyes", "beard", "skin")
    shown = dict.fromkeys(names, 0.9)
    target = AttributeHeads(names, (), card({**shown, "top": 0.7, "mouth": 0.6}))
    source = AttributeHeads(names, (), card({**shown, "skin": 0.1}))
    random = np.random.default_rng(4)
    theirs, ours = random.integers(0, 3, (2, 300, 5))
    ours[:200, 0] = theirs[:200, 0]
    ours[random.random(300) < 0.3, 0] = ABSENT
    theirs[random.random(300) < 0.2, 0] = ABSENT
    ours[:, 1], theirs[:, 2], theirs[:, 3] = 1, 1, ABSENT
    theirs[:30, 3] = 2
    value = RetentionScore()(measured(ours, theirs), known(target, source))
    has = theirs[:, 0] != ABSENT
    top = cohen_kappa_score(ours[has, 0], theirs[has, 0])
    assert value.detail["attributes"] == {"top": round(top, 4), "mouth": 0}
    assert value.detail["ceiling"] == {"top": 0.7, "mouth": 0.6}
    assert value.value == pytest.approx(top / 2)
    assert value.each is not None
    assert value.stderr == pytest.approx(value.each.std(ddof=1) / 300**0.5)


class Told(AttributeHeads):
    """Heads that are told what they read, and keep what they look at."""

    def read(self, rows: Iterable[Tensor], side: int) -> NDArray[np.int64]:
        self.__dict__["seen"] = torch.cat(list(rows))
        table: NDArray[np.int64] = self.card["table"]
        return table


def test_scoring_reads_the_adapted_images_and_the_sources_each_by_its_heads() -> None:
    random = np.random.default_rng(5)
    fakes, pictures = random.integers(0, 256, (2, 12, SIDE, SIDE, 3), dtype=np.uint8)
    ours, theirs = random.integers(-1, 3, (2, 12, 1))
    theirs[:6] = ours[:6]
    of = card({"top": 0.9})
    target, source = (Told(("top",), (), {**of, "table": table}) for table in (ours, theirs))
    lite0 = load_backbone("lite0")
    yardstick = replace(
        known(target, source),
        few_shot=lite0.features(fakes[:2]).lpips,
        source=lambda: pictures,
    )
    (score,) = Scorer(lite0, lite0, yardstick).score(fakes, metrics=[RetentionScore()]).scores
    expected = RetentionScore()(measured(ours, theirs), yardstick)
    assert (score.value, score.stderr) == (expected.value, expected.stderr)
    assert 0 < expected.value < 1
    assert expected.value != RetentionScore()(measured(theirs, ours), yardstick).value
    for heads, images in ((target, fakes), (source, pictures)):
        assert torch.equal(vars(heads)["seen"], lite0.features(images).lpips)


def test_every_attribute_has_one_level() -> None:
    listed = [name for level in LEVELS.values() for name in level]
    assert sorted(listed) == sorted(a.name for a in attributes_of(get_domain("faces")))
    assert {f"retention_{level}" for level in LEVELS} < set(OURS)
