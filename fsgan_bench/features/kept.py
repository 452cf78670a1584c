"""Pooled features of a set of real images, extracted once and kept between runs."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from fsgan_bench.data.cache import cache_dir, cached_array
from fsgan_bench.data.images import Images
from fsgan_bench.features.backbone import Backbone


def kept_pooled(backbone: Backbone, images: Images, content: str) -> Tensor:
    """``backbone.pooled(images)``, float32 [N, d], from the cache if some run has extracted it.

    Args:
        backbone: the network.
        images: uint8 [N, R, R, 3]; they are read only if the cache lacks their features.
        content: hash of the images.
    """
    key = hashlib.sha256("\n".join([content, backbone.version, _made_by(backbone.device)]).encode())
    stored = cached_array(
        cache_dir() / "features" / f"{key.hexdigest()[:32]}.npy",
        (len(images), 4 * backbone.pooled_dim),
        lambda: [backbone.pooled(images).cpu().numpy().view(np.uint8)],
    )
    return torch.from_numpy(stored.view(np.float32).copy()).to(backbone.device)


def _made_by(device: torch.device) -> str:
    """What decides the last bits."""
    if device.type == "cpu":
        kind = torch.backends.cpu.get_cpu_capability()
    else:
        kind = f"{torch.cuda.get_device_name(device)}, TF32 {torch.backends.cudnn.allow_tf32}"
    return f"{device.type}, {kind}, {torch.__version__}"
