"""CDC: what distance consistency is computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import baselines.cdc
from baselines.cdc import CDC, distance_consistency
from fsgan_bench.errors import UserError
from fsgan_bench.training.session import Session

Start = Callable[..., Session]
Train = Callable[[Session, int], list[dict[str, float]]]
Call = tuple[Sequence[Tensor], Sequence[Tensor], Tensor]


def distance(session: Session) -> Tensor:
    assert isinstance(session.method, CDC)
    return session.method.distance(session)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Arguments of every computation of the distance term."""
    seen: list[Call] = []

    def watched(*arguments: Sequence[Tensor]) -> Tensor:
        seen.append(arguments)  # type: ignore[arg-type]
        return distance_consistency(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(baselines.cdc, "distance_consistency", watched)
    return seen


def test_it_compares_four_images_at_layers_above_the_coarsest(
    start: Start, calls: list[Call]
) -> None:
    session = start("cdc")
    for _ in range(20):
        distance(session)
    layers = torch.stack([call[2] for call in calls])
    assert layers.shape == (20, 4)
    assert set(layers.flatten().tolist()) == {1, 2, 3, 4}
    assert any(len(row.unique()) > 1 for row in layers)
    for source, target, _ in calls:
        assert [f.shape[:1] + f.shape[2:] for f in target] == [
            (4, side, side) for side in (4, 8, 8, 16, 16)
        ]
        assert all(f.requires_grad for f in target)
        assert not any(f.requires_grad for f in source)


def test_source_and_target_share_latents_and_noise(start: Start, calls: list[Call]) -> None:
    session = start("cdc")
    assert float(distance(session).detach()) == pytest.approx(0, abs=1e-8)
    ((source, target, _),) = calls
    for ours, theirs in zip(source, target, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(source[1][0], source[1][1])


def test_every_latent_has_noise_of_its_own(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    session = start("cdc")
    seen: list[list[Tensor]] = []
    forward = session.generator.forward

    def watched(*arguments: Any, noise: list[Tensor], **options: Any) -> Any:
        seen.append(noise)
        return forward(*arguments, noise=noise, **options)

    monkeypatch.setattr(session.generator, "forward", watched)
    for _ in range(2):
        distance(session)
    for first, second in zip(*seen, strict=True):
        assert len(torch.cat([first, second]).unique(dim=0)) == 8


def test_the_term_grows_from_zero(start: Start, train: Train) -> None:
    terms = [log["generator/distance"] for log in train(start("cdc"), 4)]
    assert terms[0] == pytest.approx(0, abs=5e-5)
    assert min(terms[1:]) > 1e-4


def test_the_weight_multiplies_the_gradient(start: Start) -> None:
    gradients = []
    for weight in (1.0, 1000.0):
        session = start("cdc", distance_weight=weight)
        with torch.no_grad():
            session.generator.conv1.conv.weight.mul_(1.5).add_(0.5)
        term = session.method.generator_loss(session)["distance"]
        (gradient,) = torch.autograd.grad(term, session.generator.conv1.conv.weight)
        gradients.append(gradient)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(1000 * gradients[0], gradients[1])


def test_without_weight_there_is_no_term(start: Start, train: Train, calls: list[Call]) -> None:
    logs = train(start("cdc", distance_weight=0), 2)
    assert not any("generator/distance" in log for log in logs)
    assert not calls


def test_three_images_are_the_least_to_compare(start: Start) -> None:
    distance(start("cdc", distance_batch=3))
    with pytest.raises(UserError, match="distance_batch must be at least 3"):
        start("cdc", distance_batch=2)
