"""What every pretraining run does alike: its card, resuming, progress, sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fsgan_bench import __version__
from fsgan_bench.data.images import Images, set_hash, to_uint8
from fsgan_bench.errors import UserError
from fsgan_bench.system.states import recover_state

Say = Callable[[str], None]


def run_card(
    settings: Mapping[str, Any],
    images: Images,
    held_out: Images,
    *,
    origin: str | None = None,
    attributes: Mapping[str, int] | None = None,
    free: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What a run is made of, with the fingerprint by which it is known again.

    Args:
        settings: of its config.
        images, held_out: what it trains on, and what it does not.
        origin: a sentence for those who find the pair.
        attributes: how many values each known attribute has.
        free: settings that may change while it goes on.
    """
    data: dict[str, Any] = {
        "training_images": len(images),
        "training_set": set_hash(images),
        "held_out_images": len(held_out),
        "held_out_set": set_hash(held_out),
    }
    if attributes is not None:
        data["attributes"] = dict(attributes)
    fixed = {key: value for key, value in settings.items() if key not in free}
    return {
        "fsgan_bench": __version__,
        **({} if origin is None else {"origin": origin}),
        "config": dict(settings),
        "data": data,
        "fingerprint": repr((fixed, data)),
    }


def recover_run(out: Path, fingerprint: str, say: Say) -> dict[str, Any] | None:
    """The state that a run in ``out`` has left; None if there is none.

    Raises:
        UserError: it is that of another run.
    """
    state = recover_state(out / "state.pt", say)
    if state is not None and state["fingerprint"] != fingerprint:
        raise UserError(
            f"{out} holds a run with other images or another config; choose another folder."
        )
    return state


def progress_line(
    name: str, done: int, total: int, pace: float, losses: Mapping[str, float]
) -> str:
    """How far a run is, with the time that is left at ``pace`` seconds an iteration."""
    left = timedelta(seconds=round(pace * (total - done)))
    terms = "  ".join(f"{term} {value:.3f}" for term, value in losses.items())
    return f"{name} {done}/{total}  {pace:.2f} s/it  left {left}  {terms}"


@torch.inference_mode()
def sample_images(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    device: str | torch.device = "cpu",
    batch: int = 50,
) -> Images:
    """What ``network`` makes of ``inputs`` [N, ...], a batch at a time: uint8 [N, R, R, 3]."""
    return to_uint8(torch.cat([network(part.to(device)) for part in inputs.split(batch)]))
