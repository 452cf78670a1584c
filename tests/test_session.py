"""One training step after another: reproducible, resumable, and stopped when a loss diverges."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import parametrize

from fsgan_bench.contract.trial import RECIPE, train
from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.states import load_state, save_state
from fsgan_bench.training.method import Diverged, Losses, Method
from fsgan_bench.training.optimisation import minimise
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.state import _moved

MakeSession = Callable[..., Session]


class Plain(Method):
    name = "plain"
    title = "Plain"
    version = "1"
    paper = "none"


@pytest.fixture
def make_session(networks: tuple[Generator, Discriminator], few_shot: Images) -> MakeSession:
    def make(
        recipe: Recipe = RECIPE, seed: int = 0, method: type[Method] = Plain, images: Any = None
    ) -> Session:
        images = few_shot if images is None else images
        return Session(method(), *networks, images, recipe=recipe, seed=seed, iterations=10)

    return make


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested containers, by its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for key, item in enumerate(value):
            yield from leaves(item, f"{name}/{key}")
    else:
        yield name, value


def differences(first: Any, second: Any) -> list[str]:
    """Paths of the leaves that are not equal, bit for bit."""
    ours, theirs = dict(leaves(first)), dict(leaves(second))
    assert ours.keys() == theirs.keys()
    return [
        name
        for name, value in ours.items()
        if not (
            torch.equal(value, theirs[name]) if isinstance(value, Tensor) else value == theirs[name]
        )
    ]


def state_of(session: Session) -> dict[str, Any]:
    return copy.deepcopy(session.state_dict())


def test_both_sides_and_the_average_move(make_session: MakeSession) -> None:
    session = make_session()
    before = state_of(session)
    train(session, 1)
    for side in ("generator_side", "discriminator_side", "averaged"):
        changed = differences(before[side], session.state_dict()[side])
        moving = [name for name in dict(leaves(before[side])) if "noises" not in name]
        assert len(changed) > 0.8 * len([name for name in moving if "kernel" not in name])


def test_the_source_is_left_alone(
    make_session: MakeSession, networks: tuple[Generator, Discriminator]
) -> None:
    session = make_session()
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    train(session, 4)
    sources = (session.source_generator, session.source_discriminator)
    for network, source, state in zip(networks, sources, before, strict=True):
        assert differences(network.state_dict(), state) == []
        assert differences(source.state_dict(), state) == []
        assert not any(p.requires_grad for p in source.parameters())


class Measured(Plain):
    """Leaves a measurement in a buffer and a parameter of an extra module."""

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"scale": nn.BatchNorm1d(2)}

    def setup(self, session: Session) -> None:
        scale = session.generator_side["scale"]
        assert isinstance(scale, nn.BatchNorm1d)
        with torch.no_grad():
            scale.weight.fill_(float(session.few_shot.mean()))
            scale.get_buffer("running_mean").fill_(float(session.few_shot.std()))


def test_averages_start_from_what_the_setup_leaves(make_session: MakeSession) -> None:
    session = make_session(method=Measured)
    session.prepare()
    assert differences(session.averaged.state_dict(), session.generator_side.state_dict()) == []
    state = session.averaged["scale"].state_dict()
    assert float(state["running_mean"][0]) == pytest.approx(float(session.few_shot.std()))
    assert float(state["weight"][0]) == pytest.approx(float(session.few_shot.mean()))


def test_same_seed_same_weights(make_session: MakeSession) -> None:
    first, second, other = make_session(seed=1), make_session(seed=1), make_session(seed=2)
    torch.manual_seed(5)
    first_logs = train(first, 4)
    torch.manual_seed(6)
    np.random.seed(6)  # noqa: NPY002
    assert train(second, 4) == first_logs
    train(other, 4)
    assert differences(first.state_dict(), second.state_dict()) == []
    assert differences(first.state_dict()["averaged"], other.state_dict()["averaged"])


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_interrupted_and_resumed_is_uninterrupted(
    make_session: MakeSession, tmp_path: Path, stop: int
) -> None:
    uninterrupted = make_session()
    logs = train(uninterrupted, 6)

    interrupted = make_session()
    train(interrupted, stop)
    save_state(tmp_path / "state.pt", interrupted.state_dict())
    resumed = make_session()
    train(resumed, 2)  # whatever it was, it is replaced
    resumed.load_state_dict(load_state(tmp_path / "state.pt"))
    assert resumed.iteration == stop
    assert train(resumed, 6 - stop) == logs[stop:]
    assert differences(resumed.state_dict(), uninterrupted.state_dict()) == []


def test_regularisers_run_at_their_periods(make_session: MakeSession) -> None:
    logs = train(make_session(), 7)
    assert [i for i, log in enumerate(logs) if "discriminator/r1" in log] == [0, 2, 4, 6]
    assert [i for i, log in enumerate(logs) if "generator/path_length" in log] == [0, 3, 6]
    for log in logs:
        assert {"discriminator/adversarial", "generator/adversarial"} <= log.keys()
        assert all(math.isfinite(value) for value in log.values())


def test_regularisers_can_be_switched_off(make_session: MakeSession) -> None:
    session = make_session(replace(RECIPE, r1_every=0, path_length_every=0))
    (log,) = train(session, 1)
    assert log.keys() == {"discriminator/adversarial", "generator/adversarial"}
    for optimizer in (session.generator_optimizer, session.discriminator_optimizer):
        assert optimizer.param_groups[0]["lr"] == RECIPE.learning_rate
        assert optimizer.param_groups[0]["betas"] == (0.0, 0.99)


def test_lazy_regularisation_corrects_adam(make_session: MakeSession) -> None:
    session = make_session(Recipe())
    group = session.generator_optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 4 / 5)
    assert group["betas"] == pytest.approx((0, 0.99 ** (4 / 5)))
    group = session.discriminator_optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == pytest.approx((0, 0.99 ** (16 / 17)))


@pytest.mark.parametrize("half_life", [1, 4, 10])
def test_the_average_halves_its_distance_in_a_half_life(
    make_session: MakeSession, half_life: int
) -> None:
    session = make_session(replace(RECIPE, ema_half_life=half_life))
    with torch.no_grad():
        for parameter in session.generator.parameters():
            parameter.fill_(1.0)
        for parameter in session.averaged.parameters():
            parameter.fill_(0.0)
    for expected in (0.5, 0.75, 0.875):
        for _ in range(half_life):
            session.update_average()
        for parameter in session.averaged.parameters():
            torch.testing.assert_close(parameter, torch.full_like(parameter, expected))


def test_the_default_average_is_the_published_one() -> None:
    assert 1 - Recipe().ema_weight == pytest.approx(0.5 ** (32 / 10_000))


def test_real_batches_are_the_few_shot_images(make_session: MakeSession, few_shot: Images) -> None:
    session = make_session(replace(RECIPE, flip=False))
    wanted = to_tensor(few_shot)
    for _ in range(5):
        batch = session.real_batch()
        assert batch.shape == (4, 3, 16, 16)
        assert all(any(torch.equal(image, real) for real in wanted) for image in batch)


def which(batch: Tensor, few_shot: Images) -> list[int]:
    """The index of the few-shot image that each image [N, 3, R, R] of a batch is."""
    wanted = to_tensor(few_shot)
    return [next(i for i, real in enumerate(wanted) if torch.equal(image, real)) for image in batch]


def test_the_images_of_a_batch_are_different_ones(
    make_session: MakeSession, few_shot: Images
) -> None:
    session = make_session(replace(RECIPE, flip=False))
    for _ in range(10):
        drawn = which(torch.cat([session.real_batch(), session.real_batch()]), few_shot)
        assert len(set(drawn)) == 8  # a pass over ten images gives two batches of four


def test_with_fewer_shots_than_the_batch_each_comes_equally_often(
    make_session: MakeSession, few_shot: Images
) -> None:
    session = make_session(replace(RECIPE, flip=False), images=few_shot[:3])
    for _ in range(5):
        drawn = which(session.real_batch(), few_shot[:3])
        assert sorted(map(drawn.count, range(3))) == [1, 1, 2]


def test_images_can_be_drawn_with_replacement(make_session: MakeSession, few_shot: Images) -> None:
    session = make_session(replace(RECIPE, flip=False, distinct_images=False))
    batches = [which(session.real_batch(), few_shot) for _ in range(100)]
    repeating = sum(len(set(drawn)) < 4 for drawn in batches)
    assert 30 < repeating < 70  # 1 - 10 * 9 * 8 * 7 / 10**4 is a half


def test_real_batches_are_flipped_half_of_the_time(
    make_session: MakeSession, few_shot: Images
) -> None:
    session = make_session(replace(RECIPE, batch=400), images=few_shot[:1])
    real = to_tensor(few_shot)[0]
    flipped = sum(torch.equal(image, real.flip(2)) for image in session.real_batch())
    upright = sum(torch.equal(image, real) for image in session.real_batch())
    assert 160 < flipped < 240
    assert 160 < upright < 240


def test_real_batches_are_reproducible(make_session: MakeSession) -> None:
    first, second = make_session(), make_session()
    second.normal("latents", 100)
    for _ in range(3):
        assert torch.equal(first.real_batch(), second.real_batch())


def test_train_only(make_session: MakeSession) -> None:
    session = make_session()
    chosen = [session.generator.conv1.activate.bias, session.generator.input.input]
    session.train_only(session.generator_side, chosen)
    training = [p for p in session.generator_side.parameters() if p.requires_grad]
    assert {id(p) for p in training} == {id(p) for p in chosen}
    session.train_only(session.generator_side, session.generator_side.parameters())
    assert all(p.requires_grad for p in session.generator_side.parameters())


class BiasOnly(Plain):
    """Trains one bias on each side."""

    def generator_parameters(self, session: Session) -> Iterator[nn.Parameter]:
        yield session.generator.conv1.activate.bias

    def discriminator_parameters(self, session: Session) -> Iterator[nn.Parameter]:
        yield session.discriminator.get_parameter("final_linear.1.bias")


def test_only_what_is_declared_trains(make_session: MakeSession) -> None:
    session = make_session(method=BiasOnly)
    before = state_of(session)
    train(session, 4)
    after = session.state_dict()
    moved = differences(before["generator_side"], after["generator_side"])
    assert moved == ["/generator.conv1.activate.bias"]
    assert differences(before["averaged"], after["averaged"]) == moved
    moved = differences(before["discriminator_side"], after["discriminator_side"])
    assert moved == ["/discriminator.final_linear.1.bias"]


def poison(parameter: nn.Parameter, value: float) -> None:
    with torch.no_grad():
        parameter.flatten()[0] = value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("side", "name"),
    [
        ("generator", "style.1.weight"),
        ("generator", "convs.1.conv.weight"),
        ("generator", "to_rgbs.1.bias"),
        ("discriminator", "convs.0.0.weight"),
        ("discriminator", "final_linear.1.bias"),
    ],
)
def test_divergence_stops_before_any_weight_changes(
    make_session: MakeSession, side: str, name: str, value: float
) -> None:
    session = make_session()
    train(session, 1)
    network: nn.Module = getattr(session, side)
    poison(network.get_parameter(name), value)
    before = state_of(session)
    with pytest.raises(Diverged, match="discriminator/adversarial"):
        session.method.step(session)
    after = session.state_dict()
    for part in ("generator_side", "discriminator_side", "averaged"):
        changed = differences(before[part], after[part])
        assert changed in ([], [f"/{side}.{name}"])  # NaN is unequal to itself
    for part in ("generator_optimizer", "discriminator_optimizer"):
        assert differences(before[part], after[part]) == []


class BadTerm(Plain):
    """One term of the generator's loss is not finite."""

    def generator_loss(self, session: Session) -> Losses:
        losses = super().generator_loss(session)
        return losses | {"penalty": losses["adversarial"] * math.inf}


def test_divergence_names_the_term(make_session: MakeSession) -> None:
    session = make_session(method=BadTerm)
    before = state_of(session)
    with pytest.raises(Diverged, match="generator/penalty is inf"):
        session.method.step(session)
    for part in ("generator_side", "averaged", "generator_optimizer"):
        assert differences(before[part], session.state_dict()[part]) == []


def test_a_gradient_that_is_not_finite_is_divergence_too() -> None:
    parameter = nn.Parameter(torch.tensor([0.0, 1.0]))
    optimizer = torch.optim.Adam([parameter])
    length = parameter.square().sqrt().sum()  # finite, but its gradient at 0 is 0 / 0
    with pytest.raises(Diverged):
        minimise("generator", [{"length": length}], optimizer, GradScaler(enabled=False))
    assert parameter.tolist() == [0.0, 1.0]


def losses_by_turns(weights: nn.ParameterList, turn: int) -> Losses:
    """The first weight counts always, the second in every fourth turn, the last never."""
    first = (weights[0] * (1 + turn % 3)).square().sum()
    return {"all": first + weights[1].pow(4).sum()} if turn % 4 == 0 else {"first": first}


@pytest.mark.parametrize("zero_idle", [True, False])
def test_idle_weights_take_their_steps_as_in_the_torch_of_the_time(zero_idle: bool) -> None:
    """Against Adam written out, whose gradients stay as zeros once they are there, or go."""
    ours = nn.ParameterList([torch.full((2,), value) for value in (1.0, 2.0, 3.0)])
    optimizer = torch.optim.Adam(ours.parameters(), 0.1, (0.0, 0.9))
    theirs = [weight.detach().double().numpy().copy() for weight in ours]
    squares, steps = [np.zeros(2) for _ in ours], [0, 0, 0]
    for turn in range(9):
        slopes = [2 * theirs[0] * (1 + turn % 3) ** 2, 4 * theirs[1] ** 3]
        for i, slope in enumerate(slopes):
            if i == 1 and turn % 4:
                if not zero_idle:
                    continue
                slope = np.zeros(2)
            steps[i] += 1
            squares[i] = 0.9 * squares[i] + 0.1 * slope**2
            scale = np.sqrt(squares[i] / (1 - 0.9 ** steps[i])) + 1e-8
            theirs[i] = theirs[i] - 0.1 * slope / scale
        minimise(
            "generator",
            [losses_by_turns(ours, turn)],
            optimizer,
            GradScaler(enabled=False),
            zero_idle=zero_idle,
        )
        for weight, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(weight.detach(), expected, rtol=1e-5)
    assert ours[2] not in optimizer.state


def test_a_weight_that_does_not_train_gets_no_gradient_of_zero() -> None:
    weights = nn.ParameterList([torch.ones(1), torch.ones(1), torch.ones(1)])
    optimizer = torch.optim.Adam(weights.parameters(), 0.1, (0.0, 0.9))
    for turn in range(3):
        weights[1].requires_grad_(turn == 0)
        terms = losses_by_turns(weights, turn)
        minimise("generator", [terms], optimizer, GradScaler(enabled=False), zero_idle=True)
    assert int(optimizer.state[weights[0]]["step"]) == 3
    assert int(optimizer.state[weights[1]]["step"]) == 1


def test_the_recipe_says_what_idle_weights_do(make_session: MakeSession) -> None:
    """The last toRGB's bias has no part in path lengths, which run in the first iteration."""
    steps = {}
    for zero in (True, False):
        session = make_session(replace(RECIPE, zero_idle_gradients=zero))
        train(session, 1)
        state = session.generator_optimizer.state
        steps[zero] = int(state[session.generator.get_parameter("to_rgbs.1.bias")]["step"])
        assert int(state[session.generator.get_parameter("style.1.weight")]["step"]) == 2
    assert steps == {True: 2, False: 1}


@pytest.mark.parametrize("trains", [True, False])
def test_the_recipe_says_whether_noise_strengths_train(
    make_session: MakeSession, trains: bool
) -> None:
    session = make_session(replace(RECIPE, train_noise=trains))
    assert len(session.generator.noise_strengths()) == session.generator.n_features
    train(session, 2)
    moved = [bool(strength.any()) for strength in session.generator.noise_strengths()]
    assert moved == [trains] * len(moved)


FACTOR = "generator.conv1.conv.parametrizations.weight.0.factor"


class Scaling(nn.Module):
    """A trained factor on a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(1 + 0.1 * torch.rand(()))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factor


class Parametrised(Plain):
    """Trains nothing but a factor on the weight of one layer of each network."""

    def prepare_networks(self, session: Session) -> None:
        for layer in (session.generator.conv1.conv, session.discriminator.final_conv[0]):
            parametrize.register_parametrization(layer, "weight", Scaling())

    def generator_parameters(self, session: Session) -> Iterator[nn.Parameter]:
        return (p for n, p in session.generator_side.named_parameters() if "factor" in n)

    def discriminator_parameters(self, session: Session) -> Iterator[nn.Parameter]:
        return (p for n, p in session.discriminator_side.named_parameters() if "factor" in n)


def test_what_a_method_does_to_the_networks_is_trained_averaged_and_stored(
    make_session: MakeSession,
) -> None:
    session = make_session(method=Parametrised)
    plain = make_session()
    drawn = session.averaged.get_parameter(FACTOR)
    assert 1 < float(drawn) < 1.1
    weight = plain.generator.conv1.conv.weight
    averaged: Generator = session.averaged["generator"]  # type: ignore[assignment]
    torch.testing.assert_close(averaged.conv1.conv.weight, weight * drawn)
    before = copy.deepcopy([session.generator_side, session.discriminator_side, session.averaged])
    train(session, 2)
    sides = (session.generator_side, session.discriminator_side, session.averaged)
    for old, new in zip(before, sides, strict=True):
        state = new.state_dict()
        changed = {n for n, value in old.state_dict().items() if not torch.equal(value, state[n])}
        assert len(changed) == 1 and changed.pop().endswith("parametrizations.weight.0.factor")
    source = session.source_generator.state_dict()
    torch.testing.assert_close(source, plain.source_generator.state_dict(), rtol=0, atol=0)
    resumed = make_session(seed=1, method=Parametrised)
    resumed.load_state_dict(copy.deepcopy(session.state_dict()))
    assert train(resumed, 2) == train(session, 2)


def test_a_seed_decides_what_is_added_to_the_networks(make_session: MakeSession) -> None:
    factors = [
        float(make_session(seed=seed, method=Parametrised).averaged.get_parameter(FACTOR))
        for seed in (0, 0, 1)
    ]
    assert factors[0] == factors[1] != factors[2]


@pytest.fixture
def average(networks: tuple[Generator, Discriminator]) -> Generator:
    """An average that differs from the generator in every tensor."""
    other = copy.deepcopy(networks[0])
    with torch.no_grad():
        for value in other.state_dict().values():
            value.mul_(1.5).add_(0.1)
    return other


@pytest.mark.parametrize("method", [Plain, Parametrised])
def test_averages_start_from_the_average_where_the_generator_does_not(
    networks: tuple[Generator, Discriminator],
    average: Generator,
    few_shot: Images,
    method: type[Method],
) -> None:
    options: dict[str, Any] = {"recipe": RECIPE, "seed": 0, "iterations": 4}
    session = Session(method(), *networks, few_shot, **options, average=average)
    session.prepare()
    for source in (session.source_generator, networks[0]):
        assert differences(source.state_dict(), networks[0].state_dict()) == []
    expected = average.state_dict()
    averaged = session.averaged["generator"].state_dict()
    if method is Parametrised:
        expected["conv1.conv.parametrizations.weight.original"] = expected.pop("conv1.conv.weight")
        expected[FACTOR.removeprefix("generator.")] = averaged[FACTOR.removeprefix("generator.")]
    assert differences(dict(sorted(averaged.items())), dict(sorted(expected.items()))) == []
    train(session, 1)
    plain = Session(method(), *networks, few_shot, **options)
    plain.prepare()
    train(plain, 1)
    sides = [s.generator_side.state_dict() for s in (session, plain)]
    assert differences(*sides) == []


class Steadied(Plain):
    """Averages the discriminator, which has an extra module."""

    averages_discriminator = True

    def discriminator_modules(self, session: Session) -> dict[str, nn.Module]:
        return {"extra": nn.Linear(2, 2)}


def test_a_method_can_have_an_average_of_its_discriminator(make_session: MakeSession) -> None:
    session = make_session(method=Steadied)
    session.prepare()
    assert session.averaged_discriminator is not None
    expected = {n: p.detach().clone() for n, p in session.discriminator_side.named_parameters()}
    for _ in range(3):
        train(session, 1)
        for name, parameter in session.discriminator_side.named_parameters():
            weight = 1 - 0.5 ** (1 / RECIPE.ema_half_life)
            expected[name] = (1 - weight) * expected[name] + weight * parameter.detach()
    found = dict(session.averaged_discriminator.named_parameters())
    torch.testing.assert_close({n: p.detach() for n, p in found.items()}, expected)
    resumed = make_session(method=Steadied, seed=1)
    resumed.load_state_dict(copy.deepcopy(session.state_dict()))
    assert differences(resumed.state_dict(), session.state_dict()) == []
    assert train(resumed, 2) == train(session, 2)
    assert differences(resumed.state_dict(), session.state_dict()) == []
    assert make_session().averaged_discriminator is None


class TwoRates(Plain):
    """The generator's constant has a rate and betas of its own."""

    def generator_groups(self, session: Session) -> list[dict[str, Any]]:
        constant = session.generator.input.input
        others = [p for p in session.generator.parameters() if p is not constant]
        return [{"params": others}, {"params": [constant], "lr": 0.5, "betas": (0.0, 0.9)}]


def test_the_generator_may_be_slower_than_the_discriminator(make_session: MakeSession) -> None:
    plain, slow = make_session(RECIPE), make_session(replace(RECIPE, generator_rate=0.1))
    rates = [
        [
            optimizer.param_groups[0]["lr"]
            for optimizer in (s.generator_optimizer, s.discriminator_optimizer)
        ]
        for s in (plain, slow)
    ]
    assert rates[1] == [pytest.approx(0.1 * rates[0][0]), rates[0][1]]


def test_groups_may_have_their_own_rate(make_session: MakeSession) -> None:
    session = make_session(method=TwoRates)
    before = session.generator.input.input.detach().clone()
    train(session, 2)
    state = session.generator_optimizer.state[session.generator.input.input]
    assert int(state["step"]) == 3  # path lengths ran in the first iteration
    moved = (session.generator.input.input.detach() - before).abs()
    assert moved.max() > 0.4
    usual, own = session.generator_optimizer.param_groups
    assert (usual["lr"], usual["betas"]) == RECIPE.adam(RECIPE.path_length_every)
    assert (own["lr"], own["betas"]) == (0.5, (0.0, 0.9))
    resumed = make_session(method=TwoRates, seed=1)
    resumed.load_state_dict(copy.deepcopy(session.state_dict()))
    assert train(resumed, 2) == train(session, 2)


class HalfGrouped(Plain):
    def discriminator_groups(self, session: Session) -> list[dict[str, Any]]:
        return [{"params": session.discriminator.convs.parameters()}]


def test_groups_that_leave_parameters_out_are_refused(make_session: MakeSession) -> None:
    with pytest.raises(ValueError, match="every parameter of the side once"):
        make_session(method=HalfGrouped)


def test_the_state_of_a_method_moves_in_any_plain_container() -> None:
    state = {"pools": [torch.zeros(1), (torch.ones(2), 3)], "count": 4}
    moved = _moved(state, torch.device("meta"))
    assert moved["count"] == 4 and moved["pools"][1][1] == 3
    assert moved["pools"][0].is_meta and moved["pools"][1][0].is_meta
    assert isinstance(moved["pools"][1], tuple)
