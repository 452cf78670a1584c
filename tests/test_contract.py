"""A method that breaks the contract is caught, by the check that is there for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fsgan_bench.contract import CHECKS, check_method
from fsgan_bench.method import Method


class Sound(Method):
    name, title, version, paper = "sound", "Sound", "1", "nobody 2026"


class BlankTitle(Sound):
    title = ""


@dataclass
class Loose:
    weight: float = 1.0


class LooseConfig(Sound):
    Config = Loose


class UnknownTiny(Sound):
    tiny = {"wieght": 1}


class NotANumber(Sound):
    def generator_loss(self, session: Any) -> Any:
        return {"adversarial": super().generator_loss(session)["adversarial"] * math.nan}


class Undeclared(Sound):
    def generator_parameters(self, session: Any) -> Any:
        return session.generator.style.parameters()

    def step(self, session: Any) -> dict[str, float]:
        with torch.no_grad():
            session.generator.input.input.add_(1)
        return super().step(session)


class DeclaredInVain(Sound):
    def generator_modules(self, session: Any) -> Any:
        return {"unused": torch.nn.Linear(2, 2)}


class TouchesTheSource(Sound):
    def step(self, session: Any) -> dict[str, float]:
        with torch.no_grad():
            next(session.source_generator.parameters()).add_(1)
        return super().step(session)


class GlobalDraws(Sound):
    def generator_loss(self, session: Any) -> Any:
        return {"noise": super().generator_loss(session)["adversarial"] * torch.rand(())}


class CountsStreams(Sound):
    def generator_loss(self, session: Any) -> Any:
        factor = len(session.streams.state_dict())
        return {"adversarial": super().generator_loss(session)["adversarial"] * factor}


class Forgetful(Sound):
    count = 0

    def generator_loss(self, session: Any) -> Any:
        self.count += 1
        return {"adversarial": super().generator_loss(session)["adversarial"] * self.count}


class Coupled(Sound):
    accumulates = True

    def judge(self, session: Any, images: Any) -> Any:
        logits = super().judge(session, images)
        return logits - 10 * logits.mean()


class WholeBatch(Sound):
    accumulates = True

    def generator_loss(self, session: Any) -> Any:
        z = session.normal("own latents", session.recipe.batch, 8)[: session.batch]
        fake = session.generator(z).image
        return {"adversarial": self.judge(session, fake).square().mean()}


class WrongShape(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z)[:, :1]


class Bytes(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return (super().sample(modules, z) * 127).round() + 12800


class RandomSamples(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, torch.randn_like(z))


class SamplesFromItself(Sound):
    def generator_loss(self, session: Any) -> Any:
        self.kept = session.generator
        return super().generator_loss(session)

    def setup(self, session: Any) -> None:
        self.kept = session.generator

    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample({"generator": getattr(self, "kept", modules["generator"])}, z)


class Raises(Sound):
    def step(self, session: Any) -> dict[str, float]:
        raise KeyError("no such thing")


BROKEN = [
    (BlankTitle, "metadata", "its title must be a text"),
    (LooseConfig, "metadata", "frozen"),
    (UnknownTiny, "metadata", "no setting 'wieght'"),
    (NotANumber, "training", "generator/adversarial is nan"),
    (Undeclared, "training", "changed without being declared"),
    (DeclaredInVain, "training", "'unused.bias' and 1 more of the generator_side is declared"),
    (TouchesTheSource, "training", "of the frozen source changed"),
    (GlobalDraws, "reproducibility", "draw from session.streams"),
    (CountsStreams, "random streams", "shifts its losses"),
    (Forgetful, "resume", "state_dict must hold"),
    (Coupled, "accumulation", "two micro-batches train"),
    (WholeBatch, "accumulation", "in two micro-batches"),
    (WrongShape, "sampler", "not float32 [3, 1, 16, 16]"),
    (Bytes, "sampler", "images lie in about [-1, 1]"),
    (RandomSamples, "sampler", "other images for the same latents"),
    (SamplesFromItself, "sampler", "a stored snapshot gives other images"),
    (Raises, "training", "KeyError: 'no such thing'"),
]


def test_plain_fine_tuning_keeps_to_it() -> None:
    outcomes = list(check_method(Sound))
    assert [outcome.check for outcome in outcomes] == list(CHECKS)
    assert [outcome.problem for outcome in outcomes] == [None] * len(CHECKS)


@pytest.mark.parametrize(
    ("method", "check", "sentence"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_breaks_it_is_caught(method: type[Method], check: str, sentence: str) -> None:
    (outcome,) = check_method(method, [check])
    assert outcome.check == check
    assert sentence in str(outcome.problem)


def test_what_a_method_raises_is_placed() -> None:
    problems = [outcome.problem for outcome in check_method(Raises, ["training"])]
    lines = Path(__file__).read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "no such thing" in text)
    assert f"{__file__}, line {line}: KeyError" in str(problems[0])


def test_global_generators_are_put_back() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(check_method(Sound, ["reproducibility"]))
    assert torch.equal(torch.get_rng_state(), before)
