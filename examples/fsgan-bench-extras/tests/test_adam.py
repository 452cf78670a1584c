"""AdAM: what a modulation computes, what the probing finds, and what of the source stays."""

from __future__ import annotations

import copy
import functools
import math
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fsgan_bench import Session, UserError
from fsgan_bench.contract import RECIPE, Bench, check_method, state_of, train
from fsgan_bench.data.avatars import draw
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.checkpoint import load_source
from fsgan_bench_extras.adam import (
    AdAM,
    AdAMConfig,
    Modulation,
    importance_to_both,
    kernel_groups,
    most_important,
)

identical = functools.partial(torch.testing.assert_close, rtol=0, atol=0)
SUFFIX = ".parametrizations.weight"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny networks are slower on several threads."""
    torch.set_num_threads(1)


def start(
    *, seed: int = 0, setup: bool = True, images: Any = None, iterations: int = 6, **settings: Any
) -> Session:
    bench = Bench(AdAM)
    session = Session(
        AdAM(build_config(AdAM, {**AdAM.tiny, **settings})),
        *bench.networks,
        bench.images if images is None else images,
        recipe=RECIPE,
        seed=seed,
        iterations=iterations,
    )
    if setup:
        session.prepare()
    return session


def adam(session: Session) -> AdAM:
    assert isinstance(session.method, AdAM)
    return session.method


def preserved_by_layer(network: nn.Module) -> dict[str, Tensor]:
    return {
        name.removesuffix(f"{SUFFIX}.0"): module.preserved
        for name, module in network.named_modules()
        if isinstance(module, Modulation)
    }


def plain_name(name: str) -> str:
    """A parameter's name in a network without modulations."""
    return name.replace(f"{SUFFIX}.original", ".weight")


def sources(session: Session) -> dict[str, dict[str, Tensor]]:
    return {
        "generator": session.source_generator.state_dict(),
        "discriminator": session.source_discriminator.state_dict(),
    }


def networks(session: Session) -> dict[str, nn.Module]:
    return {"generator": session.generator, "discriminator": session.discriminator}


def masks(session: Session) -> Tensor:
    groups = kernel_groups(session.generator, session.discriminator)
    return torch.cat([m.preserved for group in groups for m in group])


@pytest.mark.parametrize("shape", [(1, 4, 3, 2, 2), (4, 3, 2, 2), (4, 5)])
def test_a_modulation_scales_each_weight_by_its_kernels_factor_and_the_shared_one(
    shape: tuple[int, ...],
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    modulation = Modulation(weight).double()
    with torch.no_grad():
        modulation.u.normal_(generator=generator)
        modulation.v.normal_(generator=generator)
        modulation.preserved.copy_(torch.tensor([True, False, True, False]))
    ours = modulation(weight)
    assert ours.shape == shape
    rows = weight.detach().reshape(4, -1)
    expected = rows.clone()
    for kernel in (0, 2):
        for index in range(rows.shape[1]):
            change = float(modulation.v[kernel].detach()) * float(modulation.u[index].detach())
            expected[kernel, index] = rows[kernel, index] * (1 + change)
    torch.testing.assert_close(ours.detach().reshape(4, -1), expected)

    ours.square().sum().backward()
    for gradient in (weight.grad, modulation.v.grad):
        assert gradient is not None
        moves = gradient.reshape(4, -1).abs().amax(dim=1) > 0
        wanted = [False, True, False, True] if gradient is weight.grad else [True, False] * 2
        assert moves.tolist() == wanted


def test_training_starts_at_the_source_bit_for_bit() -> None:
    session = start()
    for name, network in networks(session).items():
        for parameter, source in sources(session)[name].items():
            identical(functools.reduce(getattr, parameter.split("."), network), source)
        for module in network.modules():
            if isinstance(module, Modulation):
                assert module.u.abs().max() > 0 and module.v.abs().max() > 0
    z = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    with torch.no_grad():
        images = session.source_generator(z).image
        identical(session.generator(z).image, images)
        identical(session.method.sample(dict(session.averaged.items()), z), images)
        identical(session.discriminator(images).logits, session.source_discriminator(images).logits)


def test_every_layer_but_the_discriminators_last_block_is_modulated() -> None:
    session = start(setup=False)
    weights = {
        n.removesuffix(".weight") for n in sources(session)["generator"] if n.endswith(".weight")
    }
    layers = preserved_by_layer(session.generator).keys()
    assert {name for name in weights - layers if not name.endswith("noise")} == set()
    assert preserved_by_layer(session.discriminator).keys() == {
        "convs.0.0",
        *(f"convs.{i}.{layer}" for i in (1, 2) for layer in ("conv1.0", "conv2.1", "skip.1")),
    }


def test_preserved_kernels_keep_their_weights_and_the_others_train() -> None:
    session = start()
    factors = copy.deepcopy({n: network.state_dict() for n, network in networks(session).items()})
    train(session, 6)
    averaged = session.averaged["generator"].state_dict()
    kept, changed = 0, 0
    for side, network in networks(session).items():
        state, source = network.state_dict(), sources(session)[side]
        for layer, preserved in preserved_by_layer(network).items():
            now = state[f"{layer}{SUFFIX}.original"].reshape(len(preserved), -1)
            before = source[f"{layer}.weight"].reshape(len(preserved), -1)
            identical(now[preserved], before[preserved])
            assert (now[~preserved] != before[~preserved]).any(dim=1).all()
            kept, changed = kept + int(preserved.sum()), changed + int((~preserved).sum())
            own = f"{layer}{SUFFIX}.0.v"
            moved = state[own] != factors[side][own]
            assert torch.equal(moved, preserved)
            if side == "generator":
                mean = averaged[f"{layer}{SUFFIX}.original"].reshape(len(preserved), -1)
                identical(mean[preserved], before[preserved])
    assert kept > 0 and changed > 0
    identical(session.generator.input.input, sources(session)["generator"]["input.input"])
    for name, parameter in session.discriminator.named_parameters():
        if name.startswith("final") or name.endswith("bias"):
            assert not torch.equal(parameter, sources(session)["discriminator"][name])


@pytest.mark.parametrize("quantile", [0.0, 1.0])
def test_layers_whose_kernels_are_all_alike_declare_only_what_trains(quantile: float) -> None:
    session = start(quantile=quantile)
    declared = {id(p) for p in session.method.generator_parameters(session)}
    before = copy.deepcopy(session.generator.state_dict())
    train(session, 4)
    for name, parameter in session.generator.named_parameters():
        assert (id(parameter) in declared) == (not torch.equal(parameter, before[name])), name


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 0.75, 0.9, 1.0])
def test_the_quantile_is_the_share_of_kernels_that_are_fine_tuned(quantile: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = [torch.rand(n, generator=generator) for n in (40, 3, 61)]
    preserved = most_important(scores, quantile)
    assert [len(mask) for mask in preserved] == [40, 3, 61]
    chosen, pooled = torch.cat(preserved), torch.cat(scores)
    assert int(chosen.sum()) == 103 - math.floor(103 * quantile)
    threshold = np.percentile(pooled.numpy(), 100 * quantile)
    assert chosen.tolist() == (pooled.numpy() > threshold).tolist()


def test_the_defaults_are_those_that_are_documented() -> None:
    """500 of 2,500 iterations, and the published script's 50th percentile."""
    config = AdAMConfig()
    assert (config.probing_fraction, config.fisher_samples, config.quantile) == (0.2, 200, 0.5)


def test_the_groups_are_the_published_ones() -> None:
    """Neither the 4x4 block nor fromRGB, ``convs.0`` of the discriminator, is ranked."""
    session = start(setup=False)
    names = {
        module: name.removesuffix(f"{SUFFIX}.0")
        for network in networks(session).values()
        for name, module in network.named_modules()
    }
    groups = kernel_groups(session.generator, session.discriminator)
    styled = [f"convs.{i}.conv" for i in range(4)]
    assert [[names[m] for m in group] for group in groups] == [
        styled,
        [f"{name}.modulation" for name in styled],
        [f"convs.{i}.{layer}" for i in (1, 2) for layer in ("conv1.0", "conv2.1", "skip.1")],
    ]


def test_each_group_of_kernels_has_its_own_threshold() -> None:
    session = start(quantile=0.75)
    for group in kernel_groups(session.generator, session.discriminator):
        preserved = torch.cat([m.preserved for m in group])
        n = len(preserved)
        assert int(preserved.sum()) == n - 1 - math.floor(0.75 * (n - 1))
    ranked = {id(m) for g in kernel_groups(session.generator, session.discriminator) for m in g}
    for network in networks(session).values():
        for module in network.modules():
            if isinstance(module, Modulation) and id(module) not in ranked:
                assert module.preserved.all()


def averaged_discriminator(probe: Session) -> nn.Module:
    assert probe.averaged_discriminator is not None
    return probe.averaged_discriminator["discriminator"]


def naive_importance(probe: Session, samples: int) -> list[list[Tensor]]:
    """Squared gradients of single samples, in float64, added up kernel by kernel."""
    few_shot = probe.few_shot.double()
    generator = copy.deepcopy(probe.averaged["generator"]).double().requires_grad_(True)
    discriminator = copy.deepcopy(averaged_discriminator(probe)).double().requires_grad_(True)
    latents = copy.deepcopy(probe).normal("fisher", samples, 1, 8).double()
    groups = kernel_groups(generator, discriminator)  # type: ignore[arg-type]
    result: list[list[Tensor]] = []
    for side, group in zip(("generator", "generator", "discriminator"), groups, strict=True):
        total = {m: (torch.zeros_like(m.u), torch.zeros_like(m.v)) for m in group}
        for index in range(samples):
            generator.zero_grad()
            discriminator.zero_grad()
            fake = discriminator(generator(latents[index]).image).logits
            if side == "generator":
                loss = F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
            else:
                real = discriminator(few_shot[index % len(few_shot), None]).logits
                loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
                loss = loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
            loss.backward()
            for m, (shared, own) in total.items():
                assert m.u.grad is not None and m.v.grad is not None
                shared += m.u.grad**2 / samples
                own += m.v.grad**2 / samples
        result.append(
            [
                torch.stack([own[k] + sum(shared) / len(shared) for k in range(len(own))])
                for shared, own in total.values()
            ]
        )
    return result


def test_the_importance_is_the_fisher_information_of_single_samples() -> None:
    session = start(setup=False)
    probe = adam(session).probe(session)
    expected = naive_importance(probe, 12)
    ours = importance_to_both(probe, 12)
    for group, wanted in zip(ours, expected, strict=True):
        for score, value in zip(group, wanted, strict=True):
            assert value.max() > 0
            torch.testing.assert_close(
                score.double(), value, rtol=1e-3, atol=1e-5 * float(value.max())
            )


def test_setup_preserves_the_kernels_that_the_probing_found_important() -> None:
    session, same = start(fisher_samples=5), start(setup=False)
    scores = importance_to_both(adam(same).probe(same), 5)
    expected = torch.cat([mask for group in scores for mask in most_important(group, 0.5)])
    assert torch.equal(masks(session), expected)


def test_the_probing_averages_its_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Tensor]] = []
    step = AdAM.step

    def watched(self: AdAM, session: Session) -> dict[str, float]:
        seen.append(copy.deepcopy(session.discriminator.state_dict()))
        return step(self, session)

    monkeypatch.setattr(AdAM, "step", watched)
    session = start(setup=False)
    probe = adam(session).probe(session)
    share = 1 - 0.5 ** (1 / 5)
    for name, mean in averaged_discriminator(probe).named_parameters():
        expected = seen[0][name]
        for state in (*seen[1:], probe.discriminator.state_dict()):
            expected = (1 - share) * expected + share * state[name]
        torch.testing.assert_close(mean.detach(), expected)
    assert len(seen) == 3
    assert not torch.equal(
        averaged_discriminator(probe).get_parameter("final_linear.1.weight"),
        probe.discriminator.get_parameter("final_linear.1.weight"),
    )


def test_the_probing_trains_modulations_biases_and_the_discriminators_last_block() -> None:
    session = start(setup=False)
    probe = adam(session).probe(session)
    assert probe.iteration == probe.iterations == 3
    for side, network in networks(probe).items():
        source = sources(session)[side]
        for name, parameter in network.named_parameters():
            if plain_name(name) in source:
                moves = "bias" in name or "noise" in name or name.startswith("final")
                assert torch.equal(parameter, source[plain_name(name)]) != moves, name
            else:
                assert name.endswith((".u", ".v"))


def test_the_probing_leaves_the_session_as_it_was() -> None:
    session = start(setup=False)
    before = state_of(session)
    session.prepare()
    after = state_of(session)
    assert after["streams"].keys() - before["streams"].keys() == {"probing"}
    found = 0
    for part in ("generator_side", "discriminator_side", "averaged"):
        for name, value in before[part].items():
            if not name.endswith("preserved"):
                identical(after[part][name], value)
            found += not torch.equal(after[part][name], value)
    assert found > 0
    assert before["generator_optimizer"] == after["generator_optimizer"] == {}
    assert before["discriminator_optimizer"] == after["discriminator_optimizer"] == {}
    assert session.iteration == 0 and float(session.path_length_mean) == 0


def test_what_is_preserved_depends_on_the_target_and_on_the_seed() -> None:
    white = np.full_like(Bench(AdAM).images, 255)
    first, again, other, seeded = start(), start(), start(images=white), start(seed=1)
    assert torch.equal(masks(first), masks(again))
    assert not torch.equal(masks(first), masks(other))
    assert not torch.equal(masks(first), masks(seeded))


@pytest.mark.parametrize(("fraction", "expected"), [(0.2, 8), (1.5, 60), (1e-3, 1)])
def test_the_probing_is_a_share_of_the_adaptation(fraction: float, expected: int) -> None:
    session = start(setup=False, iterations=40, probing_fraction=fraction)
    assert adam(session).probe(session).iteration == expected


def test_the_averaged_sampler_knows_what_is_preserved() -> None:
    session = start()
    ours = preserved_by_layer(session.averaged["generator"])
    identical(ours, preserved_by_layer(session.generator))


def test_it_keeps_to_the_contract() -> None:
    problems = {outcome.check: outcome.problem for outcome in check_method(AdAM)}
    assert len(problems) >= 7
    assert not any(problems.values()), problems


@pytest.mark.parametrize(
    "settings", [{"probing_fraction": 0}, {"fisher_samples": 0}, {"quantile": 1.1}]
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"must be|lies in"):
        start(setup=False, **settings)


def test_it_adapts_the_shipped_source() -> None:
    with as_file(files("fsgan_bench") / "assets" / "avatars.safetensors") as path:
        source = load_source(path)
    config = build_config(AdAM, {"fisher_samples": 4})
    session = Session(
        AdAM(config),
        *source.pair,
        draw("sketches", 0, 10),
        recipe=RECIPE,
        seed=0,
        iterations=10,
    )
    session.prepare()
    logs = train(session, 3)
    assert all(math.isfinite(value) for log in logs for value in log.values())
    z = torch.randn(
        2, source.generator.architecture.style_dim, generator=torch.Generator().manual_seed(0)
    ).to(session.device)
    with torch.no_grad():
        images = session.method.sample(dict(session.averaged.items()), z)
        moved = (images - session.source_generator(z).image).abs().max()
    assert images.shape == (2, 3, 64, 64) and 1e-3 < float(moved) < 10
