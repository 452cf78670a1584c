"""The checks of a method's contract, each on sessions of its own with tiny networks."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fsgan_bench.contract.trial import (
    ITERATIONS,
    RECIPE,
    Bench,
    changed,
    differences,
    samples,
    state_of,
    tensor_copies,
    train,
)
from fsgan_bench.contract.violation import Violation, first_of, require, require_same
from fsgan_bench.errors import UserError, suggest
from fsgan_bench.plugins.method_files import check_class
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.session import Session

LOSS_ROUNDING = 0.01
"""Share of a loss by which micro-batches may miss it. Rounding makes 1e-5 of it, another draw of
the images a sixth in the tests. Losses of about zero, as CDC's distance at first, have 1e-4."""

STEP_ROUNDING = 0.05
"""Share of the way of the weights by which micro-batches may miss it. Rounding makes 5e-5 of it, a
loss that compares images a sixth in the tests. Adam divides by gradients, so that the rounding of
one that is all but zero counts in full; hence more than for a loss."""


def check_metadata(bench: Bench) -> None:
    """Name, title, version, paper are there; ``Config`` is a value; ``tiny``, ``shortened`` fit."""
    method = bench.method
    check_class(method, method.__name__)
    require(
        method().config == build_config(method, {}),
        "without a config it does not take Config's defaults",
    )
    frozen = method.Config.__dataclass_params__.frozen
    require(frozen, "its Config is not frozen: write @dataclass(frozen=True)")
    values: dict[str, Any] = {}
    for attribute in ("tiny", "shortened"):
        values |= getattr(method, attribute)
        try:
            build_config(method, values)
        except UserError as error:
            raise Violation(f"its {attribute} does not fit its Config: {error}") from error


def check_unknown_settings(bench: Bench) -> None:
    """An unknown key is refused, with the nearest known one as a suggestion."""
    fields = [field.name for field in dataclasses.fields(bench.method.Config)]
    for field in fields or ["strength"]:
        key = f"{field}_"
        while key in fields:
            key += "_"
        try:
            build_config(bench.method, {key: 1})
        except UserError as error:
            require(
                suggest(key, fields) in str(error),
                f"the refusal of an unknown setting has no suggestion: {error}",
            )
        else:
            raise Violation(f"the unknown setting '{key}' is taken without a word")


def check_training(bench: Bench) -> None:
    """Losses are named and finite; exactly what is declared trains, and is averaged."""
    session = bench.start()
    sides = ("generator_side", "discriminator_side")
    declared_ever: dict[str, set[str]] = {side: set() for side in sides}
    trained: dict[str, set[str]] = {side: set() for side in sides}
    for _ in range(ITERATIONS):
        declared = _declared(session)
        before = tensor_copies(session)
        log = train(session, 1)[0]
        after = tensor_copies(session)
        require(
            any(term.startswith(("generator/", "discriminator/")) for term in log),
            f"the log of an iteration names no loss of either side: {sorted(log)}",
        )
        for term, value in log.items():
            require(math.isfinite(value), f"{term} is {value} in iteration {session.iteration}")
        for side in sides:
            same = before[side].keys() == after[side].keys()
            require(same, f"the {side} gains or loses tensors while training")
            moved = changed(before[side], after[side])
            buffers = moved & {name for name, _ in getattr(session, side).named_buffers()}
            require(
                not buffers,
                f"{first_of(buffers)} of the {side} changed, but buffers must not while training: "
                "averages follow parameters only",
            )
            stray = moved - declared[side]
            require(not stray, f"{first_of(stray)} of the {side} changed without being declared")
            declared_ever[side] |= declared[side]
            trained[side] |= moved
        stray = changed(before["averaged"], after["averaged"]) - trained["generator_side"]
        require(not stray, f"{first_of(stray)} changed in the average, but never in training")
    require(any(trained.values()), "nothing trains")
    for side in sides:
        idle = declared_ever[side] - trained[side]
        require(not idle, f"{first_of(idle)} of the {side} is declared, but does not train")


def check_source(bench: Bench) -> None:
    """Source and few-shot images stay as they are in set-up, training and sampling."""
    images = bench.images.copy()
    session = bench.start()
    stages: dict[str, Callable[[], object]] = {
        "before the training": lambda: None,
        "in training": lambda: train(session, ITERATIONS),
        "in sample": lambda: samples(session),
    }
    for stage, run in stages.items():
        run()
        for given, network in zip(
            bench.networks, (session.source_generator, session.source_discriminator), strict=True
        ):
            stray = changed(given.state_dict(), network.state_dict())
            require(not stray, f"{first_of(stray)} of the frozen source changed {stage}")
        same = np.array_equal(session.images, images)
        require(same, f"the few-shot images changed {stage}")


def check_reproducibility(bench: Bench) -> None:
    """The same seed gives the same bytes, whatever global generators hold; another seed others."""
    first, second, other = (bench.start(seed=seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    logs = train(first, 4)
    torch.manual_seed(6)
    np.random.seed(6)  # noqa: NPY002
    hint = "; draw from session.streams and from nowhere else"
    require(train(second, 4) == logs, f"the same seed gives other losses{hint}")
    require_same(state_of(first), state_of(second), f"the same seed gives another state{hint}")
    train(other, 4)
    same = differences(state_of(first)["averaged"], state_of(other)["averaged"]) == []
    require(not same, "another seed gives the same weights")


def check_streams(bench: Bench) -> None:
    """Draws from streams that the method does not use shift none of its own."""
    plain, disturbed = bench.start(), bench.start(setup=False)
    disturbed.normal("unrelated", 7)
    disturbed.prepare()
    logs = train(plain, 4)
    for log in logs:
        disturbed.normal("unrelated", 7)
        disturbed.streams.integer("also unrelated", 0, 10)
        require(train(disturbed, 1) == [log], "a draw from an unrelated stream shifts its losses")
    ours, theirs = state_of(plain), state_of(disturbed)
    del ours["streams"], theirs["streams"]
    require_same(ours, theirs, "a draw from an unrelated stream changes its state")


def check_resume(bench: Bench) -> None:
    """Interrupted and resumed, at the very start too, equals uninterrupted bit for bit."""
    uninterrupted = bench.start()
    expected = train(uninterrupted, ITERATIONS)
    session, logs = bench.start(), []
    hint = "; state_dict must hold whatever lasts longer than an iteration"
    for stop in (0, 2, 5):
        logs += train(session, stop - session.iteration)
        file = io.BytesIO()
        torch.save(session.state_dict(), file)
        file.seek(0)
        session = bench.start(setup=False)
        session.load_state_dict(torch.load(file, weights_only=True))
    logs += train(session, ITERATIONS - stop)
    require(logs == expected, f"its losses differ after a resume{hint}")
    require_same(
        state_of(session), state_of(uninterrupted), f"its state differs after a resume{hint}"
    )


def check_snapshots(bench: Bench) -> None:
    """Sampling before and after every iteration leaves the training as it is."""
    plain, sampled = bench.start(), bench.start()
    samples(sampled)
    for log in train(plain, 4):
        require(train(sampled, 1) == [log], "sampling shifts the losses of the training")
        samples(sampled)
    require_same(state_of(plain), state_of(sampled), "sampling changes the state of the training")


def check_accumulation(bench: Bench) -> None:
    """Where the method says that it accumulates, micro-batches do what the whole batch does."""
    if not bench.method.accumulates:
        return
    recipe = replace(RECIPE, batch=8)
    whole, split = (
        bench.start(recipe=recipe, numerics=Numerics(accumulate=parts)) for parts in (1, 2)
    )
    start = nn.utils.parameters_to_vector(whole.generator_side.parameters()).detach().clone()
    hint = "; see Method.accumulates"
    for ours, theirs in zip(train(split, 2), train(whole, 2), strict=True):
        require(ours.keys() == theirs.keys(), f"micro-batches have other losses{hint}")
        for term, value in ours.items():
            require(
                math.isclose(value, theirs[term], rel_tol=LOSS_ROUNDING, abs_tol=1e-4),
                f"{term} is {value:.5g} in two micro-batches and {theirs[term]:.5g} in one batch"
                f"{hint}",
            )
    after = nn.utils.parameters_to_vector(whole.generator_side.parameters())
    apart = nn.utils.parameters_to_vector(split.generator_side.parameters()) - after
    share = float((apart.norm() / (after - start).norm().clamp(min=1e-12)).detach())
    require(
        share < STEP_ROUNDING, f"two micro-batches train {share:.0%} apart from one batch{hint}"
    )


def _declared(session: Session) -> dict[str, set[str]]:
    """Names of the parameters that are to train in the next iteration, by side.

    Raises:
        Violation: a parameter is in none of the side's modules, so that no optimiser has it.
    """
    method = session.method
    declared: dict[str, set[str]] = {}
    for side, parameters in (
        ("generator", method.generator_parameters(session)),
        ("discriminator", method.discriminator_parameters(session)),
    ):
        chosen = set(parameters)
        named = getattr(session, f"{side}_side").named_parameters()
        names = {name for name, parameter in named if parameter in chosen}
        require(
            len(names) == len(chosen),
            f"{side}_parameters gives what is in none of the side's modules and does not train; "
            f"{side}_modules adds modules",
        )
        declared[f"{side}_side"] = names
    return declared
