from __future__ import annotations

from itertools import permutations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fsgan_bench.training.streams import Streams, stream_seed

NAMES = ("latents", "noise", "images")


def draw(streams: Streams, name: str) -> Tensor:
    return torch.randn(5, generator=streams[name])


def test_same_seed_same_draws() -> None:
    first, second = Streams(3), Streams(3)
    for name in NAMES:
        assert torch.equal(draw(first, name), draw(second, name))
        assert torch.equal(draw(first, name), draw(second, name))


def test_a_stream_goes_on() -> None:
    streams = Streams(3)
    assert not torch.equal(draw(streams, "latents"), draw(streams, "latents"))


def test_streams_and_seeds_differ() -> None:
    draws = [draw(Streams(seed), name) for seed in (0, 1, 10) for name in NAMES]
    for i, first in enumerate(draws):
        assert not any(torch.equal(first, other) for other in draws[:i])


def test_order_of_creation_does_not_matter() -> None:
    expected = {name: draw(Streams(3), name) for name in NAMES}
    for order in permutations(NAMES):
        streams = Streams(3)
        for name in order:
            assert torch.equal(draw(streams, name), expected[name])


@given(st.lists(st.sampled_from(NAMES), max_size=20))
def test_draws_of_one_stream_do_not_shift_another(others: list[str]) -> None:
    busy, alone = Streams(3), Streams(3)
    for name in others:
        draw(busy, name)
        draw(busy, "other")
    for name in others:
        draw(alone, name)
    assert torch.equal(draw(busy, "latents"), draw(alone, "latents"))


@given(st.integers(0, 2**40), st.text(min_size=1, max_size=8))
def test_seeds_fit_torch(seed: int, name: str) -> None:
    assert 0 <= stream_seed(seed, name) < 2**63
    Streams(seed)[name]


def test_state_round_trip_continues() -> None:
    streams = Streams(3)
    for name in NAMES[:2]:
        draw(streams, name)
    state = {name: value.clone() for name, value in streams.state_dict().items()}
    expected = {name: draw(streams, name) for name in NAMES}

    restored = Streams(3)
    draw(restored, "images")  # a stream that the state does not know starts over
    restored.load_state_dict(state)
    for name in NAMES:
        assert torch.equal(draw(restored, name), expected[name])


def test_integers_cover_their_range() -> None:
    streams = Streams(0)
    drawn = {streams.integer("mixing", 1, 4) for _ in range(100)}
    assert drawn == {1, 2, 3}


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 12))
def test_distinct_draws_are_those_of_a_slow_loop(count: int, size: int, draws: int) -> None:
    """Cards dealt one by one: a new shuffled pack where the old one does not fill a hand."""
    streams, dice = Streams(3), Streams(3)["images"]
    pack: list[int] = []
    for _ in range(draws):
        drawn = streams.distinct("images", count, size).tolist()
        if len(pack) < size:
            pack = []
            while len(pack) < size:
                pack += torch.randperm(count, generator=dice).tolist()
        assert drawn == [pack.pop(0) for _ in range(size)]
        times = [drawn.count(index) for index in range(count)]
        assert max(times) - min(times) <= 1


def test_a_pass_goes_on_after_a_round_trip() -> None:
    streams = Streams(3)
    for _ in range(3):
        streams.distinct("images", 10, 3)
    state = streams.state_dict()
    expected = [streams.distinct("images", 10, 3).tolist() for _ in range(5)]
    restored = Streams(3)
    restored.distinct("images", 7, 3)
    restored.load_state_dict(state)
    assert [restored.distinct("images", 10, 3).tolist() for _ in range(5)] == expected


def test_a_pass_can_be_taken_back() -> None:
    streams = Streams(3)
    with streams.taken_back():
        expected = [streams.distinct("images", 10, 4).tolist() for _ in range(3)]
    assert [streams.distinct("images", 10, 4).tolist() for _ in range(3)] == expected


def test_global_state_neither_matters_nor_changes() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    streams = Streams(3)
    first = draw(streams, "latents")
    with streams.initialising("modules"):
        layer = nn.Linear(3, 3)
    assert torch.equal(torch.random.get_rng_state(), before)

    torch.manual_seed(2)
    again = Streams(3)
    with again.initialising("modules"):
        same = nn.Linear(3, 3)
    assert torch.equal(same.weight, layer.weight)
    assert torch.equal(draw(again, "latents"), first)
