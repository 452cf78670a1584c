"""Methods by name on tiny networks, trained for a few iterations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from fsgan_bench.contract import trial
from fsgan_bench.data.images import Images
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.method import Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Weights = Callable[[Session], dict[str, dict[str, Tensor]]]
Changed = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]]


@pytest.fixture
def networks(networks: tuple[Generator, Discriminator]) -> tuple[Generator, Discriminator]:
    """The tiny pair with noise that shows: its strengths start at zero."""
    with torch.no_grad():
        for name, parameter in networks[0].named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.3)
    return networks


@pytest.fixture
def start(networks: tuple[Generator, Discriminator], few_shot: Images) -> Start:
    """Make a session that is ready for its first iteration.

    ``method`` is a name or a class; keywords beyond those named here are the method's settings,
    on top of its ``tiny`` ones.
    """

    def make(
        method: str | type[Method],
        *,
        seed: int = 0,
        iterations: int = 6,
        recipe: Recipe = trial.RECIPE,
        networks: tuple[Generator, Discriminator] = networks,
        images: Images = few_shot,
        setup: bool = True,
        **settings: Any,
    ) -> Session:
        cls = method_entries()[method].load() if isinstance(method, str) else method
        session = Session(
            cls(build_config(cls, {**cls.tiny, **settings})),
            *networks,
            images,
            recipe=recipe,
            seed=seed,
            iterations=iterations,
        )
        if setup:
            session.prepare()
        return session

    return make


@pytest.fixture
def train() -> Train:
    """Train a session for some iterations; returns the log of each."""

    return trial.train


@pytest.fixture
def weights() -> Weights:
    """Copy all parameters and buffers of a session, by module and name."""

    def read(session: Session) -> dict[str, dict[str, Tensor]]:
        sources = ("source_generator", "source_discriminator")
        frozen = {name: copy.deepcopy(getattr(session, name).state_dict()) for name in sources}
        return trial.tensor_copies(session) | frozen

    return read


@pytest.fixture
def changed() -> Changed:
    """Names of the tensors that differ between two state dicts."""

    def compare(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
        assert before.keys() == after.keys()
        return trial.changed(before, after)

    return compare
