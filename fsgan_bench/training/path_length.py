"""Path-length regularisation, as the session's recipe weighs it (Karras et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from fsgan_bench.training.session import Session


def path_length_batch(session: Session) -> int:
    """Images of a batch of path-length regularisation."""
    return max(1, session.recipe.batch // session.recipe.path_length_batch_shrink)


def path_length_penalty(session: Session, lengths: Tensor) -> Tensor:
    """Penalty on path lengths of any shape; moves the session's target towards them."""
    recipe = session.recipe
    mean = torch.lerp(session.path_length_mean, lengths.mean(), recipe.path_length_decay)
    session.path_length_mean = mean.detach()
    penalty = (lengths - mean).square().mean()
    return recipe.path_length_weight * recipe.path_length_every * penalty
