"""Realisticness: how much of the target domain a classifier sees in the images."""

from __future__ import annotations

from fsgan_bench.metrics.metric import FeatureClassifier, Measured, Metric, Value, Yardstick

NO_CLASSIFIER = "there are no images of the target, or of anything else, to train a classifier with"


class RealisticnessScore(Metric):
    """``p_t`` (Zhao et al. 2022, Eq. 3): mean probability of the target domain, in [0, 1]."""

    name = "realisticness"
    title = "realisticness p_t"
    short = "p_t"
    version = "1"
    higher_is_better = True
    definition = "mean classifier probability of the target domain (Zhao et al. 2022, Eq. 3)"
    role = "classifier"
    kind = "quality"
    limits = (0.0, 1.0)

    def missing(self, yardstick: Yardstick) -> str | None:
        return (yardstick.no_classifier or NO_CLASSIFIER) if yardstick.classifier is None else None

    def __call__(self, measured: Measured, yardstick: Yardstick) -> Value:
        classifier = yardstick.classifier
        assert classifier is not None
        if isinstance(classifier, FeatureClassifier) and classifier.trunk in measured.pooled:
            scores = classifier.scores_from_features(measured.pooled[classifier.trunk])
        else:
            scores = classifier.scores(measured.images)
        stderr = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
        return Value(float(scores.mean()), len(scores), stderr, each=scores)
