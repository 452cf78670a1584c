"""``inception``: the Inception-v3 of the original FID, fed with clean-fid's resize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.data.images import Images
from fsgan_bench.metrics.backbone import Backbone, Features, weights_digest
from fsgan_bench.metrics.weights import WEIGHTS, find

_SIZE = 299


def build_inception() -> nn.Module:
    """The feature layers of the TorchScript Inception-v3 that clean-fid uses, in eval mode.

    They map (x - 128) / 128, [N, 3, 299, 299], to [N, 2048]. Raises UserError when the
    file is missing or another (see `weights.find`).
    """
    load: Callable[..., Any] = torch.jit.load
    network = load(find(WEIGHTS["inception"]), map_location="cpu").eval()
    layers: nn.Module = network.layers
    return layers


class Inception(Backbone):
    """Inception-v3 pooled features after clean-fid's resize (Parmar et al. 2022); no LPIPS.

    Input: each channel resized to 299 x 299 by Pillow's antialiased bicubic filter in floating
    point, clipped to [0, 255], then (x - 128) / 128. ``layers`` maps that to [N, 2048, ...];
    without it, `build_inception` makes it.
    """

    name = "inception"
    min_size = 1
    has_lpips = False
    pooled_dim = 2048

    def __init__(self, layers: nn.Module | None = None, device: str | torch.device = "cpu") -> None:
        super().__init__(device)
        layers = build_inception() if layers is None else layers
        self.version = f"inception/1 clean-299 weights-{weights_digest(layers)}"
        self._layers = layers.to(self.device)

    def _prepare(self, images: Images) -> Tensor:
        from cleanfid.resize import build_resizer

        resize = build_resizer("clean")
        resized = np.stack([resize(image) for image in images])
        return (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128

    def _forward(self, batch: Tensor) -> Features:
        pooled = self._layers(batch).flatten(1)
        return Features(lpips=pooled.new_empty(len(pooled), 0), pooled=pooled)

    def _batch_size(self, height: int, width: int) -> int:
        return super()._batch_size(_SIZE, _SIZE)
