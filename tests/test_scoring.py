"""Scoring: streamed and held, one network or several, parts that are missing, bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.features import backbone as backbone_module
from fsgan_bench.features.backbone import Backbone, Features
from fsgan_bench.features.kept import kept_pooled
from fsgan_bench.features.lpips import LpipsNetwork, build_lpips
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics import scorer as scoring
from fsgan_bench.metrics.frechet import FrechetReference, frechet_distance
from fsgan_bench.metrics.intra_lpips import intra_lpips, pairwise_lpips
from fsgan_bench.metrics.metric import NO_REFERENCE, Yardstick
from fsgan_bench.metrics.per_image import ProbeValues
from fsgan_bench.metrics.realisticness import NO_CLASSIFIER
from fsgan_bench.metrics.registry import OURS
from fsgan_bench.metrics.scored import Score
from fsgan_bench.metrics.scorer import Scorer


def pictures(count: int, seed: int, size: int = 64) -> Images:
    """Coarse coloured blocks, no two images alike."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (count, size // 16, size // 16, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


class Brightness:
    """A classifier on pixels, of no trunk."""

    card: Mapping[str, Any] = {"name": "brightness", "backbone": "brightness/1"}

    def scores(self, images: Images) -> NDArray[np.float64]:
        return np.asarray(images.mean(axis=(1, 2, 3)) / 255.0, dtype=np.float64)


class MeanFeature:
    """A classifier on the mean pooled feature of ``lite0``; ``looked`` counts its own passes."""

    card: Mapping[str, Any] = {"name": "mean", "backbone": "in full"}

    def __init__(self, trunk: Backbone) -> None:
        self.backbone, self.trunk, self.looked = trunk, trunk.version, 0

    def scores(self, images: Images) -> NDArray[np.float64]:
        self.looked += 1
        return self.scores_from_features(self.backbone.pooled(images))

    def scores_from_features(self, pooled: Tensor) -> NDArray[np.float64]:
        return np.asarray(pooled.double().mean(1).sigmoid(), dtype=np.float64)


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("lite0")


@pytest.fixture(scope="module")
def squeeze() -> Backbone:
    return LpipsNetwork("squeeze", build_lpips("squeeze", seed=0))


FEW_SHOT, FAKES, REAL = pictures(2, 0), pictures(110, 1), pictures(30, 2)


def scorer(lpips: Backbone, frechet: Backbone) -> Scorer:
    yardstick = Yardstick(
        few_shot=lpips.features(FEW_SHOT).lpips,
        classifier=MeanFeature(load_backbone("lite0")),
        reference=FrechetReference(frechet.pooled(REAL)),
    )
    return Scorer(lpips, frechet, yardstick)


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def assert_equal(ours: list[Score], theirs: list[Score]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.metric, one.n, one.version) == (other.metric, other.n, other.version)
        assert one.value == pytest.approx(other.value, rel=1e-5)
        assert (one.stderr or 0) == pytest.approx(other.stderr or 0, rel=1e-4)
        assert one.detail.get("cluster_sizes") == other.detail.get("cluster_sizes")


@pytest.mark.parametrize("names", [("lite0", "lite0"), ("squeeze", "lite0"), ("lite0", "squeeze")])
def test_streamed_features_and_other_batches_give_the_same_scores(
    names: tuple[str, str], lite0: Backbone, squeeze: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {"lite0": lite0, "squeeze": squeeze}
    made = scorer(*(networks[name] for name in names))
    held = made.score(FAKES).scores
    sizes = by_name(held)["intra_lpips"].detail["cluster_sizes"]
    assert max(sizes) > 50 and sum(sizes) == len(FAKES)
    assert all(score.stderr for score in held[:3])
    monkeypatch.setattr(scoring, "HELD_BYTES", 0)
    assert_equal(made.score(FAKES).scores, held)
    monkeypatch.setattr(backbone_module, "_PIXELS_PER_BATCH_CPU", 7 * 64 * 64)
    assert_equal(made.score(FAKES).scores, held)


def test_features_of_real_images_are_extracted_once(
    lite0: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    expected = lite0.pooled(REAL)
    assert kept_pooled(lite0, REAL, "real").equal(expected)
    assert not kept_pooled(lite0, FAKES[: len(REAL)], "fake").equal(expected)
    monkeypatch.setattr(lite0, "_forward", None)
    assert kept_pooled(lite0, REAL, "real").equal(expected)


def test_scores_are_those_of_the_metrics_on_whole_sets(lite0: Backbone) -> None:
    """With two few-shot images, and one far away that no fake is near."""
    fakes, near = lite0.features(FAKES), lite0.features(FEW_SHOT).lpips
    few_shot = torch.cat([near, near[:1] + 100])
    made = scorer(lite0, lite0)
    made = Scorer(lite0, lite0, replace(made.yardstick, few_shot=few_shot))
    scores = by_name(made.score(FAKES).scores)
    assert list(scores) == ["realisticness", "intra_lpips", "intra_lpips_cdc2021", "fd_lite0"]
    for name, protocol in (("intra_lpips", "exact"), ("intra_lpips_cdc2021", "cdc2021")):
        expected = intra_lpips(fakes.lpips, few_shot, protocol)  # type: ignore[arg-type]
        assert scores[name].value == pytest.approx(expected.value, rel=1e-9)
        detail = scores[name].detail
        assert (detail["cluster_sizes"], detail["empty"]) == (list(expected.cluster_sizes), 1)
        assert detail["with_empty_as_zero"] == pytest.approx(expected.value * 2 / 3, rel=1e-9)
        assert detail["std"] == pytest.approx(expected.std, rel=1e-9)
    distance = frechet_distance(fakes.pooled, lite0.pooled(REAL))
    assert scores["fd_lite0"].value == pytest.approx(distance, rel=1e-9)
    chances = fakes.pooled.double().mean(1).sigmoid()
    assert scores["realisticness"].value == pytest.approx(float(chances.mean()), rel=1e-9)


def test_per_image_values_are_those_that_the_scores_are_made_of(
    lite0: Backbone, squeeze: Backbone, tmp_path: Path
) -> None:
    scored = scorer(squeeze, lite0).score(FAKES)
    scores = by_name(scored.scores)
    assert scored.probe is not None
    scored.probe.save(tmp_path / "probe.npz")
    probe = ProbeValues.load(tmp_path / "probe.npz")
    assert probe.values["realisticness"].mean() == pytest.approx(
        scores["realisticness"].value, abs=1e-3
    )
    sizes = np.bincount(probe.cluster, minlength=len(FEW_SHOT))
    assert sizes.tolist() == scores["intra_lpips"].detail["cluster_sizes"]
    of_pairs = [k for k, size in enumerate(sizes) if size > 1]
    means = [probe.values["intra_lpips"][probe.cluster == k].mean(dtype=float) for k in of_pairs]
    assert np.mean(means) == pytest.approx(scores["intra_lpips"].value, rel=1e-3)
    nearest = pairwise_lpips(squeeze.features(FAKES).lpips, squeeze.features(FEW_SHOT).lpips).min(1)
    assert probe.values["nearest_lpips"] == pytest.approx(nearest.values.numpy(), rel=2e-3)
    versions = {name: scores[name].version for name in probe.values if name in scores}
    assert probe.versions == versions | {"nearest_lpips": squeeze.version}


def test_one_backbone_for_everything_looks_once(
    lite0: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scorer(lite0, lite0)
    seen: list[int] = []
    forward = lite0._forward

    def counted(batch: Tensor) -> Features:
        seen.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(lite0, "_forward", counted)
    made.score(FAKES)
    assert sum(seen) == len(FAKES)


def test_streamed_scoring_makes_the_features_of_an_image_twice(
    squeeze: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to assign it, once for its pairs; the Frechet distance on the same network adds none."""
    few_shot, fakes = pictures(4, 0), pictures(260, 1)
    few = squeeze.features(few_shot).lpips
    reference = FrechetReference(squeeze.pooled(REAL))
    made = Scorer(squeeze, squeeze, Yardstick(few, None, reference))
    held = made.score(fakes).scores
    sizes = by_name(held)["intra_lpips"].detail["cluster_sizes"]
    assert max(sizes) > 50 and any(1 < size <= 50 for size in sizes)
    seen: Counter[bytes] = Counter()
    forward = squeeze._forward

    def counted(batch: Tensor) -> Features:
        seen.update(image.numpy().tobytes() for image in batch)
        return forward(batch)

    monkeypatch.setattr(squeeze, "_forward", counted)
    monkeypatch.setattr(scoring, "HELD_BYTES", 0)
    assert_equal(made.score(fakes).scores, held)
    assert len(seen) == len(fakes) and max(seen.values()) == 2


def test_every_score_names_the_network_that_it_comes_from(
    lite0: Backbone, squeeze: Backbone
) -> None:
    made = scorer(squeeze, squeeze)
    scores = by_name(made.score(FAKES).scores)
    classifier = made.yardstick.classifier
    assert isinstance(classifier, MeanFeature) and classifier.looked == 1
    named = {name: (score.backbone, score.version) for name, score in scores.items()}
    assert named == {
        "realisticness": ("lite0", f"protocol 1, realisticness 1, {lite0.version}"),
        "intra_lpips": ("squeeze", f"protocol 1, intra_lpips 1, {squeeze.version}"),
        "intra_lpips_cdc2021": ("squeeze", f"protocol 1, intra_lpips_cdc2021 1, {squeeze.version}"),
        "fd_squeeze": ("squeeze", f"protocol 1, fd 1, {squeeze.version}"),
    }
    pixels = Yardstick(made.yardstick.few_shot, Brightness(), None)
    score = by_name(Scorer(squeeze, squeeze, pixels).score(FAKES).scores)["realisticness"]
    assert score.backbone == "brightness"
    assert score.version == "protocol 1, realisticness 1, brightness/1"
    assert score.value == pytest.approx(FAKES.mean() / 255)


@pytest.mark.parametrize("names", [("lite0", "lite0"), ("lite0", "squeeze")])
def test_further_images_count_for_the_frechet_distance_alone(
    names: tuple[str, str], lite0: Backbone, squeeze: Backbone
) -> None:
    networks = {"lite0": lite0, "squeeze": squeeze}
    lpips, frechet = (networks[name] for name in names)
    made, more = scorer(lpips, frechet), pictures(40, 3)
    alone, scores = made.score(FAKES).scores, made.score(FAKES, iter([more[:33], more[33:]])).scores
    assert [score.n for score in scores] == [110, 110, 110, 150]
    assert [score.value for score in scores[:3]] == [score.value for score in alone[:3]]
    features = frechet.pooled(np.concatenate([FAKES, more]))
    expected = frechet_distance(features, frechet.pooled(REAL))
    assert scores[3].value == pytest.approx(expected, rel=1e-6)
    assert scores[3].value != pytest.approx(alone[3].value, rel=1e-3)


def test_what_is_missing_is_left_out_and_said(lite0: Backbone) -> None:
    few_shot = lite0.features(FEW_SHOT).lpips

    def further() -> Iterator[Images]:
        raise AssertionError("generated in vain")
        yield

    made = Scorer(lite0, lite0, Yardstick(few_shot, None, None))
    scores = made.score(FAKES, further()).scores
    assert [score.metric for score in scores] == ["intra_lpips", "intra_lpips_cdc2021"]
    assert made.notes == [
        f"realisticness is left out: {NO_CLASSIFIER}.",
        f"fd_lite0 is left out: {NO_REFERENCE}.",
    ]


def test_why_images_cannot_be_scored_is_said(lite0: Backbone) -> None:
    made = scorer(lite0, lite0)
    density, structure = OURS["density"], OURS["structure"]
    known = Scorer(lite0, lite0, replace(made.yardstick, real=lite0.pooled(REAL)))
    assert known.unable(density, 40) is None
    assert known.unable(density, 3) == "it takes 6 images at least, and there are 3"
    alone = Scorer(lite0, lite0, Yardstick(made.yardstick.few_shot, None, None))
    assert alone.unable(OURS["fd"], 40) == NO_REFERENCE
    paired = replace(made.yardstick, source=lambda: FAKES)
    assert Scorer(lite0, lite0, paired).unable(structure, 40, paired=False) == (
        "it takes images of the probe batch, a latent each, in order"
    )


def test_few_references_are_counted_and_warned_of(lite0: Backbone) -> None:
    made = scorer(lite0, lite0)
    assert made.notes == ["fd_lite0 compares with only 30 real images, which biases it upwards."]
    assert by_name(made.score(FAKES).scores)["fd_lite0"].detail == {"references": 30}
    many = FrechetReference(np.random.default_rng(0).normal(size=(1000, 4)))
    yardstick = Yardstick(made.yardstick.few_shot, Brightness(), many)
    assert Scorer(lite0, lite0, yardstick).notes == []


def test_only_inception_makes_a_frechet_distance_fid() -> None:
    names = {
        name: OURS["fd"].stored_as(name)
        for name in ("lite0", "vgg", "inception", "inception_legacy")
    }
    assert names == {
        "lite0": "fd_lite0",
        "vgg": "fd_vgg",
        "inception": "fid",
        "inception_legacy": "fid_legacy",
    }


MEASURE = """
import numpy as np
from fsgan_bench.system.machine import peak_resident
from fsgan_bench.features.lpips import LpipsNetwork, build_lpips
from fsgan_bench.metrics.metric import Yardstick
from fsgan_bench.metrics.scorer import Scorer

backbone = LpipsNetwork("squeeze", build_lpips("squeeze", seed=0))
blocks = np.random.default_rng(0).integers(0, 256, (164, 16, 16, 3), dtype=np.uint8)
images = blocks.repeat(16, axis=1).repeat(16, axis=2)
few_shot = backbone.features(images[:4]).lpips
before = peak_resident()
scores = Scorer(backbone, backbone, Yardstick(few_shot, None, None)).score(images[4:]).scores
assert scores[0].value > 0
print(4 * 160 * few_shot.shape[1], 12 * few_shot.numel(), peak_resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_does_not_grow_with_the_features() -> None:
    process = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    features, bound, grown = map(int, process.stdout.split())
    assert grown < bound + 220e6 < features / 4


def test_a_run_can_measure_the_distance_on_several_networks(
    lite0: Backbone, squeeze: Backbone
) -> None:
    further = pictures(9, 3)
    one, other = scorer(lite0, lite0), scorer(lite0, squeeze)
    assert other.yardstick.reference is not None
    both = Scorer(lite0, lite0, one.yardstick, [(squeeze, other.yardstick)])
    few = "compares with only 30 real images, which biases it upwards."
    assert both.notes == [f"fd_lite0 {few}", f"fd_squeeze {few}"]
    alone = by_name(one.score(FAKES, [further[:4], further[4:]]).scores)
    expected = by_name(other.score(FAKES, [further]).scores)["fd_squeeze"]
    together = by_name(both.score(FAKES, iter([further[:4], further[4:]])).scores)
    assert together.keys() == alone.keys() | {"fd_squeeze"}
    assert together["fd_lite0"].value == pytest.approx(alone["fd_lite0"].value)
    found = together["fd_squeeze"]
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    assert (found.n, found.version, found.backbone) == (119, expected.version, "squeeze")
    assert found.about == expected.about
