from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers import cache, weights
from classifiers.base import Classifier, Parameters
from classifiers.data import TrainingData
from classifiers.factory import get_classifier
from classifiers.finetune import FineTuneConfig
from classifiers.logistic import LogisticConfig, LogisticTrainer
from fsgan_bench.data.filters import grey, pencil
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.features.weights import WEIGHTS
from fsgan_bench.plugins.classifiers import classifier_weights

NAME = "lite0-logistic"
Negatives = dict[str, Images]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every training."""
    fit, done = LogisticTrainer.fit, []

    def counted(self: LogisticTrainer, data: TrainingData, seed: int) -> Parameters:
        done.append(seed)
        return fit(self, data, seed)

    monkeypatch.setattr(LogisticTrainer, "fit", counted)
    return done


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    return tmp_path


def test_a_trained_classifier_comes_from_the_cache(
    classifier: Classifier, sketches: Images, negatives: Negatives, trainings: list[int]
) -> None:
    again = get_classifier(NAME, sketches, negatives, ideal=pencil)
    assert trainings == []
    assert again.hash == classifier.hash
    assert again.card == classifier.card
    assert np.array_equal(again.scores(sketches[:4]), classifier.scores(sketches[:4]))


def test_a_damaged_file_is_trained_again(
    few: tuple[Images, Negatives], trainings: list[int], own_cache: Path
) -> None:
    first = get_classifier(NAME, *few)
    path = cache.folder_of(first.hash) / "classifier.safetensors"
    whole = path.read_bytes()
    assert path.is_relative_to(own_cache)
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    again = get_classifier(NAME, *few)
    assert trainings == [0, 0]
    assert again.card == first.card
    assert path.read_bytes() == whole


Change = Callable[[Images, Negatives], Classifier]

CHANGES: dict[str, Change] = {
    "seed": lambda t, n: get_classifier(NAME, t, n, seed=1, ideal=pencil),
    "config": lambda t, n: get_classifier(NAME, t, n, ideal=pencil, config=LogisticConfig(0.2)),
    "target images": lambda t, n: get_classifier(NAME, t[1:], n, ideal=pencil),
    "non-target images": lambda t, n: get_classifier(
        NAME, t, n | {"ink": n["ink"][::-1]}, ideal=pencil
    ),
    "non-target names": lambda t, n: get_classifier(
        NAME, t, {"faces": n["faces"], "pen": n["ink"]}, ideal=pencil
    ),
    "source": lambda t, n: get_classifier(NAME, t, n, source="ink", ideal=pencil),
    "ideal": lambda t, n: get_classifier(NAME, t, n, ideal=grey),
    "no ideal": lambda t, n: get_classifier(NAME, t, n),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_hash_covers_what_decides_the_classifier(
    change: Change, few: tuple[Images, Negatives]
) -> None:
    hashes = {get_classifier(NAME, *few, ideal=pencil).hash, change(*few).hash}
    assert [len(digest) for digest in hashes] == [64, 64]


@pytest.mark.parametrize("name", ["lite0-logistics", "timm", "timm:", "resnet"])
def test_an_unknown_name_is_an_error(name: str, sketches: Images, negatives: Negatives) -> None:
    with pytest.raises(UserError, match=f"no classifier '{name}'; known are lite0-logistic, timm:"):
        get_classifier(name, sketches, negatives)


def test_a_config_of_another_classifier_is_an_error(sketches: Images, negatives: Negatives) -> None:
    with pytest.raises(TypeError, match="FineTuneConfig is not the config of 'lite0-logistic'"):
        get_classifier(NAME, sketches, negatives, config=FineTuneConfig())


def test_a_word_stands_for_the_network_that_trains_whole(
    sketches: Images, negatives: Negatives
) -> None:
    assert weights("fine-tuned") == weights(NAME) == [WEIGHTS["lite0"]]
    assert classifier_weights("fine-tuned") == (WEIGHTS["lite0"],)
    with pytest.raises(TypeError, match="not the config of 'timm:tf_efficientnet_lite0'"):
        get_classifier("fine-tuned", sketches, negatives, config=LogisticConfig())
