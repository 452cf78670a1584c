"""Realisticness classifiers by name: who brings them, and the door they are made through."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from fsgan_bench.errors import UserError, look_up, what_happened, where_raised
from fsgan_bench.metrics.realisticness import checked
from fsgan_bench.plugins import entry_points
from fsgan_bench.plugins.entry_points import Plugin, PluginKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fsgan_bench.features.weights import Weights

    Images = NDArray[np.uint8]
    """As in ``fsgan_bench.data.images``, which loads torch."""

TRIED = 4
"""Target images that a classifier of another package is tried on before anything is scored."""


class TrainedClassifier(Protocol):
    """Tells target from non-target images; what a classifier's factory returns.

    ``card`` is a JSON-ready record of it. Three of its entries are read: ``name``, ``backbone``
    (the network in full, with its version) and ``hash`` (SHA-256 in hex of all that decides it:
    training images, configuration, version). The rest is kept with the results.
    """

    card: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """``card["hash"]``."""

    def scores(self, images: Images) -> NDArray[np.float64]:
        """Probability of the target domain for images uint8 [N, H, W, 3], [N] in [0, 1].

        It must not depend on the other images of the batch.
        """

    def check_usable(self, *, allow: bool = False) -> None:
        """Raise UserError if it is too weak to measure realisticness with; not if ``allow``."""


class ClassifierFactory(Protocol):
    """What an entry point of ``fsgan_bench.classifiers`` names: makes a classifier for a target.

    The top-level package may have a function ``weights(name)`` besides, which returns the
    pretrained ``fsgan_bench.features.weights.Weights`` that the classifier needs.
    """

    def __call__(
        self,
        name: str,
        target_images: Images,
        negatives: Mapping[str, Images],
        *,
        source: str | None,
        ideal: Callable[[Images], Images] | None,
        device: str,
    ) -> TrainedClassifier:
        """The classifier for a target, trained now unless it is kept somewhere.

        Args:
            name: as the suite names it; what follows a colon is the factory's to read.
            target_images: real target images uint8 [N, H, W, 3], in no other use.
            negatives: non-target images by the name of their domain.
            source: which of ``negatives`` the generator was pretrained on; None if none of them.
            ideal: draws source images as the target domain would; None where nobody knows.
            device: ``cpu`` or ``cuda[:N]``.

        Raises:
            UserError: it cannot be made of these images, or by this name.
        """


def _check(loaded: Any, label: str) -> ClassifierFactory:
    if not callable(loaded):
        raise UserError(f"{label} is no function that makes a classifier, but {loaded!r}.")
    factory: ClassifierFactory = loaded
    return factory


CLASSIFIERS: PluginKind[ClassifierFactory] = PluginKind(
    "classifier", "fsgan_bench.classifiers", _check
)


def make_classifier(
    name: str,
    target_images: Images,
    negatives: Mapping[str, Images],
    *,
    source: str | None,
    ideal: Callable[[Images], Images] | None,
    device: str,
) -> TrainedClassifier:
    """The classifier that ``name`` (or its part before a colon) stands for, for a target.

    The arguments are those of :class:`ClassifierFactory`. What another package makes is tried on a
    few of the target images first.

    Raises:
        UserError: there is no such classifier, or it cannot be made; a failure of another package
            with its file and line.
    """
    plugin = _plugin(name)
    factory = plugin.load()
    try:
        classifier = factory(
            name, target_images, negatives, source=source, ideal=ideal, device=device
        )
        if plugin.third_party:
            _try(classifier, target_images[:TRIED])
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if not plugin.third_party:
            raise
        raise UserError(
            f"The classifier '{name}' of {plugin.origin} fails: {plugin.where(error)}: "
            f"{what_happened(error)}."
        ) from error
    return classifier


def _try(classifier: TrainedClassifier, images: Images) -> None:
    """Raise TypeError or ValueError if the classifier does not keep to its protocol."""
    for member in ("card", "hash", "scores", "check_usable"):
        if not hasattr(classifier, member):
            raise TypeError(f"what its factory returns has no '{member}'")
    if missing := [key for key in ("name", "backbone", "hash") if key not in classifier.card]:
        raise ValueError(f"its card lacks {', '.join(missing)}")
    checked(classifier.scores(images), len(images))


def classifier_weights(name: str) -> tuple[Weights, ...]:
    """The pretrained weights of the classifier ``name``, without loading torch for it.

    They are what ``weights(name)`` returns, a function of the top-level package of the factory;
    where there is none, nobody can tell before the classifier is made.

    Raises:
        UserError: there is no such classifier, or its package cannot be imported.
    """
    plugin = _plugin(name)
    package_name = plugin.point.value.partition(":")[0].partition(".")[0]
    try:
        package = importlib.import_module(package_name)
        return tuple(package.weights(name)) if hasattr(package, "weights") else ()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if not plugin.third_party:
            raise
        raise UserError(
            f"The classifier '{name}' of {plugin.origin} cannot be imported: "
            f"{where_raised(error) or plugin.point.value}: {what_happened(error)}."
        ) from error


def _plugin(name: str) -> Plugin[ClassifierFactory]:
    return look_up("classifier", name.partition(":")[0], entry_points.find_plugins(CLASSIFIERS)[0])
