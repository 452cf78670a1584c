"""Where published network weights are looked for; nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

import torch

from fsgan_bench.errors import UserError


def cached_weights(backbone: str, url: str) -> Path:
    """The file of ``url`` in torch hub's checkpoint folder (``$TORCH_HOME/hub/checkpoints``).

    Raises UserError, naming what to fetch and where to put it, when it is not there.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise UserError(
            f"The weights of backbone '{backbone}' are missing: fetch {url} and save it as {path}."
        )
    return path
