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
    # The device and the library decide the last bits.
    made_by = f"{backbone.device.type}-{torch.__version__}"
    key = hashlib.sha256("\n".join([content, backbone.version, made_by]).encode()).hexdigest()
    stored = cached_array(
        cache_dir() / "features" / f"{key[:32]}.npy",
        (len(images), 4 * backbone.pooled_dim),
        lambda: [backbone.pooled(images).cpu().numpy().view(np.uint8)],
    )
    return torch.from_numpy(stored.view(np.float32).copy()).to(backbone.device)
