"""The diagonal Fisher information against a gradient known in closed form."""

from __future__ import annotations

import torch

from fsgan_bench.training.fisher import diagonal_fisher


def test_it_is_the_mean_over_samples_of_the_squared_gradient() -> None:
    slopes = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    fisher = diagonal_fisher(
        lambda i: slopes[i] @ weight + i * bias, range(len(slopes)), [weight, bias]
    )
    torch.testing.assert_close(fisher, [slopes.square().mean(dim=0), torch.tensor(13.0).double()])
    assert not any(value.requires_grad for value in fisher)
    assert weight.grad is None and bias.grad is None
