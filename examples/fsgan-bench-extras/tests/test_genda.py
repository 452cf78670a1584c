"""GenDA: two light modules on frozen networks, constrained diversity, and the contract."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from fsgan_bench import Streams, UserError
from fsgan_bench.contract import RECIPE, Bench, check_method, train
from fsgan_bench.training.session import Session
from fsgan_bench_extras.genda import Adaptor, GenDA


def start(**settings: Any) -> Session:
    class Asked(GenDA):
        tiny = settings

    return Bench(Asked).start()


def adaptor(session: Session) -> Adaptor:
    module = session.generator_side["adaptor"]
    assert isinstance(module, Adaptor)
    return module


def test_it_keeps_the_contract() -> None:
    outcomes = list(check_method(GenDA))
    assert outcomes
    assert [(o.check, o.problem) for o in outcomes if o.problem] == []


def test_the_two_modules_train_alone() -> None:
    session = start()
    before = copy.deepcopy([session.generator_side, session.discriminator_side])
    train(session, 4)
    moved = set()
    for old, new in zip(before, (session.generator_side, session.discriminator_side), strict=True):
        state = new.state_dict()
        moved |= {n for n, value in old.state_dict().items() if not torch.equal(value, state[n])}
    assert moved == {"adaptor.scale", "adaptor.shift", "classifier.weight", "classifier.bias"}


def test_it_starts_as_the_source() -> None:
    session = start()
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    images = session.method.sample(dict(session.averaged.items()), z)
    torch.testing.assert_close(images, session.source_generator(z).image)
    logits = session.method.judge(session, images)
    torch.testing.assert_close(logits, session.source_discriminator(images).logits)


def test_training_images_are_truncated_and_samples_are_not() -> None:
    session = start(truncation=0.5)
    module = adaptor(session)
    with torch.no_grad():
        module.scale.mul_(1.5)
        module.shift.add_(0.2)
    z = torch.randn(5120, 8, generator=Streams(0)["mean_w"]).to(session.device)
    mean = session.source_generator.style(z).mean(dim=0)
    torch.testing.assert_close(module.mean, mean)
    latents = session.method.latents(session, 4)
    made = session.method.render(session, latents)
    w = session.generator.styles(latents.z, latents.mix, latents.crossover)
    expected = 1.5 * (mean + 0.5 * (w - mean)) + 0.2
    torch.testing.assert_close(made.w, expected)
    z = latents.z
    expected = session.generator.synthesise(1.5 * session.generator.styles(z) + 0.2).image
    modules = dict(session.generator_side.items())
    torch.testing.assert_close(session.method.sample(modules, z), expected)


def test_the_modules_have_their_own_rates() -> None:
    session = start(adaptor_rate=3.0, classifier_rate=0.5)
    for optimizer, factor in (
        (session.generator_optimizer, 3.0),
        (session.discriminator_optimizer, 0.5),
    ):
        usual, own = optimizer.param_groups
        assert own["lr"] == pytest.approx(factor * usual["lr"])
        assert len(own["params"]) == 2


@pytest.mark.parametrize(
    "settings", [{"truncation": 0.0}, {"truncation": 1.5}, {"adaptor_rate": 0.0}]
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError):
        start(**settings)


def test_a_slower_generator_slows_the_adaptor() -> None:
    slow = Bench(GenDA).start(recipe=replace(RECIPE, generator_rate=RECIPE.generator_rate / 10))
    rates = [
        {group["lr"] for group in each.generator_optimizer.param_groups}
        for each in (start(**GenDA.tiny), slow)
    ]
    assert sorted(rates[1]) == pytest.approx([rate / 10 for rate in sorted(rates[0])])
