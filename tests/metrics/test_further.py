"""Further metrics against slow and obvious implementations, and their place in the scorer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.intra_lpips import pairwise_lpips
from fsgan_bench.metrics.kernel import kernel_distance
from fsgan_bench.metrics.manifold import Manifolds
from fsgan_bench.metrics.metric import Metric, Value, Yardstick
from fsgan_bench.metrics.registry import EVERY_SNAPSHOT, OURS
from fsgan_bench.metrics.scorer import Scorer
from fsgan_bench.plugins.metrics import choose_metrics, find_metrics


def points(count: int, seed: int, shift: float = 0.0, width: int = 8) -> Tensor:
    return shift + torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def pictures(count: int, seed: int) -> Images:
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


def test_kernel_distance_is_the_unbiased_mmd_over_all_pairs() -> None:
    x, y = points(30, 0), points(20, 1, 0.7)
    within_x, within_y, across = (
        polynomial_kernel(a, b, degree=3, gamma=1 / 8, coef0=1) for a, b in ((x, x), (y, y), (x, y))
    )
    expected = (
        sum(within_x[i, j] for i in range(30) for j in range(30) if i != j) / (30 * 29)
        + sum(within_y[i, j] for i in range(20) for j in range(20) if i != j) / (20 * 19)
        - 2 * across.mean()
    )
    assert kernel_distance(x, y)[0] == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_is_clean_fids() -> None:
    from cleanfid.fid import kernel_distance as published

    x, y = points(50, 0).double(), points(50, 1, 0.5).double()
    expected = published(x.numpy(), y.numpy(), num_subsets=2, max_subset_size=50)
    assert kernel_distance(x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased_and_its_error_is_that_of_fresh_sets() -> None:
    same = [kernel_distance(points(60, 2 * i), points(40, 2 * i + 1))[0] for i in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 300**0.5
    made = [kernel_distance(points(60, 2 * i), points(12, 2 * i + 1, 0.8)) for i in range(300)]
    values, errors = np.array(made).T
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.2)


def test_manifolds_by_explicit_neighbours() -> None:
    real, fake = points(40, 0), points(25, 1, 0.6)
    k = 3

    def radii(features: Tensor) -> list[float]:
        found = NearestNeighbors(n_neighbors=k).fit(features).kneighbors()[0]
        return [float(row[-1]) for row in found]

    real_radii, fake_radii = radii(real), radii(fake)
    inside = [
        [float((r - f).norm()) < radius for f in fake]
        for r, radius in zip(real, real_radii, strict=True)
    ]
    recalled = [
        any(float((r - f).norm()) < radius for f, radius in zip(fake, fake_radii, strict=True))
        for r in real
    ]
    made = Manifolds(real, fake, k)
    columns = list(zip(*inside, strict=True))
    assert made.precision().tolist() == [float(any(column)) for column in columns]
    assert made.density().tolist() == pytest.approx([sum(column) / k for column in columns])
    assert made.recall().tolist() == [float(one) for one in recalled]
    assert made.coverage().tolist() == [float(any(row)) for row in inside]
    assert 0 < made.precision().mean() < 1 and 0 < made.recall().mean() < 1


def test_replayed_images_are_precise_but_cover_and_recall_little() -> None:
    real = points(200, 0)
    replay = Manifolds(real, real[:3].repeat(20, 1) + 1e-6 * points(60, 1))
    assert replay.precision().mean() == 1
    assert replay.recall().mean() < 0.1 and replay.coverage().mean() < 0.2
    with pytest.raises(ValueError, match="more than 5 images"):
        Manifolds(real, real[:5]).recall()


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("lite0")


FEW_SHOT, REAL, HELD_OUT = pictures(3, 0), pictures(40, 2), pictures(30, 4)


@pytest.fixture(scope="module")
def scorer(lite0: Backbone) -> Scorer:
    few_shot = lite0.features(FEW_SHOT).lpips
    real = lite0.pooled(REAL)
    nearest = pairwise_lpips(lite0.features(HELD_OUT).lpips, few_shot).amin(1).numpy()
    yardstick = Yardstick(
        few_shot, None, FrechetReference(real), real=real, real_nearest=lambda: nearest
    )
    return Scorer(lite0, lite0, yardstick)


def test_every_further_metric_scores_and_says_what_it_is(scorer: Scorer, lite0: Backbone) -> None:
    fakes = np.concatenate([pictures(20, 5), REAL[:10]])
    metrics, _ = choose_metrics("kid,prdc,nn_lpips")
    scores = {score.metric: score for score in scorer.score(fakes, metrics=metrics).scores}
    assert list(scores) == ["kid_lite0", "precision", "recall", "density", "coverage", "nn_lpips"]
    pooled = lite0.pooled(fakes)
    expected = kernel_distance(pooled, lite0.pooled(REAL))
    assert (scores["kid_lite0"].value, scores["kid_lite0"].stderr) == pytest.approx(expected)
    assert scores["precision"].value == pytest.approx(
        float(Manifolds(lite0.pooled(REAL), pooled).precision().mean())
    )
    assert scores["kid_lite0"].version == f"protocol 1, kid 1, {lite0.version}"
    assert all(score.stderr is not None and score.stderr >= 0 for score in scores.values())
    assert scores["coverage"].detail == {"references": 40, "neighbours": 5}


def test_memorisation_is_a_distance_in_units_of_real_images(
    scorer: Scorer, lite0: Backbone
) -> None:
    ((metric,), _) = choose_metrics("nn_lpips")

    def scored(images: Images) -> tuple[float, dict[str, float]]:
        (score,) = scorer.score(images, metrics=[metric]).scores
        assert score.value is not None
        return score.value, score.detail

    copies, detail = scored(np.concatenate([FEW_SHOT] * 4))
    assert copies == pytest.approx(0, abs=1e-5) and detail["nearer"] == 1
    held_out, detail = scored(HELD_OUT)
    assert held_out == pytest.approx(1, rel=1e-5) and detail["nearer"] <= 0.1
    fakes = pictures(20, 5)
    few_shot = lite0.features(FEW_SHOT).lpips
    mean, real = (
        float(pairwise_lpips(lite0.features(images).lpips, few_shot).amin(1).mean())
        for images in (fakes, HELD_OUT)
    )
    assert scored(fakes)[0] == pytest.approx(mean / real, rel=1e-5)


def test_only_the_passes_that_a_metric_needs_are_made(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pass(*_: object, **__: object) -> None:
        raise AssertionError("a pass in vain")

    monkeypatch.setattr("fsgan_bench.metrics.scorer.streamed_intra_lpips", no_pass)
    assert scorer.score(pictures(20, 5), metrics=choose_metrics("kid")[0]).probe is None


def test_what_a_target_lacks_is_said(lite0: Backbone) -> None:
    bare = Yardstick(lite0.features(FEW_SHOT).lpips, None, None)
    reasons = {
        metric.name: metric.missing(bare) for metric in choose_metrics("kid,prdc,nn_lpips")[0]
    }
    assert all(reasons.values())
    assert Scorer(lite0, lite0, bare).score(REAL, metrics=choose_metrics("kid")[0]).scores == []


def test_names_are_looked_up() -> None:
    assert [metric.name for metric in choose_metrics("prdc, recall")[0]] == [
        "precision",
        "recall",
        "density",
        "coverage",
    ]
    assert set(EVERY_SNAPSHOT) < set(find_metrics()[0])
    with pytest.raises(UserError, match=r"no metric 'kidd'.*Did you mean 'kid'"):
        choose_metrics("kidd")
    with pytest.raises(UserError, match="names no metric"):
        choose_metrics(" ,")
    for metric in find_metrics()[0].values():
        assert metric.version and metric.definition and metric.__doc__


class Mean(Metric):
    """Mean brightness."""

    name = "brightness"
    title = "brightness"
    version = "1"
    higher_is_better = True
    definition = "mean pixel"
    role = "frechet"

    def __call__(self, measured: object, yardstick: object) -> Value:
        return Value(float(measured.images.mean()), len(measured.images))  # type: ignore[attr-defined]


class Point:
    """An entry point of another package."""

    dist = None
    value = "somebody.metrics:Mean"

    def __init__(self, name: str, load: Callable[[], object]) -> None:
        self.name, self.load = name, load


def broken() -> object:
    raise ImportError("no module named nothing")


def test_metrics_of_other_packages(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(*points: Point) -> None:
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)

    installed(Point("brightness", lambda: Mean))
    (score,) = scorer.score(REAL, metrics=choose_metrics("brightness")[0]).scores
    assert score.value == pytest.approx(REAL.mean())
    for point, message in (
        (Point("kid", lambda: Mean), "already taken by fsgan-bench; rename one of them"),
        (Point("other", lambda: Mean), "calls itself 'brightness'"),
        (Point("other", lambda: Scorer), "not a subclass"),
        (Point("other", broken), "cannot be imported: .*no module named nothing"),
    ):
        installed(point, Point("brightness", lambda: Mean))
        metrics, (reason,) = find_metrics()[0], find_metrics()[1].values()
        assert re.search(message, reason)
        assert {"kid", "brightness"} < set(metrics) and "other" not in metrics
    installed(Point("other", broken), Point("brightness", lambda: Mean))
    (metric,), failures = choose_metrics("brightness,other")
    assert metric.name == "brightness" and len(failures) == 1
    with pytest.raises(UserError, match="no module named nothing"):
        choose_metrics("other")
    with pytest.raises(UserError, match="Did you mean 'brightness'"):
        choose_metrics("brightnes")


class Failing(Mean):
    """A metric that is broken, as one sees when it scores."""

    name = "failing"

    def __call__(self, measured: object, yardstick: object) -> Value:
        raise ZeroDivisionError("no brightness")


class FailingClassifier:
    """One that cannot read these images."""

    def __init__(self) -> None:
        self.card: Mapping[str, Any] = {"name": "theirs", "backbone": "none", "hash": "0"}

    def scores(self, images: Images) -> NDArray[np.float64]:
        raise KeyError("lost")


def test_a_metric_of_others_that_fails_takes_nothing_else_away(scorer: Scorer) -> None:
    scored = scorer.score(REAL, metrics=[Failing(), Mean()])
    assert [score.metric for score in scored.scores] == ["brightness"]
    assert re.fullmatch(
        rf"The metric 'failing' fails: {re.escape(__file__)}, line \d+: "
        r"ZeroDivisionError: no brightness\.",
        scored.broken["failing"],
    )


def test_a_classifier_of_others_that_fails_is_one_sentence(scorer: Scorer) -> None:
    yardstick = replace(scorer.yardstick, classifier=FailingClassifier())
    failing = Scorer(scorer.lpips, scorer.frechet, yardstick)
    with pytest.raises(UserError, match=r"'theirs' fails: .*test_further.py, line \d+: KeyError"):
        failing.score(REAL, metrics=[OURS["realisticness"]])


def test_an_error_of_our_own_is_not_hidden(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Value:
        raise ZeroDivisionError

    monkeypatch.setattr(type(OURS["kid"]), "__call__", fail)
    with pytest.raises(ZeroDivisionError):
        scorer.score(REAL, metrics=[OURS["kid"]])
