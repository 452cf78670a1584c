"""The state of a session: what an exact resume needs, in tensors and plain containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

PARTS = (
    "generator_side",
    "discriminator_side",
    "averaged",
    "averaged_discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "streams",
)
"""Attributes that have a state of their own; None where a session lacks one."""


class Stateful(Protocol):
    """A method, as far as its state goes."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Resumable(Protocol):
    """A session, as far as its state goes; beside this it has :data:`PARTS`."""

    iteration: int
    length_matters: bool
    path_length_mean: Tensor

    @property
    def device(self) -> torch.device: ...

    @property
    def method(self) -> Stateful: ...

    @property
    def scalers(self) -> Mapping[str, torch.amp.GradScaler]: ...


def session_state(session: Resumable) -> dict[str, Any]:
    """The state, which shares its tensors with ``session``."""
    parts = {name: getattr(session, name) for name in PARTS}
    return {
        "iteration": session.iteration,
        **{name: part.state_dict() for name, part in parts.items() if part is not None},
        "path_length_mean": session.path_length_mean,
        "method": session.method.state_dict(),
        "scalers": {side: scaler.state_dict() for side, scaler in session.scalers.items()},
        "length_matters": session.length_matters,
    }


def restore(session: Resumable, state: Mapping[str, Any]) -> None:
    """Bring ``session`` into the ``state`` of another with the same method and networks."""
    session.iteration = state["iteration"]
    # States of earlier versions do not say.
    session.length_matters = bool(state.get("length_matters", True))
    for name in PARTS:
        part = getattr(session, name)
        if part is not None:
            part.load_state_dict(state[name])
    session.path_length_mean = state["path_length_mean"].to(session.device)
    for side, scaler in session.scalers.items():
        if scaler.is_enabled():
            scaler.load_state_dict(state["scalers"][side])
    session.method.load_state_dict(_moved(state["method"], session.device))


def _moved(value: Any, device: torch.device) -> Any:
    """Nested plain containers of tensors and numbers with the tensors on ``device``."""
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value
