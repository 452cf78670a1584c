"""What holds each image against the source's of the same latent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fsgan_bench.data.images import Images
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics import scorer as scoring
from fsgan_bench.metrics.correspondence import (
    EDGE_SIGMA,
    edge_maps,
    paired_lpips,
    structural_consistency,
)
from fsgan_bench.metrics.intra_lpips import pairwise_lpips
from fsgan_bench.metrics.metric import Yardstick
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.plugins.metrics import find_metrics


def pictures(count: int, seed: int, size: int = 32) -> Images:
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (count, size // 8, size // 8, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


SOURCE, FAKES, FEW_SHOT = pictures(12, 0), pictures(12, 1), pictures(2, 2)


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("lite0")


def negative(images: Images) -> Images:
    return np.asarray(255 - images, dtype=np.uint8)


def scorer(lite0: Backbone, *, ideal: bool = True) -> Scorer:
    return Scorer(
        lite0,
        lite0,
        Yardstick(
            few_shot=lite0.features(FEW_SHOT).lpips,
            classifier=None,
            reference=None,
            source=lambda: SOURCE,
            ideal=(lambda: negative(SOURCE)) if ideal else None,
        ),
    )


def values(scorer: Scorer, images: Images, paired: bool = True) -> dict[str, float]:
    scores = scorer.score(images, paired=paired).scores
    return {score.metric: score.value for score in scores if score.value is not None}


def test_the_edges_are_those_of_each_image_alone() -> None:
    edges = edge_maps(FAKES)
    for image, found in zip(FAKES, edges, strict=True):
        luma = image.astype(np.float64) @ [0.299, 0.587, 0.114]
        down, across = (gaussian_filter(luma, EDGE_SIGMA, order=o) for o in ((1, 0), (0, 1)))
        np.testing.assert_allclose(found, np.hypot(down, across), rtol=1e-3, atol=1e-2)


def test_structural_consistency_is_the_overlap_of_the_edges() -> None:
    found = structural_consistency(FAKES, SOURCE)
    for i in range(len(FAKES)):
        a, b = (edge_maps(each[i : i + 1]).astype(np.float64).ravel() for each in (FAKES, SOURCE))
        assert found[i] == pytest.approx(2 * (a @ b) / (a @ a + b @ b), rel=1e-5)
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(structural_consistency(SOURCE, FAKES), found)


def test_the_same_edges_are_fully_consistent() -> None:
    np.testing.assert_allclose(structural_consistency(FAKES, FAKES), 1.0)
    # A negative has the same edges, and a blank page none: it agrees with another blank page only.
    np.testing.assert_allclose(structural_consistency(FAKES, negative(FAKES)), 1.0, atol=1e-4)
    blank = np.full_like(FAKES, 200)
    np.testing.assert_allclose(structural_consistency(blank, blank), 1.0)
    np.testing.assert_allclose(structural_consistency(blank, FAKES), 0.0, atol=1e-6)


def test_more_images_than_a_chunk_holds_change_nothing() -> None:
    many = pictures(300, 3)
    found = structural_consistency(many, negative(pictures(300, 4)))
    alone = structural_consistency(many[290:], negative(pictures(300, 4))[290:])
    np.testing.assert_allclose(found[290:], alone, rtol=1e-6)


def test_pairs_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        structural_consistency(FAKES, SOURCE[:3])


def test_lpips_of_pairs_is_the_diagonal_of_that_of_all_pairs(lite0: Backbone) -> None:
    a, b = lite0.features(FAKES).lpips, lite0.features(SOURCE).lpips
    found = paired_lpips(a.split(5), b.split(5))
    np.testing.assert_allclose(found, pairwise_lpips(a, b).diagonal(), rtol=1e-4)


def test_the_ideal_corresponds_and_the_source_is_consistent(lite0: Backbone) -> None:
    made = scorer(lite0)
    assert values(made, negative(SOURCE))["correspondence"] == pytest.approx(0, abs=1e-9)
    assert values(made, SOURCE)["structure"] == 1
    fakes = values(made, FAKES)
    assert fakes["correspondence"] > 0.1
    assert fakes["structure"] == pytest.approx(structural_consistency(FAKES, SOURCE).mean())


def test_streamed_features_give_the_same(lite0: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    held = values(scorer(lite0), FAKES)
    monkeypatch.setattr(scoring, "HELD_BYTES", 0)
    assert values(scorer(lite0), FAKES) == pytest.approx(held, rel=1e-5)


def test_each_image_has_its_own(lite0: Backbone) -> None:
    scored = scorer(lite0).score(FAKES)
    assert scored.probe is not None
    by_name = {score.metric: score for score in scored.scores}
    for name in ("correspondence", "structure"):
        each = scored.probe.values[name]
        assert each.shape == (12,)
        assert by_name[name].value == pytest.approx(float(each.mean()))
        assert scored.probe.versions[name] == by_name[name].version


def test_images_of_no_latent_go_without(lite0: Backbone) -> None:
    found = values(scorer(lite0), pictures(5, 9), paired=False)
    assert found.keys() == {"intra_lpips", "intra_lpips_cdc2021"}


def test_without_an_ideal_there_is_structure_alone(lite0: Backbone) -> None:
    found = values(scorer(lite0, ideal=False), FAKES)
    assert "structure" in found
    assert "correspondence" not in found


def test_directions() -> None:
    metrics, _ = find_metrics()
    assert not metrics["correspondence"].higher_is_better
    assert metrics["structure"].higher_is_better
