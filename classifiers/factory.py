"""A classifier by name: from the cache, or trained now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from classifiers import FINE_TUNED, cache, full_name
from classifiers.base import VERSION, Classifier, Parameters
from classifiers.card import measure
from classifiers.data import TrainingData, prepare
from classifiers.finetune import FineTuneConfig, FineTuneTrainer
from classifiers.logistic import LogisticConfig, LogisticTrainer
from fsgan_bench import __version__
from fsgan_bench.data.images import Images, set_hash
from fsgan_bench.errors import UserError, suggest
from fsgan_bench.system.json_files import json_hash

Config = LogisticConfig | FineTuneConfig


class Trainer(Protocol):
    """A kind of classifier: ``fit`` finds its parameters, ``build`` makes it from them."""

    backbone_version: str

    @property
    def config(self) -> Any:
        """A dataclass of every setting that changes the result."""

    def fit(self, data: TrainingData, seed: int) -> Parameters: ...

    def build(self, parameters: Parameters) -> Classifier: ...


def get_classifier(
    name: str,
    target_images: Images,
    negatives: Mapping[str, Images],
    seed: int = 0,
    *,
    source: str | None = None,
    ideal: Callable[[Images], Images] | None = None,
    config: Config | None = None,
    device: str = "cpu",
) -> Classifier:
    """The classifier ``name`` for a target, trained unless the cache has it.

    Args:
        name: ``lite0-logistic``, ``timm:MODEL`` to fine-tune a timm network, or ``fine-tuned`` for
            one whose weights come with the package.
        target_images: real target images [N, H, W, 3], in no other use.
        negatives: non-target images [N, H, W, 3] by the name of their domain.
        seed: of the split into training and held-out images, and of fine-tuning.
        source: which of ``negatives`` the generator was pretrained on; by default the first.
        ideal: draws source images as the target domain would, where that is known; for the card.
        config: settings; by default those of the classifier.
        device: ``cpu`` or ``cuda``; the cache does not tell them apart.

    Raises:
        UserError: an unknown name, missing pretrained weights, or unusable images (see
            ``data.prepare``); before any training.
    """
    name = full_name(name)
    trainer = _trainer(name, config, device)
    data = prepare(target_images, negatives, source, seed)
    identity = {
        "name": name,
        "version": VERSION,
        "backbone": trainer.backbone_version,
        "config": asdict(trainer.config),
        "seed": seed,
    }
    digest = _hash(identity, data, ideal)
    stored = cache.load(digest)
    if stored is not None:
        parameters, card = stored
        classifier = trainer.build(parameters)
    else:
        parameters = trainer.fit(data, seed)
        classifier = trainer.build(parameters)
        card = {**identity, "hash": digest, "fsgan_bench": __version__}
        card |= measure(classifier, data, seed, ideal)
        cache.save(digest, parameters, card)
    classifier.card = card
    return classifier


def _trainer(name: str, config: Config | None, device: str) -> Trainer:
    kind, _, model = name.partition(":")
    if name == LogisticTrainer.name and isinstance(config, LogisticConfig | None):
        return LogisticTrainer(config or LogisticConfig(), device)
    if kind == "timm" and model and isinstance(config, FineTuneConfig | None):
        return FineTuneTrainer(model, config or FineTuneConfig(), device)
    if name == LogisticTrainer.name or (kind == "timm" and model):
        raise TypeError(f"{type(config).__name__} is not the config of '{name}'")
    known = (LogisticTrainer.name, "timm:MODEL", FINE_TUNED)
    raise UserError(
        f"There is no classifier '{name}'; known are {', '.join(known)}.{suggest(name, known)}"
    )


def _hash(
    identity: Mapping[str, Any], data: TrainingData, ideal: Callable[[Images], Images] | None
) -> str:
    """SHA-256 (hex) of all that decides the classifier and its card.

    ``ideal`` enters by what it does to some of the source images.
    """
    parts = {
        **identity,
        "sets": [[group.name, group.hash] for group in data.groups],
        "source": data.source,
        "ideal": set_hash(ideal(data.source_group.held_out[:4])) if ideal else None,
    }
    return json_hash(parts)
