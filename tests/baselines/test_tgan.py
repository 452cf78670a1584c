"""TGAN is the base class: all of the pair trains with the shared recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from fsgan_bench.session import Session


def test_everything_trains_but_fixed_noise_and_blur(
    start: Callable[..., Session],
    train: Callable[[Session, int], list[dict[str, float]]],
    weights: Callable[[Session], dict[str, dict[str, Tensor]]],
    changed: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], set[str]],
) -> None:
    session = start("tgan")
    before = weights(session)
    logs = train(session, 4)
    after = weights(session)
    for side in ("generator_side", "discriminator_side"):
        parameters = {name for name, _ in getattr(session, side).named_parameters()}
        assert changed(before[side], after[side]) == parameters
    assert set.union(*map(set, logs)) == {
        "discriminator/adversarial",
        "discriminator/r1",
        "generator/adversarial",
        "generator/path_length",
    }
