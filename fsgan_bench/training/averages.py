"""Copies of modules that stand still, or follow those that train."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def frozen_copy(module: nn.Module) -> Any:
    """Deep copy of ``module`` in evaluation mode whose parameters require no gradient."""
    return copy.deepcopy(module).eval().requires_grad_(False)


def load_plain(network: nn.Module, weights: nn.Module) -> None:
    """Copy the tensors of ``weights`` into ``network``, the same but for parametrised weights.

    What a parametrisation makes of a weight is left as it is; its original is what is replaced.
    """
    ours = network.state_dict()
    for name, value in weights.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        stored = name if name in ours else f"{owner}.parametrizations.{leaf}.original"
        ours[stored].copy_(value)


@torch.no_grad()
def follow(average: nn.Module, modules: nn.Module, weight: float) -> None:
    """Move the parameters of ``average`` towards those of ``modules`` by the share ``weight``."""
    torch._foreach_lerp_(list(average.parameters()), list(modules.parameters()), weight)
