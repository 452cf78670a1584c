"""Intra-LPIPS against hand-computed cases, the package ``lpips`` and explicit pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from fsgan_bench.data.images import to_tensor
from fsgan_bench.features.lpips import LpipsNetwork, build_lpips
from fsgan_bench.features.names import IntraProtocol
from fsgan_bench.metrics.intra_lpips import (
    PROTOCOLS,
    Rows,
    assign,
    intra_lpips,
    mean_pairwise_lpips,
    pairwise_lpips,
    streamed_intra_lpips,
)


def line(*positions: float) -> Tensor:
    return torch.tensor(positions, dtype=torch.float32)[:, None]


def points(count: int, dimensions: int, seed: int) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_case_computed_by_hand(protocol: IntraProtocol) -> None:
    few_shot = line(0, 10, 20, 30)
    fakes = line(0, 1, 3, 11, 9, 21)
    result = intra_lpips(fakes, few_shot, protocol)
    first, second = (1 + 9 + 4) / 3, 4.0
    assert result.protocol == protocol
    assert result.value == pytest.approx((first + second) / 2)
    assert result.std == pytest.approx((first - second) / math.sqrt(2))
    assert result.with_empty_as_zero == pytest.approx((first + second) / 4)
    assert result.cluster_sizes == (3, 2, 1, 0)
    assert (result.empty, result.singleton) == (1, 1)


def test_equals_the_lpips_package_on_explicit_pairs() -> None:
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (15, 64, 64, 3), dtype=np.uint8)
    images[::2] //= 3
    images[::3, :, :20] = 200
    model = build_lpips("squeeze", seed=0)
    lpips = LpipsNetwork("squeeze", model).features(images).lpips
    fakes, few_shot = lpips[3:], lpips[:3]

    tensors = to_tensor(images)
    with torch.inference_mode():
        to_few_shot = torch.stack([model(tensors[3:], t[None]).flatten() for t in tensors[:3]], 1)
        nearest = to_few_shot.argmin(1)
        clusters = [
            [
                float(model(tensors[3 + i][None], tensors[3 + j][None]))
                for i, j in combinations(torch.nonzero(nearest == k).flatten().tolist(), 2)
            ]
            for k in range(3)
        ]
    means = [sum(pairs) / len(pairs) for pairs in clusters if pairs]
    assert len(means) >= 2
    result = intra_lpips(fakes, few_shot)
    assert torch.equal(assign(fakes, few_shot), nearest)
    assert torch.allclose(pairwise_lpips(fakes, few_shot), to_few_shot, atol=1e-5)
    assert result.value == pytest.approx(sum(means) / len(means), abs=1e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_collapse_onto_one_few_shot_image_is_not_diverse(protocol: IntraProtocol) -> None:
    few_shot = 10 * torch.eye(10)
    spread = few_shot.repeat_interleave(20, 0) + 0.1 * points(200, 10, 0)
    collapsed = few_shot[:1] + 0.1 * points(200, 10, 0)
    diverse = intra_lpips(spread, few_shot, protocol)
    replay = intra_lpips(collapsed, few_shot, protocol)
    assert replay.cluster_sizes == (200, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert replay.empty == 9
    assert math.isnan(replay.std)
    assert replay.value == pytest.approx(diverse.value, rel=0.2)
    assert replay.with_empty_as_zero == pytest.approx(replay.value / 10)
    assert diverse.with_empty_as_zero == diverse.value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_copies_of_the_few_shot_images_score_zero(protocol: IntraProtocol) -> None:
    few_shot = points(5, 300, 1)
    result = intra_lpips(few_shot.repeat(8, 1), few_shot, protocol)
    assert result.value == pytest.approx(0, abs=1e-12)
    assert result.cluster_sizes == (8, 8, 8, 8, 8)


def test_cdc2021_takes_fifty_of_a_cluster() -> None:
    few_shot = line(0.0)
    fakes = line(*[0.0] * 50, 1.0)
    by_seed = [intra_lpips(fakes, few_shot, "cdc2021", seed=seed) for seed in range(400)]
    without, with_outlier = 0.0, 49 / (50 * 49 / 2)
    values = {round(result.value, 9) for result in by_seed}
    assert values == {without, round(with_outlier, 9)}
    assert all(result.cluster_sizes == (51,) for result in by_seed)
    assert intra_lpips(fakes, few_shot).value == pytest.approx(50 / (51 * 50 / 2))


def test_cdc2021_depends_on_the_seed_alone() -> None:
    fakes, few_shot = points(300, 20, 0), points(3, 20, 1)
    first = intra_lpips(fakes, few_shot, "cdc2021", seed=5)
    torch.manual_seed(123)
    assert intra_lpips(fakes, few_shot, "cdc2021", seed=5) == first
    assert intra_lpips(fakes, few_shot, "cdc2021", seed=6).value != first.value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_agree_on_small_clusters_and_with_explicit_pairs(protocol: IntraProtocol) -> None:
    fakes, few_shot = points(90, 4, 0), points(4, 4, 1)
    index = torch.cdist(fakes.double(), few_shot.double()).argmin(1)
    means = [torch.pdist(fakes[index == k].double()).square().mean() for k in range(4)]
    assert all(2 <= len(fakes[index == k]) <= 50 for k in range(4))
    result = intra_lpips(fakes, few_shot, protocol)
    assert result.value == pytest.approx(float(torch.stack(means).mean()), rel=1e-9)


def rows_of(fakes: Tensor, batch: int, seen: list[int] | None = None) -> Rows:
    """Passes over ``fakes`` in batches; the number of images of each pass goes into ``seen``."""

    def rows(indices: NDArray[np.intp] | None) -> Iterable[Tensor]:
        chosen = fakes if indices is None else fakes[torch.from_numpy(indices)]
        if seen is not None:
            seen.append(len(chosen))
        return torch.split(chosen, batch)

    return rows


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 300])
def test_streaming_changes_nothing(
    large: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes, few_shot = points(300, 50, 0), points(5, 50, 1)
    whole = {protocol: intra_lpips(fakes, few_shot, protocol, seed=2) for protocol in PROTOCOLS}
    if large:
        monkeypatch.setattr("fsgan_bench.metrics.pair_means.SUMS_BYTES", 8 * 5 * 50 - 1)
    means, errors = (1e-6, 1e-5) if large else (1e-12, 1e-9)
    seen: list[int] = []
    streamed = streamed_intra_lpips(rows_of(fakes, batch, seen), few_shot, seed=2).by_protocol
    sizes = whole["exact"].cluster_sizes
    assert any(size > 50 for size in sizes) and any(0 < size <= 50 for size in sizes)
    second = 50 * sum(size > 50 for size in sizes)
    assert sum(seen) == 300 + second
    for protocol in PROTOCOLS:
        assert streamed[protocol].cluster_sizes == whole[protocol].cluster_sizes
        assert streamed[protocol].value == pytest.approx(whole[protocol].value, rel=means)
        assert streamed[protocol].std == pytest.approx(whole[protocol].std, rel=errors)
        alone = streamed_intra_lpips(rows_of(fakes, batch), few_shot, [protocol], seed=2)
        assert alone.by_protocol[protocol].value == pytest.approx(whole[protocol].value, rel=means)


@pytest.mark.parametrize("batch", [7, 300])
def test_all_values_together_take_two_passes(batch: int) -> None:
    fakes, few_shot = points(300, 50, 0), points(5, 50, 1)
    seen: list[int] = []
    streamed_intra_lpips(rows_of(fakes, batch, seen), few_shot, distances=True)
    assert sum(seen) == 2 * 300


def test_large_sums_keep_five_digits_of_clusters_far_from_their_centre(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images that differ from each other a tenth as much as from their few-shot image."""
    few_shot = points(2, 20_000, 0)
    fakes = (few_shot + 0.3 * points(2, 20_000, 1)).repeat(200, 1) + 0.03 * points(400, 20_000, 2)
    exact = streamed_intra_lpips(rows_of(fakes, 32), few_shot, distances=True)
    monkeypatch.setattr("fsgan_bench.metrics.pair_means.SUMS_BYTES", 0)
    large = streamed_intra_lpips(rows_of(fakes, 32), few_shot, distances=True)
    for protocol in PROTOCOLS:
        expected = exact.by_protocol[protocol].value
        assert large.by_protocol[protocol].value == pytest.approx(expected, rel=1e-5)
    assert exact.distances is not None
    assert large.distances == pytest.approx(exact.distances, rel=1e-5)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("batch", [7, 300])
def test_distances_to_the_rest_of_the_cluster(
    large: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = torch.full((1, 50), 100.0)
    fakes = torch.cat([points(120, 50, 0), alone])
    few_shot = torch.cat([points(5, 50, 1), alone])
    if large:
        monkeypatch.setattr("fsgan_bench.metrics.pair_means.SUMS_BYTES", 0)
    precision = 1e-6 if large else 1e-9
    made = streamed_intra_lpips(rows_of(fakes, batch), few_shot, distances=True)
    assert made.distances is not None and math.isnan(made.distances[-1])
    pairs = torch.cdist(fakes.double(), fakes.double()).square()
    for i in range(120):
        others = [int(j) for j in np.flatnonzero(made.index == made.index[i]) if j != i]
        assert made.distances[i] == pytest.approx(float(pairs[i, others].mean()), rel=precision)
    means = [made.distances[made.index == k].mean() for k in range(5)]
    assert made.by_protocol["exact"].value == pytest.approx(np.mean(means), rel=precision)


def test_a_far_offset_costs_no_precision() -> None:
    spread = 1e-3 * points(100, 8, 0).double()
    expected = torch.pdist(spread).square().mean()
    offset = spread + 1000
    assert mean_pairwise_lpips(offset) == pytest.approx(float(expected), rel=1e-8)
    assert intra_lpips(offset, offset[:1] + 0.01).value == pytest.approx(float(expected), rel=1e-8)


def test_one_few_shot_image_is_one_cluster() -> None:
    fakes = points(30, 6, 0)
    result = intra_lpips(fakes, points(1, 6, 1))
    assert result.cluster_sizes == (30,)
    assert result.value == pytest.approx(mean_pairwise_lpips(fakes), rel=1e-12)
    assert result.with_empty_as_zero == result.value
    assert math.isnan(result.std)


def test_a_single_fake_has_no_diversity_to_measure() -> None:
    result = intra_lpips(line(1.0), line(0.0, 5.0))
    assert math.isnan(result.value)
    assert result.with_empty_as_zero == 0
    assert (result.empty, result.singleton) == (1, 1)


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 40), dimensions=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_mean_pairwise_equals_the_mean_over_explicit_pairs(
    count: int, dimensions: int, seed: int
) -> None:
    features = points(count, dimensions, seed)
    expected = torch.pdist(features.double()).square().mean()
    assert mean_pairwise_lpips(features) == pytest.approx(float(expected), rel=1e-9)


def test_pairwise_is_never_negative_and_zero_on_copies() -> None:
    features = points(20, 500, 0)
    distances = pairwise_lpips(features, features)
    assert bool((distances >= 0).all())
    assert torch.allclose(distances.diagonal(), torch.zeros(20), atol=1e-3)


@pytest.mark.parametrize(
    ("fakes", "few_shot", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3), "N > 0"),
        (torch.zeros(2, 3), torch.zeros(0, 3), "N > 0"),
        (torch.zeros(2, 0), torch.zeros(2, 0), "no LPIPS"),
        (torch.zeros(2, 3), torch.zeros(2, 4), "different widths, 3 and 4"),
        (torch.zeros(3), torch.zeros(2, 3), "features"),
    ],
)
def test_refuses_what_is_no_pair_of_feature_sets(
    fakes: Tensor, few_shot: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        intra_lpips(fakes, few_shot)


def test_refuses_empty_streams_unknown_protocols_and_single_images() -> None:
    with pytest.raises(ValueError, match="no fakes"):
        streamed_intra_lpips(lambda _: [], line(0.0))
    with pytest.raises(ValueError, match="'all'"):
        intra_lpips(line(0.0), line(0.0), "all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two images"):
        mean_pairwise_lpips(line(0.0))
