"""What every method that has a name keeps to, third-party ones included."""

from __future__ import annotations

import copy
import dataclasses
import functools
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fsgan_bench.errors import UserError
from fsgan_bench.registry import build_config, method_entries
from fsgan_bench.session import Session
from fsgan_bench.stylegan2.checkpoint import read_tensors, save_modules
from fsgan_bench.stylegan2.networks import Discriminator, Generator

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]

ENTRIES = method_entries()
ITERATIONS = 6

every_method = pytest.mark.parametrize("name", ENTRIES)
identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)


def state_of(session: Session) -> dict[str, Any]:
    """Copy of the state, without the constants of the optimisers, which may be None."""
    state = copy.deepcopy(session.state_dict())
    for side in ("generator_optimizer", "discriminator_optimizer"):
        state[side] = state[side]["state"]
    return state


def samples(session: Session, modules: Mapping[str, nn.Module]) -> Tensor:
    z = torch.randn(3, session.architecture.style_dim, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return session.method.sample(modules, z)


def test_our_seven_methods_are_registered() -> None:
    own = [name for name, entry in ENTRIES.items() if not entry.third_party]
    assert sorted(own) == ["bsa", "cdc", "dcl", "ewc", "freezed", "minegan", "tgan"]


@every_method
def test_it_says_what_it_is(name: str) -> None:
    method = ENTRIES[name].load()
    assert method.name == name
    for text in (method.title, method.version, method.paper):
        assert isinstance(text, str)
        assert text.strip() == text != ""
    assert dataclasses.is_dataclass(method.Config)
    config = build_config(method, {})
    assert method().config == config
    assert hash(config) == hash(build_config(method, {})), "a config is a value: frozen"


def test_titles_differ() -> None:
    titles = [entry.load().title for entry in ENTRIES.values()]
    assert len(set(titles)) == len(titles)


@every_method
def test_an_unknown_setting_is_refused_with_a_suggestion(name: str) -> None:
    method = ENTRIES[name].load()
    fields = [field.name for field in dataclasses.fields(method.Config)]
    for field in fields:
        with pytest.raises(UserError, match=rf"^{name} has no .*Did you mean '{field}'\?"):
            build_config(method, {field + "e": 1})
    if not fields:
        with pytest.raises(UserError, match=f"^{name} has no setting 'strength'; it has no sett"):
            build_config(method, {"strength": 1})


@every_method
def test_only_what_is_declared_trains(
    start: Start,
    weights: Weights,
    changed: Changed,
    networks: tuple[Generator, Discriminator],
    name: str,
) -> None:
    session = start(name, iterations=ITERATIONS)
    given = [copy.deepcopy(network.state_dict()) for network in networks]
    trained: set[str] = set()
    for _ in range(ITERATIONS):
        sides = {
            "generator_side": session.method.generator_parameters(session),
            "discriminator_side": session.method.discriminator_parameters(session),
        }
        chosen = {side: {id(p) for p in parameters} for side, parameters in sides.items()}
        declared = {
            side: {n for n, p in getattr(session, side).named_parameters() if id(p) in chosen[side]}
            for side in sides
        }
        before = weights(session)
        log = session.method.step(session)
        after = weights(session)
        session.iteration += 1

        assert any(term.startswith(("generator/", "discriminator/")) for term in log)
        assert all(math.isfinite(value) for value in log.values()), log
        moved = {side: changed(before[side], after[side]) for side in before}
        for side in sides:
            assert moved[side] <= declared[side], side
        assert moved["averaged"] <= trained | moved["generator_side"]
        assert not moved["source_generator"] | moved["source_discriminator"]
        trained |= moved["generator_side"]
    assert trained
    for network, state in zip(networks, given, strict=True):
        assert not changed(network.state_dict(), state)
        assert all(p.grad is None for p in network.parameters())


@every_method
def test_the_seed_decides_everything(start: Start, train: Train, name: str) -> None:
    first, second, other = (start(name, seed=seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    logs = train(first, 4)
    torch.manual_seed(6)
    np.random.seed(6)  # noqa: NPY002
    assert train(second, 4) == logs
    identical(state_of(first), state_of(second))
    train(other, 4)
    with pytest.raises(AssertionError):
        identical(state_of(first)["averaged"], state_of(other)["averaged"])


@every_method
def test_draws_from_another_stream_change_nothing(start: Start, train: Train, name: str) -> None:
    plain, disturbed = start(name), start(name, setup=False)
    disturbed.normal("unrelated", 7)
    disturbed.method.setup(disturbed)
    logs = train(plain, 4)
    for log in logs:
        disturbed.normal("unrelated", 7)
        disturbed.streams.integer("also unrelated", 0, 10)
        assert train(disturbed, 1) == [log]
    ours, theirs = state_of(plain), state_of(disturbed)
    assert ours["streams"].keys() < theirs.pop("streams").keys()
    del ours["streams"]
    identical(theirs, ours)


@every_method
def test_interrupted_and_resumed_is_uninterrupted(start: Start, train: Train, name: str) -> None:
    uninterrupted = start(name, iterations=ITERATIONS)
    expected = train(uninterrupted, ITERATIONS)
    session, logs = start(name, iterations=ITERATIONS), []
    for stop in (0, 2, 5):
        logs += train(session, stop - session.iteration)
        file = io.BytesIO()
        torch.save(session.state_dict(), file)
        file.seek(0)
        session = start(name, iterations=ITERATIONS, setup=False)
        session.load_state_dict(torch.load(file, weights_only=True))
        assert session.iteration == stop
    logs += train(session, ITERATIONS - stop)
    assert logs == expected
    identical(state_of(session), state_of(uninterrupted))


@every_method
def test_a_snapshot_holds_the_sampler(
    start: Start, train: Train, tmp_path: Path, name: str
) -> None:
    session = start(name)
    fresh = samples(session, dict(session.averaged.items()))
    train(session, 3)
    images = samples(session, dict(session.averaged.items()))
    assert images.shape == (3, 3, 16, 16)
    assert images.isfinite().all()
    assert not torch.equal(images, fresh)
    identical(samples(session, dict(session.averaged.items())), images)

    save_modules(tmp_path / "snapshot.safetensors", session.averaged, {"iteration": "3"})
    tensors, _ = read_tensors(tmp_path / "snapshot.safetensors")
    another = start(name, seed=1, setup=False)
    another.averaged.load_state_dict(tensors)
    identical(samples(another, dict(another.averaged.items())), images)
