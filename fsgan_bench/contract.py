"""The contract of a method: what the harness relies on, checked on tiny networks in seconds.

``fsgan-bench check`` and the test suite run the same checks, on our own methods and on anybody's.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.data.images import to_uint8
from fsgan_bench.errors import UserError, where_blamed
from fsgan_bench.method import Method
from fsgan_bench.numerics import Numerics
from fsgan_bench.session import Session
from fsgan_bench.settings import build_config
from fsgan_bench.stylegan2.checkpoint import read_tensors, save_modules
from fsgan_bench.trial import ARCHITECTURE, ITERATIONS, RECIPE, Bench, differences, state_of, train

LARGEST_VALUE = 100.0

State = dict[str, dict[str, Tensor]]


class Violation(Exception):
    """A method does not keep to the contract; the message says where it departs from it."""


@dataclass(frozen=True)
class Outcome:
    """What a check found: ``problem`` is None if the method passed."""

    check: str
    problem: str | None
    seconds: float


def check_method(method: type[Method], checks: Iterable[str] = ()) -> Iterator[Outcome]:
    """Run ``checks``, or all of :data:`CHECKS`, on ``method``; whatever it raises is an outcome."""
    bench = Bench(method)
    for name in checks or CHECKS:
        began, problem = time.perf_counter(), None
        try:
            with _global_state_restored():
                CHECKS[name](bench)
        except (Violation, UserError) as error:
            problem = str(error)
        except Exception as error:
            problem = f"{where_blamed(error, method)}: {type(error).__name__}: {error}"
        yield Outcome(name, problem, time.perf_counter() - began)


def check_metadata(bench: Bench) -> None:
    """Name, title, version and paper are there; ``Config`` is a value; ``tiny`` is one of it."""
    method = bench.method
    for attribute in ("name", "title", "version", "paper"):
        text = getattr(method, attribute, None)
        _require(
            isinstance(text, str) and bool(text.strip()) and text == text.strip(),
            f"its {attribute} must be a text without blanks around it, not {text!r}",
        )
    _require(dataclasses.is_dataclass(method.Config), "its Config is no dataclass")
    config = build_config(method, {})
    _require(method().config == config, "without a config it does not take Config's defaults")
    frozen = method.Config.__dataclass_params__.frozen
    _require(frozen, "its Config is not frozen: write @dataclass(frozen=True)")
    build_config(method, method.tiny)


def check_unknown_settings(bench: Bench) -> None:
    """An unknown key is refused, with the nearest known one as a suggestion."""
    fields = [field.name for field in dataclasses.fields(bench.method.Config)]
    for field in fields or ["strength"]:
        try:
            build_config(bench.method, {f"{field}_": 1})
        except UserError as error:
            _require(
                not fields or f"Did you mean '{field}'" in str(error),
                f"the refusal of an unknown setting has no suggestion: {error}",
            )
        else:
            raise Violation(f"the unknown setting '{field}_' is taken without a word")


def check_training(bench: Bench) -> None:
    """Losses are named and finite; exactly what is declared trains; the source stays as it is."""
    session = bench.start()
    given = copy.deepcopy([network.state_dict() for network in bench.networks])
    sides = ("generator_side", "discriminator_side")
    declared_ever: dict[str, set[str]] = {side: set() for side in sides}
    trained: dict[str, set[str]] = {side: set() for side in sides}
    for _ in range(ITERATIONS):
        declared = _declared(session)
        before = _weights(session)
        log = train(session, 1)[0]
        after = _weights(session)
        _require(
            any(term.startswith(("generator/", "discriminator/")) for term in log),
            f"the log of an iteration names no loss of either side: {sorted(log)}",
        )
        for term, value in log.items():
            _require(math.isfinite(value), f"{term} is {value} in iteration {session.iteration}")
        moved = {name: _changed(before[name], after[name]) for name in before}
        for side in sides:
            stray = moved[side] - declared[side]
            _require(not stray, f"{_some(stray)} of the {side} changed without being declared")
            declared_ever[side] |= declared[side]
            trained[side] |= moved[side]
        stray = moved["averaged"] - trained["generator_side"]
        _require(not stray, f"{_some(stray)} changed in the average, but never in training")
        stray = moved["source_generator"] | moved["source_discriminator"]
        _require(not stray, f"{_some(stray)} of the frozen source changed")
    _require(any(trained.values()), "nothing trains")
    for side in sides:
        idle = declared_ever[side] - trained[side]
        _require(not idle, f"{_some(idle)} of the {side} is declared, but does not train")
    for network, state in zip(bench.networks, given, strict=True):
        stray = _changed(network.state_dict(), state)
        _require(not stray, f"{_some(stray)} of the networks it was given changed")


def check_reproducibility(bench: Bench) -> None:
    """The same seed gives the same bytes, whatever global generators hold; another seed others."""
    first, second, other = (bench.start(seed=seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    logs = train(first, 4)
    torch.manual_seed(6)
    np.random.seed(6)  # noqa: NPY002
    hint = "; draw from session.streams and from nowhere else"
    _require(train(second, 4) == logs, f"the same seed gives other losses{hint}")
    _same(state_of(first), state_of(second), f"the same seed gives another state{hint}")
    train(other, 4)
    same = differences(state_of(first)["averaged"], state_of(other)["averaged"]) == []
    _require(not same, "another seed gives the same weights")


def check_streams(bench: Bench) -> None:
    """Draws from streams that the method does not use shift none of its own."""
    plain, disturbed = bench.start(), bench.start(setup=False)
    disturbed.normal("unrelated", 7)
    disturbed.prepare()
    logs = train(plain, 4)
    for log in logs:
        disturbed.normal("unrelated", 7)
        disturbed.streams.integer("also unrelated", 0, 10)
        _require(train(disturbed, 1) == [log], "a draw from an unrelated stream shifts its losses")
    ours, theirs = state_of(plain), state_of(disturbed)
    del ours["streams"], theirs["streams"]
    _same(ours, theirs, "a draw from an unrelated stream changes its state")


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
    _require(logs == expected, f"its losses differ after a resume{hint}")
    _same(state_of(session), state_of(uninterrupted), f"its state differs after a resume{hint}")


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
        _require(ours.keys() == theirs.keys(), f"micro-batches have other losses{hint}")
        for term, value in ours.items():
            _require(
                math.isclose(value, theirs[term], rel_tol=0.01, abs_tol=1e-4),
                f"{term} is {value:.5g} in two micro-batches and {theirs[term]:.5g} in one batch"
                f"{hint}",
            )
    after = nn.utils.parameters_to_vector(whole.generator_side.parameters())
    apart = nn.utils.parameters_to_vector(split.generator_side.parameters()) - after
    share = float((apart.norm() / (after - start).norm().clamp(min=1e-12)).detach())
    _require(share < 0.05, f"two micro-batches train {share:.0%} apart from one batch{hint}")


def check_sampler(bench: Bench) -> None:
    """Samples are images in about [-1, 1], repeatable, follow training, and survive a snapshot."""
    session = bench.start()
    fresh = _samples(session, session.averaged)
    train(session, 3)
    images = _samples(session, session.averaged)
    wanted = (3, 3, ARCHITECTURE.resolution, ARCHITECTURE.resolution)
    _require(
        isinstance(images, Tensor) and tuple(images.shape) == wanted and images.is_floating_point(),
        f"sample must give floats {list(wanted)}, not {_described(images)}",
    )
    _require(bool(images.isfinite().all()), "sample gives values that are not finite")
    largest = float(images.abs().max())
    _require(largest < LARGEST_VALUE, f"sample gives {largest:.0f}; images lie in about [-1, 1]")
    to_uint8(images)
    again = _samples(session, session.averaged)
    _require(torch.equal(images, again), "sample gives other images for the same latents")
    _require(not torch.equal(images, fresh), "three iterations of training change no sample")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshot.safetensors"
        save_modules(path, session.averaged, {})
        tensors, _ = read_tensors(path)
    another = bench.start(seed=1, setup=False)
    another.averaged.load_state_dict(tensors)
    restored = _samples(another, another.averaged)
    hint = "; sample must use nothing but the modules it is given"
    _require(torch.equal(restored, images), f"a stored snapshot gives other images{hint}")


CHECKS: Mapping[str, Callable[[Bench], None]] = {
    "metadata": check_metadata,
    "unknown settings": check_unknown_settings,
    "training": check_training,
    "reproducibility": check_reproducibility,
    "random streams": check_streams,
    "resume": check_resume,
    "accumulation": check_accumulation,
    "sampler": check_sampler,
}
"""The checks by the name that a report gives them, in the order they run."""


def _declared(session: Session) -> dict[str, set[str]]:
    method = session.method
    sides = {
        "generator_side": method.generator_parameters(session),
        "discriminator_side": method.discriminator_parameters(session),
    }
    chosen = {side: {id(p) for p in parameters} for side, parameters in sides.items()}
    return {
        side: {n for n, p in getattr(session, side).named_parameters() if id(p) in chosen[side]}
        for side in sides
    }


def _weights(session: Session) -> State:
    names = ("generator_side", "discriminator_side", "averaged")
    sources = ("source_generator", "source_discriminator")
    return {n: copy.deepcopy(getattr(session, n).state_dict()) for n in (*names, *sources)}


def _changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    _require(before.keys() == after.keys(), "its modules gain or lose tensors while training")
    return {name for name in before if not torch.equal(before[name], after[name])}


def _samples(session: Session, modules: nn.ModuleDict) -> Tensor:
    z = torch.randn(3, ARCHITECTURE.style_dim, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return session.method.sample(dict(modules.items()), z)


def _same(ours: Any, theirs: Any, otherwise: str) -> None:
    if different := differences(ours, theirs):
        raise Violation(f"{otherwise} (first in {different[0]})")


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__


def _some(names: set[str]) -> str:
    first = f"'{min(names, default='')}'"
    return first + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Violation(otherwise)


@contextmanager
def _global_state_restored() -> Iterator[None]:
    """Put the global random generators back: a check may seed them."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
