"""RICK: importance by single samples, filters that rest, filters that go, and the contract."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fsgan_bench.contract import Bench, check_method, train
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.training.session import Session
from fsgan_bench_extras.rick import RICK, Filters, RICKConfig, filter_groups, filters_first, select


def start(**settings: Any) -> Session:
    class Asked(RICK):
        tiny = {**RICK.tiny, **settings}

    return Bench(Asked).start()


def rick(session: Session) -> RICK:
    assert isinstance(session.method, RICK)
    return session.method


def masks(session: Session, name: str, side: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = session.method.state_dict()[name][side]
    return found


def test_it_keeps_the_contract() -> None:
    outcomes = list(check_method(RICK))
    assert outcomes
    assert [(o.check, o.problem) for o in outcomes if o.problem] == []


def test_the_defaults_are_the_published_ones() -> None:
    config = RICKConfig()
    assert config.fisher_every == 50 and config.fisher_samples == 10
    assert config.freeze_quantile == 0.75 and config.zero_quantile == 0.001
    assert config.warmup_fraction * 1750 == 250
    assert build_config(RICK, {"freeze_quantile": "0.4"}).freeze_quantile == 0.4


def test_importance_is_the_mean_squared_gradient_of_single_samples() -> None:
    session = start(fisher_samples=3)
    train(session, 3)
    method = rick(session)
    found = method.fisher(session)
    assert session.averaged_discriminator is not None
    generator = copy.deepcopy(session.averaged["generator"]).requires_grad_(True)
    discriminator = copy.deepcopy(session.averaged_discriminator["discriminator"])
    discriminator.requires_grad_(True)
    expected: dict[str, dict[str, Tensor]] = {"generator": {}, "discriminator": {}}
    for index, z in enumerate(method.state_dict()["latents"]):
        for side, network in (("generator", generator), ("discriminator", discriminator)):
            network.zero_grad()
            fake = discriminator(generator(z).image).logits
            if side == "generator":
                loss = F.softplus(-fake).mean()
            else:
                real = discriminator(session.few_shot[index % 10, None]).logits
                loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            loss.backward()
            for name, parameter in network.named_parameters():
                if name.startswith("convs."):
                    assert parameter.grad is not None
                    square = parameter.grad**2 / 3
                    expected[side][name] = expected[side].get(name, 0) + square
    for side, wanted in expected.items():
        assert found[side].keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(
                found[side][name], value, rtol=1e-3, atol=1e-5 * float(value.max())
            )


def test_filters_are_chosen_by_quantiles_of_their_group() -> None:
    """Against percentiles of a plain list of means."""
    dice = torch.Generator().manual_seed(0)
    fisher = {
        "a.weight": torch.rand(1, 5, 3, 2, 2, generator=dice),
        "b.weight": torch.rand(4, 3, generator=dice),
        "b.bias": torch.rand(4, generator=dice),
    }
    group = [Filters("a.weight"), Filters("b.weight", "b.bias")]
    frozen, zeroed = select(group, fisher, RICKConfig(freeze_quantile=0.6, zero_quantile=0.2))
    scores = [float(fisher["a.weight"][0, i].mean()) for i in range(5)]
    scores += [float((fisher["b.weight"][i].mean() + fisher["b.bias"][i]) / 2) for i in range(4)]
    high, low = np.percentile(scores, 60), np.percentile(scores, 20)
    assert frozen["a.weight"].tolist() == [score > high for score in scores[:5]]
    assert zeroed["a.weight"].tolist() == [score <= low for score in scores[:5]]
    for name in ("b.weight", "b.bias"):
        assert frozen[name].tolist() == [score > high for score in scores[5:]]
        assert zeroed[name].tolist() == [score <= low for score in scores[5:]]


def test_the_groups_are_what_the_published_code_ranks() -> None:
    session = start()
    named = {
        "generator": dict(session.generator.named_parameters()),
        "discriminator": dict(session.discriminator.named_parameters()),
    }
    groups = filter_groups(session.generator, session.discriminator)
    for side, group in zip(("generator", "generator", "discriminator"), groups, strict=True):
        for filters in group:
            count = len(filters_first(named[side][filters.weight]))
            assert filters.bias is None or named[side][filters.bias].shape == (count,)
    assert [len(group) for group in groups] == [4, 4, 6]


def test_only_the_last_layers_of_the_discriminator_warm_up() -> None:
    session = start(warmup_fraction=0.5)
    before = copy.deepcopy([session.generator_side, session.discriminator_side])
    logs = train(session, 3)
    assert all("generator/adversarial" not in log for log in logs)
    for old, new in zip(before, (session.generator_side, session.discriminator_side), strict=True):
        state = new.state_dict()
        moved = {n for n, value in old.state_dict().items() if not torch.equal(value, state[n])}
        assert all(name.startswith("discriminator.final") for name in moved)
    assert moved
    assert "generator/adversarial" in train(session, 1)[0]


def test_frozen_filters_rest_and_zeroed_ones_stay_zero() -> None:
    session = start(warmup_fraction=0, freeze_quantile=0.6, zero_quantile=0.1, fisher_every=3)
    train(session, 1)
    sides = {"generator": session.generator, "discriminator": session.discriminator}
    before = {side: copy.deepcopy(network.state_dict()) for side, network in sides.items()}
    first = {side: masks(session, "zeroed", side) for side in sides}
    train(session, 2)
    for side, network in sides.items():
        frozen, zeroed = masks(session, "frozen", side), masks(session, "zeroed", side)
        assert any(mask.any() for mask in frozen.values())
        assert any(mask.any() for mask in zeroed.values())
        for name, parameter in network.named_parameters():
            if name not in frozen:
                continue
            old, new = filters_first(before[side][name]), filters_first(parameter.detach())
            for row in range(len(new)):
                if zeroed[name][row]:
                    assert not new[row].any(), name
                elif frozen[name][row]:
                    assert torch.equal(old[row], new[row]), name
    train(session, 1)  # another choice
    for side in sides:
        later = masks(session, "zeroed", side)
        assert all(bool((later[name] | ~mask).all()) for name, mask in first[side].items())


def test_another_choice_lets_filters_go_again() -> None:
    session = start(warmup_fraction=0, fisher_every=1, freeze_quantile=0.5)
    seen = []
    for _ in range(4):
        train(session, 1)
        seen.append(torch.cat(list(masks(session, "frozen", "discriminator").values())))
    assert any(not torch.equal(seen[0], other) for other in seen[1:])
