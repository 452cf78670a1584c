"""One optimiser step on the named terms of a loss, over one or several micro-batches."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

Losses = dict[str, Tensor]

SMALLEST_SCALE = 1.0
"""Below this a loss scale no longer explains an infinite gradient."""


class Diverged(RuntimeError):
    """A loss or its gradient is no longer finite; names the term."""


def adam(
    side: nn.Module,
    groups: Iterable[Mapping[str, Any]],
    learning_rate: float,
    betas: tuple[float, float],
) -> torch.optim.Adam:
    """Adam for the parameters of ``side``, in ``groups`` that may say other rates and betas.

    Raises:
        ValueError: the groups don't hold every parameter of ``side`` once, and nothing else.
    """
    listed = [{**group, "params": list(group["params"])} for group in groups]
    named = Counter(id(parameter) for group in listed for parameter in group["params"])
    if named != Counter(map(id, side.parameters())):
        raise ValueError("the groups of the optimiser must hold every parameter of the side once")
    return torch.optim.Adam(listed, learning_rate, betas)


def minimise(
    side: str,
    micro_batches: Iterable[Losses],
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler,
    *,
    parts: int = 1,
    zero_idle: bool = False,
    adjust: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Take one optimiser step on the sum of the terms, averaged over the micro-batches.

    Args:
        side: prefix of the terms' names in what is returned.
        micro_batches: the terms of each; a lazy iterable holds one graph at a time.
        optimizer: of the weights on that side.
        scaler: scales float16's losses; the step is skipped where a gradient overflows, and the
            scale lowered. Disabled in any other precision.
        parts: number of micro-batches.
        zero_idle: whether weights that train, and that earlier steps reached but this one does not,
            take it with a gradient of 0; else the optimiser leaves them out.
        adjust: called when the gradients are there, before the step that they are for.

    Returns:
        The mean of each term, by ``side/name``.

    Raises:
        Diverged: a term or the gradient is not finite; no weight has been changed then.
        TypeError: the terms are no dictionary of tensors of one value each.
    """
    values: defaultdict[str, float] = defaultdict(float)
    optimizer.zero_grad(set_to_none=True)
    for terms in micro_batches:
        _check_terms(side, terms)
        for name, term in terms.items():
            value = float(term.detach())
            if not math.isfinite(value):
                raise Diverged(f"the loss term {side}/{name} is {value}")
            values[f"{side}/{name}"] += value / parts
        total = torch.stack([term.reshape(()) for term in terms.values()]).sum()
        scaler.scale(total / parts).backward()
        del terms, total
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if zero_idle:
        for parameter in parameters:
            if parameter.requires_grad and parameter.grad is None and parameter in optimizer.state:
                parameter.grad = torch.zeros_like(parameter)
    scaler.unscale_(optimizer)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    overflows = not torch.nn.utils.get_total_norm(gradients).isfinite()
    if overflows and not (scaler.is_enabled() and scaler.get_scale() > SMALLEST_SCALE):
        raise Diverged(f"the gradient of the {side}'s loss is not finite")
    adjust()
    scaler.step(optimizer)
    scaler.update()
    return dict(values)


def _check_terms(side: str, terms: object) -> None:
    if not isinstance(terms, dict) or not terms:
        raise TypeError(f"the loss of the {side} must be a dictionary of terms, not {terms!r:.80}")
    for name, term in terms.items():
        if not (isinstance(term, Tensor) and term.numel() == 1):
            shape = list(term.shape) if isinstance(term, Tensor) else type(term).__name__
            raise TypeError(
                f"the loss term {side}/{name} must be a tensor of one value, not {shape}"
            )
