"""``lite0-logistic``: a logistic head on the pooled features of the frozen ``lite0`` trunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from classifiers.base import Parameters, Scores, TrunkClassifier
from classifiers.data import TrainingData
from fsgan_bench.data.images import Images
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FeatureArray

TRUNK = "lite0"


@dataclass(frozen=True)
class LogisticConfig:
    """Settings of the head.

    Attributes:
        inverse_regularisation: scikit-learn's C, for standardised features and weights of mean 1.
            0.1 has the lowest mean log loss on held-out images over the eight avatars targets,
            among 0.003, 0.01, 0.03, 0.1, 0.3 and 1. It matters little to how sharply the score
            turns from 0 to 1 between the domains: that depends on the features.
        max_iterations: limit of the solver.
    """

    inverse_regularisation: float = 0.1
    max_iterations: int = 2000


class LogisticClassifier(TrunkClassifier):
    """Logistic regression on standardised features.

    ``parameters`` are float64: ``mean``, ``scale`` and ``weight`` [d], ``bias`` [].
    """

    def __init__(self, parameters: Parameters, backbone: Backbone) -> None:
        self.parameters = parameters
        self.backbone = backbone
        self.trunk = backbone.version

    def scores(self, images: Images) -> Scores:
        return self.scores_from_features(self.backbone.pooled(images))

    def scores_from_features(self, pooled: FeatureArray) -> Scores:
        from scipy.special import expit

        features = torch.as_tensor(pooled).detach().to(device="cpu", dtype=torch.float64).numpy()
        mean = self.parameters["mean"]
        if features.ndim != 2 or features.shape[1] != len(mean):
            raise ValueError(
                f"expected pooled features [N, {len(mean)}] of {self.trunk}, "
                f"got {list(features.shape)}"
            )
        standardised = (features - mean) / self.parameters["scale"]
        logits = standardised @ self.parameters["weight"] + self.parameters["bias"]
        return np.asarray(expit(logits), dtype=np.float64)


class LogisticTrainer:
    """Trains a :class:`LogisticClassifier`."""

    name = "lite0-logistic"

    def __init__(self, config: LogisticConfig, device: str) -> None:
        self.config = config
        self._backbone = load_backbone(TRUNK, device)
        self.backbone_version = self._backbone.version

    def fit(self, data: TrainingData, seed: int) -> Parameters:
        """The head's parameters; the optimum is unique, so ``seed`` only acts through the split."""
        images, labels, weights = data.training_set()
        return fit_head(self._backbone.pooled(images), labels, weights, self.config)

    def build(self, parameters: Parameters) -> LogisticClassifier:
        return LogisticClassifier(parameters, self._backbone)


def fit_head(
    features: FeatureArray,
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    config: LogisticConfig,
) -> Parameters:
    """Weighted logistic regression on features [N, d], labels and weights [N].

    Returns ``mean``, ``scale`` and ``weight`` [d] and ``bias`` [], float64; a feature that never
    varies has the scale 1.
    """
    from sklearn.linear_model import LogisticRegression

    values = torch.as_tensor(features).detach().to(device="cpu", dtype=torch.float64).numpy()
    mean = np.average(values, axis=0, weights=weights)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    scale = np.where(deviation > 0, deviation, 1.0)
    head = LogisticRegression(
        C=config.inverse_regularisation, max_iter=config.max_iterations, tol=1e-6
    )
    head.fit((values - mean) / scale, labels, sample_weight=weights)
    return {
        "mean": mean,
        "scale": scale,
        "weight": np.asarray(head.coef_[0], dtype=np.float64),
        "bias": np.asarray(head.intercept_[0], dtype=np.float64),
    }
