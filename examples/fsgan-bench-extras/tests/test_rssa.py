"""RSSA: its losses against loops over positions, its compression, and what reduces to what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.cdc import CDC
from fsgan_bench import (
    Architecture,
    Discriminator,
    Generator,
    Latents,
    Method,
    Session,
    Streams,
    UserError,
)
from fsgan_bench.contract import RECIPE, check_method, train
from fsgan_bench.data.avatars import draw
from fsgan_bench.data.images import to_tensor, to_uint8
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.checkpoint import load_source
from fsgan_bench.suites.file import get_suite
from fsgan_bench_extras.rssa import (
    DISTANCES,
    RSSA,
    Compression,
    RSSAConfig,
    disturbance_consistency,
    invert,
    self_correlation_consistency,
)

Maps = list[Tensor]

# Wider than the 3 shots, so that their latents span a proper subspace.
ARCHITECTURE = Architecture(16, style_dim=8, mapping_layers=2, channels={4: 8, 8: 8, 16: 4})
SHOTS = 3

kinds = pytest.mark.parametrize("kind", ["l1", "smooth_l1"])
losses = pytest.mark.parametrize("loss", [self_correlation_consistency, disturbance_consistency])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def random_maps(seed: int, *shapes: tuple[int, ...]) -> Maps:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def start(method: type[Method] = RSSA, **settings: Any) -> Session:
    with Streams(0).initialising("networks"):
        networks = Generator(ARCHITECTURE), Discriminator(ARCHITECTURE)
    images = np.random.default_rng(0).integers(0, 256, (SHOTS, 16, 16, 3), dtype=np.uint8)
    config = build_config(method, {**method.tiny, **settings})
    session = Session(method(config), *networks, images, recipe=RECIPE, seed=0, iterations=6)
    session.prepare()
    return session


def compression(session: Session) -> Compression:
    module = session.generator_side["compression"]
    assert isinstance(module, Compression)
    return module


# The losses, one pair of positions at a time.


def slow_cosine(a: Tensor, b: Tensor) -> float:
    dot = sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    norms = [math.sqrt(sum(x * x for x in v.tolist())) for v in (a, b)]
    return float(dot / (norms[0] * norms[1]))


def slow_distance(kind: str, a: float, b: float) -> float:
    gap = abs(a - b)
    return gap if kind == "l1" else (gap * gap / 2 if gap < 1 else gap - 0.5)


def slow_self_correlations(image: Tensor) -> list[float]:
    """Cosines of every ordered pair of positions of [C, S, S]."""
    spots = list(itertools.product(range(image.shape[1]), range(image.shape[2])))
    return [
        slow_cosine(image[:, y, x], image[:, v, u])
        for (y, x), (v, u) in itertools.product(spots, spots)
    ]


@kinds
def test_self_correlation_against_loops(kind: str) -> None:
    shapes = (2, 3, 2, 2), (2, 5, 4, 4)
    source, target = random_maps(0, *shapes), random_maps(1, *shapes)
    expected = 0.0
    for s, t in zip(source, target, strict=True):
        pairs = [
            (a, b)
            for i in range(2)
            for a, b in zip(slow_self_correlations(s[i]), slow_self_correlations(t[i]), strict=True)
        ]
        expected += sum(slow_distance(kind, a, b) for a, b in pairs) / len(pairs)
    found = self_correlation_consistency(source, target, DISTANCES[kind])
    assert float(found) == pytest.approx(expected, rel=1e-12)


@kinds
def test_large_maps_are_averaged_and_compared_within_windows(kind: str) -> None:
    ((source,), (target,)) = random_maps(2, (2, 3, 16, 16)), random_maps(3, (2, 3, 16, 16))

    def halved(features: Tensor) -> Tensor:
        out = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
        for i, y, x in itertools.product(range(2), range(16), range(16)):
            spot = features[i, :, y, x]
            out[i, :, y // 2, x // 2] += spot / spot.square().sum().sqrt() / 4
        return out

    def dots(image: Tensor, top: int, left: int) -> list[float]:
        spots = list(itertools.product(range(top, top + 4), range(left, left + 4)))
        return [
            float((image[:, y, x] * image[:, v, u]).sum())
            for (y, x), (v, u) in itertools.product(spots, spots)
        ]

    def mean_over(corners: list[tuple[int, int]]) -> float:
        gaps = [
            slow_distance(kind, a, b)
            for i, corner in itertools.product(range(2), corners)
            for a, b in zip(dots(s[i], *corner), dots(t[i], *corner), strict=True)
        ]
        return sum(gaps) / len(gaps)

    s, t = halved(source), halved(target)
    expected = mean_over([(0, 0), (0, 4), (4, 0), (4, 4)]) + mean_over([(2, 2)])
    found = self_correlation_consistency([source], [target], DISTANCES[kind], whole=8)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_windows_begin_above_32() -> None:
    """A map of 32x32 is compared as a whole in either loss, and one of 64x64 is not [code]."""
    for side, whole in ((32, 32), (64, 16)):
        ((source,), (target,)) = (random_maps(seed, (2, 1, side, side)) for seed in (0, 1))
        for loss in (self_correlation_consistency, disturbance_consistency):
            found = loss([source], [target], F.l1_loss)
            assert float(found) == float(loss([source], [target], F.l1_loss, whole=whole))


def slow_disturbance(kind: str, source: Tensor, target: Tensor, across: int) -> float:
    """Mean over pairs, windows and positions of the distance of two softmaxes over positions."""
    side = source.shape[-1] // across
    sums = []
    for i, j in itertools.combinations(range(len(source)), 2):
        for top, left in itertools.product(range(0, side * across, side), repeat=2):
            spots = list(itertools.product(range(top, top + side), range(left, left + side)))
            for y, x in spots:
                rows = []
                for f in (source, target):
                    row = [math.exp(slow_cosine(f[i, :, y, x], f[j, :, v, u])) for v, u in spots]
                    rows.append([value / sum(row) for value in row])
                gaps = [slow_distance(kind, a, b) for a, b in zip(*rows, strict=True)]
                sums.append(sum(gaps))
    return sum(sums) / len(sums)


@kinds
@pytest.mark.parametrize("whole", [8, 4])
def test_disturbance_correlation_against_loops(kind: str, whole: int) -> None:
    shapes = (3, 4, 4, 4), (3, 2, 8, 8)
    source, target = random_maps(4, *shapes), random_maps(5, *shapes)
    expected = sum(
        slow_disturbance(kind, s, t, 1 if s.shape[-1] <= whole else 4)
        for s, t in zip(source, target, strict=True)
    )
    found = disturbance_consistency(source, target, DISTANCES[kind], whole)
    assert float(found) == pytest.approx(expected, rel=1e-12)


@losses
@kinds
def test_the_losses_vanish_where_structures_agree(loss: Callable[..., Tensor], kind: str) -> None:
    shapes = (2, 3, 4, 4), (2, 3, 16, 16)
    source = random_maps(6, *shapes)
    # Cosines see neither the scale of a position nor a rotation of all channels.
    turn, _ = torch.linalg.qr(random_maps(7, (3, 3))[0])
    scales = [1 + m[:, :1].abs() for m in random_maps(8, *shapes)]
    turned = [
        torch.einsum("dc,nchw->ndhw", turn, features * scale)
        for features, scale in zip(source, scales, strict=True)
    ]
    assert float(loss(source, source, DISTANCES[kind], whole=8)) == 0
    assert float(loss(source, turned, DISTANCES[kind], whole=8)) == pytest.approx(0, abs=1e-12)
    other = random_maps(9, *shapes)
    assert float(loss(source, other, DISTANCES[kind], whole=8)) > 1e-4


@losses
@kinds
@pytest.mark.parametrize("side", [4, 8])
def test_gradients_against_finite_differences(
    loss: Callable[..., Tensor], kind: str, side: int
) -> None:
    (source,), (target,) = random_maps(10, (3, 2, side, side)), random_maps(11, (3, 2, side, side))
    target.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda t: loss([source], [t], DISTANCES[kind], whole=4), (target,)
    )


# The compression.


def test_the_strengths_at_256_are_the_published_ones() -> None:
    wide = Architecture(256, style_dim=4, mapping_layers=1, channels={2**i: 1 for i in range(2, 9)})
    module = Compression(wide, RSSA.Config().compression, 2)
    expected = [0] * 3 + [0.05] * 4 + [0.45] * 2 + [0.65] * 2 + [0.85] * 3
    torch.testing.assert_close(module.strength.flatten(), torch.tensor(expected))


def test_compression_is_a_projection_of_the_same_norm_and_as_strong_as_said() -> None:
    codes, w = (torch.randn(n, 6, 8, generator=torch.Generator().manual_seed(n)) for n in (3, 5))
    module = Compression(ARCHITECTURE, (1.0, 0.25), 3)
    module.span(codes)
    moved = module(w)
    for layer, strength in enumerate([0, 0.25, 0.25, 1, 1, 1]):
        spanning = codes[:, layer].t()
        for before, after in zip(w[:, layer], moved[:, layer], strict=True):
            inside = spanning @ torch.linalg.lstsq(spanning, before[:, None]).solution[:, 0]
            inside = inside / inside.norm() * before.norm()
            wanted = strength * inside + (1 - strength) * before
            torch.testing.assert_close(after, wanted, rtol=1e-4, atol=1e-5)


def test_codes_may_repeat_and_may_outnumber_dimensions() -> None:
    code, w = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))[:, None]
    repeated = Compression(ARCHITECTURE, (1.0,), 3)
    repeated.span(code.expand(3, -1, -1))
    once = Compression(ARCHITECTURE, (1.0,), 1)
    once.span(code)
    torch.testing.assert_close(repeated(w), once(w), rtol=1e-4, atol=1e-5)
    everything = Compression(ARCHITECTURE, (1.0,), 20)
    everything.span(torch.randn(20, 6, 8, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(everything(w), w, rtol=1e-4, atol=1e-5)


def test_inversion_finds_what_the_source_can_draw() -> None:
    session = start(compression=())
    generator = session.source_generator
    with torch.no_grad():
        z = torch.randn(SHOTS, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
        session.images = to_uint8(generator(z).image)
    session.few_shot = to_tensor(session.images).to(session.device)
    errors = []
    for steps in (1, 30, 200):
        drawn = generator.synthesise(invert(session, steps)).image.detach()
        errors.append(float(F.mse_loss(drawn, session.few_shot)))
    spread = (session.few_shot - session.few_shot.mean(dim=0)).square().mean()
    assert errors[0] == pytest.approx(float(spread), rel=0.1)
    assert errors[0] > 2 * errors[1] > 10 * errors[2]


def test_inversion_follows_pixels_and_features() -> None:
    """Adam's first step is a step of its rate against the sign of every slope."""
    session = start(compression=())
    generator, discriminator = session.source_generator, session.source_discriminator
    mean = generator.mean_w(start(compression=()).normal("inversion", 5120, 8))
    w = mean.detach().repeat(SHOTS, 6, 1).requires_grad_(True)
    drawn, images = generator.synthesise(w).image, session.few_shot
    pixels = (drawn - images).square().mean()
    perceptual = torch.zeros(())
    for layer in range(discriminator.n_features):
        ours, theirs = (discriminator(x, (layer,)).features[layer] for x in (drawn, images))
        gaps = ours / ours.norm(dim=1, keepdim=True) - theirs / theirs.norm(dim=1, keepdim=True)
        perceptual = perceptual + gaps.square().sum(dim=1).mean()
    (slope,) = torch.autograd.grad(pixels + perceptual, w, retain_graph=True)
    (without,) = torch.autograd.grad(pixels, w)
    moved = invert(session, 1) - w.detach()
    steep = slope.abs() > 1e-3
    torch.testing.assert_close(moved[steep], -0.1 * slope[steep].sign(), rtol=1e-3, atol=1e-4)
    assert (slope.sign() != without.sign())[steep].any()


def test_every_image_comes_through_the_compression() -> None:
    session = start(compression=(1.0, 1.0))
    module, generator = compression(session), session.generator
    assert module.basis.any()
    z, mix = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0)).to(session.device)
    with torch.no_grad():
        rendered = session.method.render(session, Latents(z, mix, 3)).w
        scored = session.method.sample(dict(session.averaged.items()), z)
    torch.testing.assert_close(rendered, module(generator.styles(z, mix, 3)))
    assert not torch.allclose(rendered, generator.styles(z, mix, 3), atol=1e-2)
    source = session.source_generator
    expected = source.synthesise(module(source.styles(z))).image
    torch.testing.assert_close(scored, expected)
    assert not torch.allclose(scored, source(z).image, atol=1e-3)
    assert isinstance(session.method, RSSA)
    compared, _ = session.method.features(session, z, 16)
    with torch.no_grad():
        wanted = source.synthesise(module(source.styles(z)), features=True).features
    torch.testing.assert_close(compared, wanted)


# The method.


def test_the_defaults_are_the_published_ones() -> None:
    """Of the published scripts for faces; how long the inversion takes is ours."""
    config = RSSAConfig()
    assert (config.self_correlation_weight, config.disturbance_weight) == (0.8, 0.4)
    assert (config.self_correlation_up_to, config.disturbance_up_to) == (256, 128)
    assert (config.consistency_batch, config.disturbance_distance) == (4, "l1")
    assert (config.inversion_steps, config.anchor_every, config.anchor_noise) == (200, 4, 0.1)


def test_the_presets_are_the_last_commit_and_the_one_before() -> None:
    last, first = RSSAConfig(), RSSAConfig(preset="first")
    names = ("self_correlation_distance", "disturbance", "disturbance_every")
    assert [getattr(last, name) for name in names] == ["smooth_l1", 1.0, 6]
    assert [getattr(first, name) for name in names] == ["l1", 0.15, 1]
    assert not last.compresses_disturbed and first.compresses_disturbed
    mixed = build_config(RSSA, {"preset": "first", "disturbance_every": "3"})
    assert (mixed.disturbance_every, mixed.disturbance) == (3, 0.15)
    assert build_config(RSSA, {}) == last == RSSA().config


def test_the_last_preset_by_plain_formulas() -> None:
    """Against the losses on features that are synthesised here, at iterations 5 and 6."""
    session, twin = start(), start()
    with torch.no_grad():
        for each in (session, twin):
            each.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
    module = compression(twin)

    def maps(z: Tensor, compressed: bool) -> list[list[Tensor]]:
        found = []
        for generator in (twin.source_generator, twin.generator):
            w = generator.styles(z)
            w = module(w) if compressed else w
            found.append(generator.synthesise(w, features=True).features)
        return found

    for iteration in (5, 6):
        session.iteration = iteration
        terms = session.method.generator_loss(session)
        z = twin.normal("self_correlation", 4, 8)
        source, target = maps(z, True)
        # 16 / 4 is 4, so that every map is large enough
        expected = self_correlation_consistency(source, target, F.smooth_l1_loss)
        torch.testing.assert_close(terms["self_correlation"], 0.8 * expected)
        assert ("disturbance" in terms) == (iteration == 6)
        if iteration == 6:
            twin.normal("disturbance", 1, 8)
            source, target = maps(twin.normal("disturbance", 4, 8), False)
            expected = disturbance_consistency(source, target, F.l1_loss)
            torch.testing.assert_close(terms["disturbance"], 0.4 * expected)


def test_small_maps_are_left_out_of_the_first_loss() -> None:
    session, twin = start(coarsest_self_correlation=1), start()
    with torch.no_grad():
        for each in (session, twin):
            each.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
    found = session.method.generator_loss(session)["self_correlation"]
    assert isinstance(twin.method, RSSA)
    source, target = twin.method.features(twin, twin.normal("self_correlation", 4, 8), 256)
    expected = self_correlation_consistency(source[3:], target[3:], F.smooth_l1_loss)
    torch.testing.assert_close(found, 0.8 * expected)


def test_it_keeps_the_contract() -> None:
    outcomes = list(check_method(RSSA))
    assert outcomes
    assert [(o.check, o.problem) for o in outcomes if o.problem] == []


def test_without_losses_and_compression_it_is_its_adversarial_part() -> None:
    ours = start(self_correlation_weight=0, disturbance_weight=0, compression=())
    theirs = start(CDC, distance_weight=0)
    assert train(ours, 6) == train(theirs, 6)
    for side in ("generator_side", "discriminator_side", "averaged"):
        weights, expected = (getattr(session, side).state_dict() for session in (ours, theirs))
        for name, value in expected.items():
            assert torch.equal(weights[name], value), name
        assert all(name.startswith("compression.") for name in weights.keys() - expected.keys())


def test_both_losses_grow_from_zero_and_move_the_target_alone() -> None:
    logs = train(start(disturbance_every=1), 4)
    for term in ("generator/self_correlation", "generator/disturbance"):
        values = [log[term] for log in logs]
        assert values[0] == pytest.approx(0, abs=1e-5)
        assert min(values[1:]) > 1e-6
    session = start()
    assert isinstance(session.method, RSSA)
    source, target = session.method.features(session, torch.zeros(4, 8, device=session.device), 16)
    assert not any(layer.requires_grad for layer in source)
    assert all(layer.requires_grad for layer in target)


@pytest.mark.parametrize("term", ["self_correlation", "disturbance"])
def test_either_loss_can_be_ablated_and_weighs_what_is_said(term: str) -> None:
    other = {"self_correlation": "disturbance", "disturbance": "self_correlation"}[term]
    values = []
    for weight in (1.0, 3.0):
        settings: dict[str, Any] = {f"{term}_weight": weight, f"{other}_weight": 0}
        session = start(**settings)
        with torch.no_grad():
            session.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
        terms = session.method.generator_loss(session)
        assert terms.keys() == {"adversarial", term}
        values.append(terms[term])
    torch.testing.assert_close(3 * values[0], values[1])


def test_a_weight_of_zero_shifts_no_other_draw() -> None:
    full, ablated = start(), start(disturbance_weight=0)
    ours, theirs = (session.method.generator_loss(session) for session in (full, ablated))
    for term in ("adversarial", "self_correlation"):
        assert torch.equal(ours[term], theirs[term])


def test_disturbed_latents_share_most_of_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    features = RSSA.features

    def watched(
        self: RSSA, session: Session, z: Tensor, up_to: int, **options: bool
    ) -> tuple[Maps, Maps]:
        seen.append(z)
        found = features(self, session, z, up_to, **options)
        for layers in found:
            assert [layer.shape[-1] for layer in layers] == [4, 8]
        return found

    monkeypatch.setattr(RSSA, "features", watched)
    session = start(self_correlation_weight=0, disturbance=0.1, disturbance_up_to=8)
    for _ in range(200):
        session.method.generator_loss(session)
    z = torch.stack(seen)
    assert z.shape == (200, 4, 8)
    assert float(z.var(dim=1).mean().sqrt()) == pytest.approx(0.1, rel=0.1)
    assert float(z.mean(dim=1).std()) == pytest.approx(0.9, rel=0.1)


@pytest.mark.parametrize(
    ("up_to", "both", "sides"),
    [
        (256, True, [4, 8, 8, 16, 16]),
        (256, False, [4, 8, 8, 16, 16]),
        (16, False, [4, 8, 8, 16]),
        (8, True, [4, 8, 8]),
        (8, False, [4, 8]),
        (4, False, [4]),
    ],
)
def test_which_maps_are_compared(up_to: int, both: bool, sides: list[int]) -> None:
    session = start()
    assert isinstance(session.method, RSSA)
    z = torch.zeros(2, 8, device=session.device)
    for maps in session.method.features(session, z, up_to, both=both):
        assert [layer.shape[-1] for layer in maps] == sides


@pytest.mark.parametrize(
    "settings",
    [
        {"consistency_batch": 1},
        {"inversion_steps": 0},
        {"disturbance": 1.5},
        {"compression": (0.5, -1)},
        {"disturbance_up_to": 2},
        {"self_correlation_distance": "l2"},
        {"disturbance_every": 0},
        {"preset": "church"},
        {"patch_downscales": (64,)},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        start(**settings)


def test_it_runs_on_the_shipped_source() -> None:
    suite = get_suite("avatars")
    source = load_source(suite.source.path)
    session = Session(
        RSSA(build_config(RSSA, {"inversion_steps": 2})),
        *source.pair,
        draw("sketches", 0, 4, 64),
        recipe=replace(suite.recipe, generator_rate=1.0),
        seed=0,
        iterations=3,
    )
    session.prepare()
    logs = train(session, 3)
    for log in logs:
        assert all(math.isfinite(value) for value in log.values())
    assert ["generator/disturbance" in log for log in logs] == [True, False, False]
    assert logs[0]["generator/disturbance"] == pytest.approx(0, abs=1e-3)
    assert logs[0]["generator/self_correlation"] == pytest.approx(0, abs=1e-3)
    assert logs[2]["generator/self_correlation"] > 1e-4
    z = torch.randn(2, source.generator.architecture.style_dim, device=session.device)
    images = session.method.sample(dict(session.averaged.items()), z)
    assert images.shape == (2, 3, 64, 64)


def test_settings_that_leave_no_feature_map_are_a_sentence() -> None:
    with pytest.raises(UserError, match=r"self_correlation_up_to=4 leaves no feature map"):
        start(coarsest_self_correlation=2, self_correlation_up_to=4)
