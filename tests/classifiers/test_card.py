from __future__ import annotations

import json

import numpy as np
import pytest

from classifiers.base import CONTENT_FREE, Classifier, Scores, check_usable
from classifiers.card import SCRAMBLE_TILES, _probes, _scramble, calibration_error, measure
from classifiers.data import prepare
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError


class Brightness(Classifier):
    """The mean level of an image, as a classifier whose scores can be worked out by hand."""

    def scores(self, images: Images) -> Scores:
        return np.asarray(images.mean(axis=(1, 2, 3)) / 255)


def pages(*levels: int) -> Images:
    return np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def test_the_numbers_of_a_transparent_classifier() -> None:
    target, faces, ink = range(200, 212), range(90, 102), range(150, 162)
    data = prepare(pages(*target), {"faces": pages(*faces), "ink": pages(*ink)}, None, seed=0)
    card = measure(Brightness(), data, seed=0, ideal=lambda images: images + 100)
    assert json.loads(json.dumps(card)) == card
    held_out = card["held_out"]
    assert held_out["accuracy"] == pytest.approx(0.75)
    assert held_out["accuracy_vs_source"] == held_out["auc"] == held_out["auc_vs_source"] == 1
    levels = {g.name: g.held_out[:, 0, 0, 0].astype(np.float64) / 255 for g in data.groups}
    brier = 0.5 * ((1 - levels["target"]) ** 2).mean()
    brier += 0.25 * (levels["faces"] ** 2).mean() + 0.25 * (levels["ink"] ** 2).mean()
    assert held_out["brier"] == pytest.approx(brier, abs=1e-6)
    probes = card["probes"]
    assert probes["white_page"] == 1
    assert probes["grey_page"] == pytest.approx(128 / 255, abs=1e-6)
    assert probes["uniform_noise"] == pytest.approx(0.5, abs=0.02)
    assert probes["gaussian_grey_noise"] == pytest.approx(128 / 255, abs=0.02)
    assert probes["scrambled_target"] == probes["target"] == card["target"]["mean_score"]
    assert probes["grey_source"] == probes["source"] == pytest.approx(levels["faces"].mean(), 1e-4)
    start = levels["faces"].mean()
    expected = [start + alpha * 100 / 255 for alpha in (0, 0.25, 0.5, 0.75, 1)]
    assert card["blend"]["mean_score"] == pytest.approx(expected, abs=1e-5)
    assert card["non_target"]["ink"]["train"] == 9
    assert card["non_target"]["ink"]["weight"] == card["non_target"]["faces"]["weight"] == 0.25


def test_blends_end_in_target_images_where_no_ideal_is_known() -> None:
    data = prepare(pages(*range(200, 212)), {"faces": pages(*range(12))}, None, seed=0)
    blend = measure(Brightness(), data, seed=0, ideal=None)["blend"]
    assert blend["other"] == "a target image"
    assert blend["mean_score"][-1] == pytest.approx(data.target.held_out.mean() / 255, abs=1e-6)


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.05, 0.95, 0.95, 1.0])
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    weights = np.full(4, 0.25)
    assert calibration_error(scores, labels, weights) == pytest.approx(
        0.25 * 0.05 + 0.75 * abs(2.9 / 3 - 2 / 3)
    )
    assert calibration_error(labels, labels, weights) == 0


def test_scrambling_moves_tiles_and_changes_none() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 8, 3), dtype=np.uint8)
    scrambled = _scramble(images, np.random.default_rng(1))
    assert scrambled.shape == (3, 8, 8, 3)

    def tiles(image: Images) -> list[bytes]:
        return [
            image[row : row + 2, column : column + 2].tobytes()
            for row in range(0, 2 * SCRAMBLE_TILES, 2)
            for column in range(0, 2 * SCRAMBLE_TILES, 2)
        ]

    for before, after in zip(images, scrambled, strict=True):
        assert sorted(tiles(before)) == sorted(tiles(after))
        assert tiles(before) != tiles(after)


def test_probes_are_drawn_from_their_seed() -> None:
    images = pages(1, 2)
    first, again, other = (_probes(images, images, seed) for seed in (0, 0, 1))
    assert set(CONTENT_FREE) < set(first)
    for name in first:
        assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first["uniform_noise"], other["uniform_noise"])


def test_a_weak_classifier_is_refused_with_its_numbers() -> None:
    card = {
        "name": "lite0-logistic",
        "held_out": {"accuracy": 0.9},
        "probes": {**dict.fromkeys(CONTENT_FREE, 0.1), "grey_source": 0.9},
    }
    check_usable(card)
    card["held_out"] = {"accuracy": 0.8991}
    with pytest.raises(UserError, match=r"accuracy is 0\.899 .*--allow-weak-classifier"):
        check_usable(card)
    check_usable(card, allow=True)
    card["held_out"] = {"accuracy": 1.0}
    card["probes"] = {**dict.fromkeys(CONTENT_FREE, 0.0), "uniform_noise": 0.372}
    with pytest.raises(UserError, match=r"uniform noise scores 0\.372 \(at most 0\.1"):
        check_usable(card)


def test_the_card_of_the_default_classifier(
    classifier: Classifier, negatives: dict[str, Images]
) -> None:
    card = classifier.card
    classifier.check_usable()
    assert card["name"] == "lite0-logistic"
    assert list(card["non_target"]) == list(negatives)
    assert card["probes"]["target"] > 0.8
    assert card["probes"]["source"] < 0.1
    curve = card["blend"]["mean_score"]
    assert curve == sorted(curve)
    assert card["blend"]["other"] == "the ideal rendering of the same image"
