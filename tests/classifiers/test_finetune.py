from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from classifiers.base import TrunkClassifier
from classifiers.data import TrainingData, prepare
from classifiers.factory import get_classifier
from classifiers.finetune import FineTuneConfig, FineTuneTrainer
from classifiers.logistic import LogisticTrainer
from classifiers.pretrained import InputFormat, pretrained_network
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError

LITE0 = "tf_efficientnet_lite0"
SMALL = "mobilenetv3_small_050"
TINY = FineTuneConfig(epochs=1, batch=8)
LONGER = replace(TINY, epochs=8, learning_rate=3e-4)
Negatives = dict[str, Images]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkpoint folder of torch hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def log_loss(trainer: FineTuneTrainer, data: TrainingData) -> float:
    images, labels, weights = data.training_set()
    scores = trainer.build(trainer.fit(data, seed=0)).scores(images)
    return -float(np.average(np.log(np.where(labels == 1, scores, 1 - scores)), weights=weights))


def test_training_goes_on_from_the_best_head(few: tuple[Images, Negatives]) -> None:
    data = prepare(*few, None, seed=0)
    start = FineTuneTrainer(LITE0, replace(TINY, epochs=0), "cpu")
    probe = LogisticTrainer(TINY.head, "cpu")
    scores = start.build(start.fit(data, seed=0)).scores(few[0])
    assert scores == pytest.approx(probe.build(probe.fit(data, seed=0)).scores(few[0]), abs=1e-4)
    trained = FineTuneTrainer(LITE0, LONGER, "cpu")
    assert log_loss(trained, data) < 0.5 * log_loss(start, data)


def test_a_fine_tuned_classifier_by_name(few: tuple[Images, Negatives]) -> None:
    target, negatives = few
    classifier = get_classifier(f"timm:{LITE0}", target, negatives, config=LONGER)
    again = get_classifier(f"timm:{LITE0}", target, negatives, config=LONGER)
    assert not isinstance(classifier, TrunkClassifier)
    scores = classifier.scores(target)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores > 0.5).mean() > 0.9
    assert (classifier.scores(negatives["faces"]) < 0.5).mean() > 0.9
    assert classifier.scores(target[5:6]) == pytest.approx(scores[5:6], abs=1e-5)
    assert np.array_equal(again.scores(target), scores)
    assert again.card == classifier.card
    assert classifier.card["config"]["head"] == {
        "inverse_regularisation": 0.1,
        "max_iterations": 2000,
    }
    with pytest.raises(ValueError, match="no images"):
        classifier.scores(target[:0])


def test_training_depends_on_its_seed_alone(few: tuple[Images, Negatives], hub: Path) -> None:
    hub.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = timm.create_model(SMALL).state_dict()
    save_file(weights, hub / f"{SMALL}.lamb_in1k.safetensors")
    data = prepare(*few, None, seed=0)
    runs = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        runs.append(FineTuneTrainer(SMALL, TINY, "cpu").fit(data, seed))
        assert torch.equal(torch.random.get_rng_state(), before)
    same, other = runs[0].items(), runs[2]
    assert all(np.array_equal(values, runs[1][name]) for name, values in same)
    assert not all(np.array_equal(values, other[name]) for name, values in same)
    stem = runs[0]["conv_stem.weight"] - weights["conv_stem.weight"].numpy()
    assert 0 < np.abs(stem).max() < 0.01


def test_a_trainer_can_train_twice(few: tuple[Images, Negatives]) -> None:
    trainer = FineTuneTrainer(LITE0, TINY, "cpu")
    data = prepare(*few, None, seed=0)
    first, again = trainer.fit(data, 0), trainer.fit(data, 0)
    assert all(np.array_equal(values, again[name]) for name, values in first.items())


def test_missing_weights_are_an_error_before_any_training(
    few: tuple[Images, Negatives], hub: Path
) -> None:
    with pytest.raises(UserError) as caught:
        get_classifier(f"timm:{SMALL}", *few)
    message = str(caught.value)
    assert "https://huggingface.co/timm/mobilenetv3_small_050.lamb_in1k/resolve/main/" in message
    assert str(hub / "mobilenetv3_small_050.lamb_in1k.safetensors") in message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", r"timm has no model 'resnet81'\. Did you mean"),
        ("botnet50ts_256", "no pretrained weights for 'botnet50ts_256'"),
        ("resnet18.in21k", r"no weights 'resnet18\.in21k'; it has .*resnet18\.a1_in1k"),
    ],
)
def test_unknown_models_are_errors(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pretrained_network(name)


def test_networks_see_what_they_were_pretrained_on() -> None:
    batch = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    plain = InputFormat((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), None)
    assert torch.allclose(plain.prepare(batch), batch, atol=1e-6)
    other = InputFormat((0.1, 0.2, 0.3), (0.5, 0.25, 0.125), (16, 12)).prepare(batch)
    assert other.shape == (2, 3, 16, 12)
    white = InputFormat((0.1, 0.2, 0.3), (0.5, 0.25, 0.125), (16, 16)).prepare(
        torch.ones_like(batch)
    )
    assert white[0, :, 0, 0].tolist() == pytest.approx([1.8, 3.2, 5.6], abs=1e-4)


def test_the_shipped_network_has_one_logit_and_trains() -> None:
    network, input_format = pretrained_network(f"{LITE0}.in1k")
    assert input_format == InputFormat((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), None)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 1)
