"""The Inception-v3 of the original FID, with clean-fid's resize or as pytorch-fid feeds it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from fsgan_bench.data.images import Images, to_tensor
from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone, Features, weights_digest
from fsgan_bench.features.weights import WEIGHTS, find_weights

_SIZE = 299


def build_inception() -> nn.Module:
    """The feature layers of the TorchScript Inception-v3 that clean-fid uses, in eval mode.

    They map (x - 128) / 128, [N, 3, 299, 299], to [N, 2048]. Raises UserError when the
    file is missing or another (see `weights.find`).
    """
    load: Callable[..., Any] = torch.jit.load
    network = load(find_weights(WEIGHTS["inception"]), map_location="cpu").eval()
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


def build_inception_legacy(path: Path | None = None) -> nn.Module:
    """The network of the package ``pytorch-fid``, its resize included, in eval mode.

    It maps images [N, 3, H, W] in [0, 1] to a list of one tensor [N, 2048, 1, 1]. ``path`` is the
    file of weights; by default the published one. Raises UserError when that file is missing or
    another (see `weights.find`), and without the package.
    """
    path = find_weights(WEIGHTS["inception_legacy"]) if path is None else path
    try:
        module = import_module("pytorch_fid.inception")
    except ModuleNotFoundError:
        raise UserError(
            "The backbone 'inception_legacy' needs the Python package pytorch-fid: "
            "pip install 'fsgan-bench[legacy-fid]'."
        ) from None
    stored = torch.load(path, map_location="cpu", weights_only=True)
    with (
        torch.random.fork_rng(devices=[]),
        patch.object(module, "load_state_dict_from_url", lambda *_, **__: stored),
    ):
        network: nn.Module = module.InceptionV3()
    return network.eval()


class InceptionLegacy(Backbone):
    """Inception-v3 pooled features as ``pytorch-fid`` computes them (Seitzer 2020); no LPIPS.

    Input: [0, 1], resized to 299 x 299 bilinearly and without antialiasing, which is what sets
    it apart from clean-fid and what most published FIDs used. ``network`` is a
    ``pytorch_fid.inception.InceptionV3``; without it, `build_inception_legacy` makes it.
    """

    name = "inception_legacy"
    min_size = 1
    has_lpips = False
    pooled_dim = 2048

    def __init__(
        self, network: nn.Module | None = None, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(device)
        network = build_inception_legacy() if network is None else network
        self.version = f"inception_legacy/1 bilinear-299 weights-{weights_digest(network)}"
        self._network = network.to(self.device)

    def _prepare(self, images: Images) -> Tensor:
        return (to_tensor(images) + 1) / 2

    def _forward(self, batch: Tensor) -> Features:
        pooled = self._network(batch)[0].flatten(1)
        return Features(lpips=pooled.new_empty(len(pooled), 0), pooled=pooled)

    def _batch_size(self, height: int, width: int) -> int:
        return super()._batch_size(_SIZE, _SIZE)
