"""Diagonal Fisher information: how much a loss depends on each weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Sample = TypeVar("Sample")


def diagonal_fisher(
    loss: Callable[[Sample], Tensor], samples: Sequence[Sample], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """The mean over ``samples`` of the squared gradient of ``loss``, one tensor a parameter.

    Args:
        loss: the negative log-likelihood, a scalar, of one sample. Squares of a batch's mean
            gradient are another quantity.
        samples: at least one.
        parameters: what the loss is differentiated by; each requires grad and enters the loss.
    """
    fisher = [torch.zeros_like(parameter) for parameter in parameters]
    for sample in samples:
        gradients = torch.autograd.grad(loss(sample), parameters)
        for total, gradient in zip(fisher, gradients, strict=True):
            total.addcmul_(gradient, gradient, value=1 / len(samples))
    return fisher
