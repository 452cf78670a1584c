from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from classifiers.base import Classifier
from classifiers.data import prepare
from classifiers.logistic import LogisticClassifier, LogisticConfig, LogisticTrainer
from fsgan_bench.data.avatars import draw
from fsgan_bench.data.filters import pencil
from fsgan_bench.data.images import Images
from fsgan_bench.features.networks import load_backbone


def test_new_images_are_told_apart(classifier: Classifier) -> None:
    faces = draw("faces", 400_000, 32)
    assert (classifier.scores(pencil(faces)) > 0.5).mean() >= 0.9
    assert (classifier.scores(faces) < 0.5).mean() >= 0.9


def test_scores_are_probabilities_of_each_image_alone(
    classifier: Classifier, sketches: Images
) -> None:
    scores = classifier.scores(sketches[:6])
    assert scores.shape == (6,)
    assert scores.dtype == np.float64
    assert ((scores > 0) & (scores < 1)).all()
    assert classifier.scores(sketches[4:5]) == pytest.approx(scores[4:5], abs=1e-5)


def test_features_extracted_elsewhere_give_the_same_scores(
    classifier: Classifier, sketches: Images
) -> None:
    assert isinstance(classifier, LogisticClassifier)
    backbone = load_backbone("lite0")
    features = backbone.features(sketches[:6])
    scores = classifier.scores(sketches[:6])
    assert classifier.trunk == backbone.version == classifier.card["backbone"]
    assert np.array_equal(classifier.scores_from_features(features.pooled), scores)
    assert np.array_equal(classifier.scores_from_features(features.pooled.numpy()), scores)
    with pytest.raises(ValueError, match=r"\[N, 1280\] of lite0.* got \[6, 1279\]"):
        classifier.scores_from_features(features.pooled[:, 1:])


def test_the_head_is_the_optimum_of_the_weighted_ridge_problem(
    sketches: Images, negatives: dict[str, Images]
) -> None:
    trainer = LogisticTrainer(LogisticConfig(inverse_regularisation=0.02), "cpu")
    data = prepare(sketches, negatives, "faces", seed=0)
    found = trainer.fit(data, seed=0)
    images, labels, weights = data.training_set()
    features = load_backbone("lite0").pooled(images).double().numpy()
    standardised = (features - found["mean"]) / found["scale"]
    assert np.average(standardised, axis=0, weights=weights) == pytest.approx(0, abs=1e-9)
    assert np.average(standardised**2, axis=0, weights=weights).max() == pytest.approx(1)
    residuals = weights * (expit(standardised @ found["weight"] + found["bias"]) - labels)
    gradient = found["weight"] + 0.02 * standardised.T @ residuals
    assert np.linalg.norm(gradient) < 1e-3 * np.linalg.norm(found["weight"])
    assert abs(residuals.mean()) < 1e-4


def test_a_feature_that_never_varies_does_no_harm(
    sketches: Images, negatives: dict[str, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = LogisticTrainer(LogisticConfig(), "cpu")
    backbone = load_backbone("lite0")

    def with_constant(images: Images) -> torch.Tensor:
        ones = np.ones((len(images), 1))
        return torch.from_numpy(np.concatenate([ones, images[:, 32, 32, :2]], axis=1))

    monkeypatch.setattr(backbone, "pooled", with_constant)
    parameters = trainer.fit(prepare(sketches, negatives, "faces", seed=0), seed=0)
    assert all(np.isfinite(values).all() for values in parameters.values())
    assert parameters["scale"][0] == 1
