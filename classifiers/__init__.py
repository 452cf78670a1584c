"""The realisticness classifier: is an image of the target domain? (Zhao et al. 2022, Eq. 3)

``factory.get_classifier`` is the door; fsgan_bench finds it by the entry-point group
``fsgan_bench.classifiers``.
"""

from __future__ import annotations

from fsgan_bench.features.weights import WEIGHTS, Weights

FINE_TUNED = "fine-tuned"
"""Short for the network that ``lite0-logistic`` leaves frozen, trained whole, as in the paper."""


def full_name(name: str) -> str:
    """The name of a classifier in full."""
    return "timm:tf_efficientnet_lite0" if name == FINE_TUNED else name


def weights(name: str) -> list[Weights]:
    """The pretrained weights that the classifier ``name`` starts from.

    Raises UserError for a timm model that is unknown or has none.
    """
    kind, _, model = full_name(name).partition(":")
    if kind == "timm" and model:
        from classifiers.pretrained import model_weights

        return [model_weights(model)]
    return [WEIGHTS["lite0"]]
