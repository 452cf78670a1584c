"""A method that breaks the contract is caught, by the check that is there for it."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fsgan_bench.contract import checks
from fsgan_bench.contract.run import CHECKS, check_method
from fsgan_bench.contract.trial import Bench
from fsgan_bench.errors import UserError
from fsgan_bench.training.method import Method
from fsgan_bench.training.streams import Streams


class Sound(Method):
    name, title, version, paper = "sound", "Sound", "1", "nobody 2026"


class BlankTitle(Sound):
    title = ""


class PlainConfig(Sound):
    Config = dict


@dataclass(frozen=True)
class Weight:
    weight: float = 1.0


class OwnDefaults(Sound):
    Config = Weight

    def __init__(self, config: Any = None) -> None:
        super().__init__(config or Weight(2))


@dataclass
class Loose:
    weight: float = 1.0


class LooseConfig(Sound):
    Config = Loose


class UnknownTiny(Sound):
    tiny = {"wieght": 1}


class UnknownShortened(Sound):
    Config = Weight
    tiny = {"weight": 1}
    shortened = {"wieght": 1}


class NamesNoLoss(Sound):
    def step(self, session: Any) -> dict[str, float]:
        super().step(session)
        return {"loss": 1.0}


class NotANumber(Sound):
    def generator_loss(self, session: Any) -> Any:
        return {"adversarial": super().generator_loss(session)["adversarial"] * math.nan}


class ReportsNotANumber(Sound):
    def generator_loss(self, session: Any) -> Any:
        session.report("ratio", torch.tensor(math.nan, device=session.device))
        return super().generator_loss(session)


class Grows(Sound):
    def step(self, session: Any) -> dict[str, float]:
        name = f"count_{session.iteration}"
        session.discriminator.register_buffer(name, torch.zeros(1, device=session.device))
        return super().step(session)


class CountsInABuffer(Sound):
    def generator_modules(self, session: Any) -> Any:
        return {"norm": torch.nn.BatchNorm1d(8, affine=False)}

    def generator_loss(self, session: Any) -> Any:
        session.generator_side["norm"](session.normal("norm", 4, 8))
        return super().generator_loss(session)


class Undeclared(Sound):
    def generator_parameters(self, session: Any) -> Any:
        return session.generator.style.parameters()

    def step(self, session: Any) -> dict[str, float]:
        with torch.no_grad():
            session.generator.input.input.add_(1)
        return super().step(session)


class MovesTheAverage(Sound):
    def generator_parameters(self, session: Any) -> Any:
        return session.generator.style.parameters()

    def step(self, session: Any) -> dict[str, float]:
        session.averaged["generator"].input.input.add_(1)
        return super().step(session)


class TrainsNothing(Sound):
    def step(self, session: Any) -> dict[str, float]:
        return {"generator/adversarial": 0.0}


class DeclaredInVain(Sound):
    def generator_modules(self, session: Any) -> Any:
        return {"unused": torch.nn.Linear(2, 2)}


class DeclaredElsewhere(Sound):
    def setup(self, session: Any) -> None:
        self.miner = torch.nn.Linear(2, 2)

    def generator_parameters(self, session: Any) -> Any:
        return [*super().generator_parameters(session), *self.miner.parameters()]


class TouchesTheSource(Sound):
    def step(self, session: Any) -> dict[str, float]:
        with torch.no_grad():
            next(session.source_generator.parameters()).add_(1)
        return super().step(session)


class PreparesTheSource(Sound):
    def generator_modules(self, session: Any) -> Any:
        with torch.no_grad():
            next(session.source_discriminator.parameters()).add_(1)
        return {}


class AddsToTheSource(Sound):
    def setup(self, session: Any) -> None:
        session.source_generator.register_buffer("mean", torch.zeros(8, device=session.device))


class SamplesTheSource(Sound):
    def setup(self, session: Any) -> None:
        self.source = session.source_generator

    def sample(self, modules: Any, z: Any) -> Any:
        next(self.source.parameters()).add_(1)
        return super().sample(modules, z)


class WritesImages(Sound):
    def setup(self, session: Any) -> None:
        session.images[0] = 0


class TakesFewerImages(Sound):
    def setup(self, session: Any) -> None:
        session.images = session.images[:5]


class GlobalDraws(Sound):
    def generator_loss(self, session: Any) -> Any:
        return {"noise": super().generator_loss(session)["adversarial"] * torch.rand(())}


class KeepsGlobalDraws(Sound):
    def state_dict(self) -> dict[str, Any]:
        return {"draw": torch.rand(())}


class OneSeed(Sound):
    def prepare_networks(self, session: Any) -> None:
        session.streams = Streams(0)


class CountsStreams(Sound):
    def generator_loss(self, session: Any) -> Any:
        factor = len(session.streams.state_dict())
        return {"adversarial": super().generator_loss(session)["adversarial"] * factor}


class KeepsStreams(Sound):
    def setup(self, session: Any) -> None:
        self.count = len(session.streams.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}


class Forgetful(Sound):
    count = 0

    def generator_loss(self, session: Any) -> Any:
        self.count += 1
        return {"adversarial": super().generator_loss(session)["adversarial"] * self.count}


class ForgetsItsState(Sound):
    count = 0

    def generator_loss(self, session: Any) -> Any:
        self.count += 1
        return super().generator_loss(session)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}


class SamplingShifts(Sound):
    sampled = 0

    def generator_loss(self, session: Any) -> Any:
        return {"adversarial": super().generator_loss(session)["adversarial"] * (1 + self.sampled)}

    def sample(self, modules: Any, z: Any) -> Any:
        self.sampled += 1
        return super().sample(modules, z)


class SamplingCounts(Sound):
    sampled = 0

    def state_dict(self) -> dict[str, Any]:
        return {"sampled": self.sampled}

    def sample(self, modules: Any, z: Any) -> Any:
        self.sampled += 1
        return super().sample(modules, z)


class OtherTerms(Sound):
    accumulates = True

    def generator_loss(self, session: Any) -> Any:
        return {f"in {session.parts}": super().generator_loss(session)["adversarial"]}


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


class Doubles(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z).double()


class MoreThanImages(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return modules["generator"](z)


class Infinite(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z) / 0


class Bytes(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return (super().sample(modules, z) * 127).round() + 12800


class Loud(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z) * 10


class Faint(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z) / 1000


class RandomSamples(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, torch.randn_like(z))


class WritesLatents(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return super().sample(modules, z.mul_(0.5))


class CoupledSamples(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        images = super().sample(modules, z)
        return images - images.mean(0)


class SamplesNoWeights(Sound):
    def sample(self, modules: Any, z: Any) -> Any:
        return z[:, :3, None, None].repeat(1, 1, 16, 16)


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


class Exits(Sound):
    def setup(self, session: Any) -> None:
        sys.exit()


BROKEN = [
    (BlankTitle, "metadata", "must be a text without blanks"),
    (PlainConfig, "metadata", "is no dataclass"),
    (OwnDefaults, "metadata", "does not take Config's defaults"),
    (LooseConfig, "metadata", "frozen"),
    (UnknownTiny, "metadata", "its tiny does not fit its Config: sound has no setting 'wieght'"),
    (UnknownShortened, "metadata", "its shortened does not fit its Config"),
    (NamesNoLoss, "training", "names no loss of either side: ['loss']"),
    (NotANumber, "training", "generator/adversarial is nan"),
    (ReportsNotANumber, "training", "ratio is nan in iteration 1"),
    (Grows, "training", "the discriminator_side gains or loses tensors"),
    (CountsInABuffer, "training", "and 2 more of the generator_side changed, but buffers must not"),
    (Undeclared, "training", "changed without being declared"),
    (MovesTheAverage, "training", "'generator.input.input' changed in the average, but never"),
    (TrainsNothing, "training", "nothing trains"),
    (DeclaredInVain, "training", "'unused.bias' and 1 more of the generator_side is declared"),
    (DeclaredElsewhere, "training", "generator_parameters gives what is in none of the side's"),
    (PreparesTheSource, "source", "of the frozen source changed before the training"),
    (AddsToTheSource, "source", "'mean' of the frozen source changed before the training"),
    (TouchesTheSource, "source", "of the frozen source changed in training"),
    (SamplesTheSource, "source", "of the frozen source changed in sample"),
    (WritesImages, "source", "ValueError: assignment destination is read-only"),
    (TakesFewerImages, "source", "the few-shot images changed before the training"),
    (GlobalDraws, "reproducibility", "other losses; draw from session.streams"),
    (KeepsGlobalDraws, "reproducibility", "another state; draw from session.streams"),
    (OneSeed, "reproducibility", "another seed gives the same weights"),
    (CountsStreams, "random streams", "shifts its losses"),
    (KeepsStreams, "random streams", "changes its state (first in method.count)"),
    (Forgetful, "resume", "its losses differ after a resume; state_dict must hold"),
    (ForgetsItsState, "resume", "its state differs after a resume; state_dict must hold"),
    (SamplingShifts, "snapshots", "sampling shifts the losses"),
    (SamplingCounts, "snapshots", "sampling changes the state"),
    (OtherTerms, "accumulation", "micro-batches have other losses"),
    (Coupled, "accumulation", "two micro-batches train"),
    (WholeBatch, "accumulation", "in two micro-batches"),
    (WrongShape, "sampler", "not float32 [3, 1, 16, 16]"),
    (Doubles, "sampler", "must give float32 [3, 3, 16, 16], not float64 [3, 3, 16, 16]"),
    (MoreThanImages, "sampler", "not Synthesis"),
    (Infinite, "sampler", "not finite"),
    (Bytes, "sampler", "images lie in about [-1, 1]"),
    (Loud, "sampler", "images lie in about [-1, 1]"),
    (Faint, "sampler", "less than a level of 8 bits"),
    (RandomSamples, "sampler", "others for the same latents"),
    (WritesLatents, "sampler", "changes the latents"),
    (CoupledSamples, "sampler", "depends on those beside it"),
    (SamplesNoWeights, "sampler", "three iterations of training change no sample"),
    (SamplesFromItself, "sampler", "a stored snapshot gives other images"),
    (Raises, "training", "KeyError: 'no such thing'"),
    (Exits, "training", "it calls sys.exit"),
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


def test_what_a_check_finds_is_placed_at_the_class() -> None:
    (outcome,) = check_method(LooseConfig, ["metadata"])
    line = inspect.getsourcelines(LooseConfig)[1]
    assert str(outcome.problem).startswith(f"{__file__}, line {line}: its Config is not frozen")


@dataclass(frozen=True)
class Alike:
    lr: float = 1.0
    lr_: float = 1.0
    N: int = 1


class AlikeSettings(Sound):
    Config = Alike


def test_settings_may_be_alike_and_in_capitals() -> None:
    (outcome,) = check_method(AlikeSettings, ["unknown settings"])
    assert outcome.problem is None


def refuse(method: type[Method], values: object) -> None:
    raise UserError("no.")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda method, values: None, "the unknown setting 'weight_' is taken without a word"),
        (refuse, "the refusal of an unknown setting has no suggestion: no."),
    ],
)
def test_unknown_settings_are_refused_with_a_suggestion(
    build: Callable[..., Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "build_config", build)
    (outcome,) = check_method(OwnDefaults, ["unknown settings"])
    assert sentence in str(outcome.problem)


def test_the_callers_images_stay_writable() -> None:
    bench = Bench(Sound)
    session = bench.start()
    assert np.shares_memory(session.images, bench.images)
    assert bench.images.flags.writeable and not session.images.flags.writeable


def test_global_generators_are_put_back() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(check_method(Sound, ["reproducibility"]))
    assert torch.equal(torch.get_rng_state(), before)
