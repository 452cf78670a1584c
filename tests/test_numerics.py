"""Reduced precision, micro-batches and compiled networks: what they change, and what they don't."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.tgan import TGAN
from fsgan_bench.contract.trial import train
from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.machine import default_device
from fsgan_bench.training.method import Diverged, Losses, Method
from fsgan_bench.training.numerics import COMPILES_SINCE, Numerics
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams

Make = Callable[..., Session]

RECIPE = Recipe(batch=8, r1_every=2, path_length_every=3, ema_half_life=5)


@pytest.fixture
def make(networks: tuple[Generator, Discriminator], few_shot: Images) -> Make:
    def start(
        numerics: Numerics | None = None,
        method: type[Method] = TGAN,
        recipe: Recipe = RECIPE,
    ) -> Session:
        return Session(
            method(),
            *networks,
            few_shot,
            recipe=recipe,
            seed=0,
            iterations=10,
            numerics=numerics,
        )

    return start


def vector(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def gradients(module: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Length of the difference, relative to ``theirs``."""
    return float(((ours - theirs).norm() / theirs.norm()).detach())


def compiles() -> bool:
    try:
        Numerics(compile=True).check(8, default_device())
    except UserError:
        return False
    return True


@pytest.mark.parametrize(
    ("numerics", "device", "sentence"),
    [
        (Numerics("fp16"), "cpu", "needs a GPU"),
        (Numerics(accumulate=3), "cpu", "possible are 1, 2, 4, 8"),
        (Numerics(accumulate=16), "cuda", "does not divide the batch of 8 images"),
    ],
)
def test_what_cannot_be_computed_is_refused(numerics: Numerics, device: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        numerics.check(8, device)


def test_compilers_that_abort_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.7.1+cpu")
    with pytest.raises(UserError, match=r"needs torch 2\.14 or newer, not 2\.7\.1\+cpu"):
        Numerics(compile=True).check(8, "cpu")
    with pytest.raises(UserError, match=r"needs torch 2\.14 or newer"):
        Numerics(compile=True).check(8, "cpu", here=False)
    Numerics(compile=True).check(8, "cuda")


def test_a_missing_compiler_is_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", str(COMPILES_SINCE))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"install g\+\+ or clang\+\+"):
        Numerics(compile=True).check(8, "cpu")
    Numerics(compile=True).check(8, "cpu", here=False)


def test_only_changes_are_named() -> None:
    assert Numerics().changes == {}
    assert Numerics("bf16", 2).changes == {"precision": "bf16", "accumulate": 2}
    with pytest.raises(ValueError, match="int8"):
        Numerics("int8")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_four_highest_resolutions_are_reduced(dtype: torch.dtype) -> None:
    shape = Architecture(64, 8, 2, {4: 8, 8: 8, 16: 8, 32: 8, 64: 8})
    with Streams(0).initialising("networks"):
        generator, discriminator = Generator(shape), Discriminator(shape)
    seen: dict[int, set[torch.dtype]] = {}
    seen_outside: set[torch.dtype] = set()

    def note(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        seen.setdefault(inputs[0].shape[-1], set()).add(inputs[0].dtype)

    def note_outside(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        seen_outside.add(inputs[0].dtype)

    for block in [generator.conv1.conv, *(c.conv for c in generator.convs), *discriminator.convs]:
        block.register_forward_hook(note)
    modulations = [m.modulation for m in generator.modules() if hasattr(m, "modulation")]
    for module in [*generator.style, *modulations, discriminator.final_conv]:
        module.register_forward_hook(note_outside)
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    full = generator(z, features=True)
    expected = discriminator(full.image, range(5))
    for network in (generator, discriminator):
        network.compute_dtype = dtype
    seen.clear()
    reduced = generator(z, features=True)
    judged = discriminator(full.image, range(5))
    # 4x4 enters the first upsampling at 8x8, where reduced precision begins, and conv1, before it.
    assert seen.pop(4) == {dtype, torch.float32}
    assert set(seen) == {8, 16, 32, 64} and all(kinds == {dtype} for kinds in seen.values())
    assert seen_outside == {torch.float32}
    outputs = [
        reduced.image,
        reduced.w,
        *reduced.features,
        judged.logits,
        *judged.features.values(),
    ]
    assert all(output.dtype == torch.float32 for output in outputs)
    precise = 0.02 if dtype == torch.bfloat16 else 0.003
    assert 0 < distance(reduced.image, full.image) < precise
    assert 0 < distance(judged.logits, expected.logits) < 5 * precise
    for layer, features in judged.features.items():
        assert distance(features, expected.features[layer]) < precise


class Watched(TGAN):
    """Notes in which precision the discriminator computes each kind of loss."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.seen: dict[str, set[torch.dtype | None]] = {}

    def note(self, session: Session, what: str) -> None:
        self.seen.setdefault(what, set()).add(session.generator.compute_dtype)
        self.seen.setdefault(what, set()).add(session.discriminator.compute_dtype)

    def setup(self, session: Session) -> None:
        self.note(session, "setup")

    def generator_loss(self, session: Session) -> Losses:
        self.note(session, "adversarial")
        return super().generator_loss(session)

    def discriminator_loss(self, session: Session, real: Tensor) -> Losses:
        self.note(session, "adversarial")
        return super().discriminator_loss(session, real)

    def r1_loss(self, session: Session, real: Tensor) -> Tensor:
        self.note(session, "r1")
        return super().r1_loss(session, real)

    def path_lengths(self, session: Session) -> Tensor:
        self.note(session, "path length")
        return super().path_lengths(session)


def test_bfloat16_trains_near_float32_and_regularises_in_it(make: Make) -> None:
    sessions = [make(Numerics(precision), Watched) for precision in ("fp32", "bf16")]
    for session in sessions:
        session.prepare()
    logs = [train(session, 3) for session in sessions]
    seen = sessions[1].method.seen  # type: ignore[attr-defined]
    assert seen == {
        "setup": {None},
        "adversarial": {torch.bfloat16},
        "r1": {None},
        "path length": {None},
    }
    assert logs[0] != logs[1]
    for name, value in logs[0][0].items():
        assert logs[1][0][name] == pytest.approx(value, rel=0.05), name
    assert all(p.dtype == torch.float32 for p in sessions[1].generator_side.parameters())
    modules = dict(sessions[1].averaged.items())
    assert modules["generator"].compute_dtype is None
    assert sessions[1].generator.compute_dtype is None


def test_float16_skips_a_step_that_overflows_and_resumes_exactly(make: Make) -> None:
    session = make(Numerics("fp16"))
    session.scalers["generator"] = torch.amp.GradScaler("cpu", init_scale=2.0**100)
    before = vector(session.generator_side)
    session.minimise("generator", lambda: session.method.generator_loss(session))
    assert torch.equal(vector(session.generator_side), before)
    assert session.scalers["generator"].get_scale() == 2.0**99

    uninterrupted, first, second = (make(Numerics("fp16")) for _ in range(3))
    for each in (uninterrupted, first):
        scaler = each.scalers["discriminator"]
        scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**120, "growth_interval": 2})
    logs = train(uninterrupted, 5)
    file = io.BytesIO()
    resumed = train(first, 2)
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert resumed + train(second, 3) == logs
    for side in ("generator_side", "discriminator_side", "averaged"):
        assert torch.equal(vector(getattr(second, side)), vector(getattr(uninterrupted, side)))
    scales = [each.scalers["discriminator"].state_dict() for each in (second, uninterrupted)]
    assert scales[0] == scales[1]
    assert scales[0]["scale"] < 2.0**120


def test_float16_stops_where_no_scale_helps(make: Make) -> None:
    session = make(Numerics("fp16"))
    session.scalers["generator"] = torch.amp.GradScaler("cpu", init_scale=1.0)
    parameter = next(session.generator_side.parameters())
    with pytest.raises(Diverged, match="gradient of the generator's loss"):
        session.minimise("generator", lambda: {"root": (parameter * 0).square().sum().sqrt()})


@pytest.mark.parametrize(
    ("side", "take_step"),
    [
        ("generator", lambda s: s.minimise("generator", lambda: s.method.generator_loss(s))),
        ("generator", lambda s: s.method.regularise_path_length(s)),
        (
            "discriminator",
            lambda s: s.minimise(
                "discriminator",
                lambda: s.method.discriminator_loss(s, s.share(s.few_shot[:8])),
            ),
        ),
        (
            "discriminator",
            lambda s: s.minimise(
                "discriminator",
                lambda: {"r1": s.method.r1_loss(s, s.share(s.few_shot[:8]))},
                full_precision=True,
            ),
        ),
    ],
    ids=["adversarial", "path length", "discriminator", "r1"],
)
def test_micro_batches_have_the_gradient_of_the_batch(
    side: str, take_step: Callable[[Session], dict[str, float]], make: Make
) -> None:
    whole, split = make(), make(Numerics(accumulate=2))
    logs = [take_step(session) for session in (whole, split)]
    assert logs[1] == pytest.approx(logs[0], rel=1e-5)
    theirs, ours = (gradients(getattr(session, f"{side}_side")) for session in (whole, split))
    assert distance(ours, theirs) < 1e-4
    assert float(split.path_length_mean) == pytest.approx(float(whole.path_length_mean), rel=1e-5)
    # The streams are where one batch leaves them.
    assert torch.equal(whole.normal("latents", 3), split.normal("latents", 3))


def test_small_micro_batches_have_smaller_groups(make: Make) -> None:
    """Of two images the minibatch standard deviation is another one than of four: as documented."""
    real = make().few_shot[:4]
    logits = []
    for numerics in (Numerics(), Numerics(accumulate=2)):
        session = make(numerics, recipe=replace(RECIPE, batch=4))
        found = torch.empty(4, 1)
        for _ in session.micro_batches(4):
            judged = session.method.judge(session, session.share(real))
            found[session.part :: session.parts] = judged.detach()
        logits.append(found)
    assert not torch.allclose(logits[0], logits[1])
    pairs = [make().method.judge(session, real[i::2]).detach() for i in range(2)]
    assert torch.allclose(logits[1][0::2], pairs[0]) and torch.allclose(logits[1][1::2], pairs[1])


class Reports(TGAN):
    def generator_loss(self, session: Session) -> Losses:
        session.report("part", torch.tensor(float(session.part)))
        return super().generator_loss(session)


def test_reports_are_averaged_over_micro_batches(make: Make) -> None:
    assert train(make(Numerics(accumulate=4), Reports), 1)[0]["part"] == 1.5


@pytest.mark.minutes
@pytest.mark.skipif(not compiles(), reason="no C++ compiler, or a torch whose compiler aborts")
def test_compiled_networks_train_the_same_to_rounding(make: Make) -> None:
    eager, compiled = make(), make(Numerics(compile=True))
    start = vector(eager.generator_side)
    for ours, theirs in zip(train(compiled, 1), train(eager, 1), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    moved = vector(eager.generator_side) - start
    assert distance(vector(compiled.generator_side) - start, moved) < 0.05
