"""What every feature backbone shares: batching, and the LPIPS vector of a stack of feature maps."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fsgan_bench.data.images import Images, check_images, to_tensor

_NORM_EPSILON = 1e-10
_PIXELS_PER_BATCH_CPU = 2**17
_PIXELS_PER_BATCH_GPU = 2**20


@dataclass(frozen=True)
class Features:
    """Features of N images, from one forward pass, on the backbone's device.

    ``lpips`` is float32 [N, D], laid out so that ``LPIPS(a, b) = ||lpips_a - lpips_b||^2``; D
    depends on the image size and is 0 where LPIPS is not defined (``inception``).
    ``pooled`` is float32 [N, d]: the features of Frechet distances and of the classifier.
    """

    lpips: Tensor
    pooled: Tensor


def lpips_vector(maps: Sequence[Tensor], channel_weights: Sequence[Tensor] | None = None) -> Tensor:
    """Feature maps [N, C_l, H_l, W_l] as vectors [N, sum_l C_l H_l W_l] whose distance is LPIPS.

    Each position's feature is scaled to unit length over the channels, then by
    ``sqrt(w_l / (H_l W_l))``, so that the squared Euclidean distance of two vectors is LPIPS
    (Zhang et al. 2018, Eq. 1). ``channel_weights`` holds the non-negative ``w_l`` [C_l]; None means
    all ones, their uncalibrated form. Raises ValueError for a negative weight.
    """
    vectors = []
    for index, features in enumerate(maps):
        _, _, height, width = features.shape
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        scale = 1 / ((norm + _NORM_EPSILON) * (height * width) ** 0.5)
        unit = features * scale
        if channel_weights is not None:
            weight = channel_weights[index]
            if bool((weight < 0).any()):
                raise ValueError(f"LPIPS needs non-negative channel weights, layer {index} has not")
            unit = unit * weight.sqrt()[None, :, None, None]
        vectors.append(unit.permute(0, 2, 3, 1).flatten(1))
    return torch.cat(vectors, dim=1)


def weights_digest(module: nn.Module) -> str:
    """The first 8 hex digits of the SHA-256 of a module's parameters and buffers, in order."""
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


class Backbone(ABC):
    """A frozen network that turns images into `Features`.

    ``version`` names the backbone, its revision, its preprocessing and a digest of its weights; two
    scores are comparable only where it is equal. ``pooled_dim`` is d. Images are uint8
    [N, H, W, 3] of at least ``min_size`` pixels a side. Memory is bounded by the batch and the
    result, which does not depend on the batch size beyond rounding (float32's on a CPU; a GPU's
    TensorFloat-32 convolutions round more coarsely).
    """

    min_size: ClassVar[int] = 32
    name: str
    version: str
    has_lpips: bool
    pooled_dim: int

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)

    @abstractmethod
    def _forward(self, batch: Tensor) -> Features:
        """Features of a prepared batch on the device; called in inference mode."""

    def forward(self, batch: Tensor) -> Features:
        """Differentiable features of a batch [N, 3, H, W] in [-1, 1], as a loss needs them."""
        return self._forward(batch.to(self.device))

    def _prepare(self, images: Images) -> Tensor:
        """Network input for images [N, H, W, 3]: by default [-1, 1] at the images' own size."""
        return to_tensor(images)

    def batches(
        self,
        images: Images,
        batch_size: int | None = None,
        chosen: NDArray[np.intp] | None = None,
    ) -> Iterator[Features]:
        """Features batch by batch, for results too large to hold; ``chosen`` is by default all.

        The tensors come from inference mode: clone them before autograd sees them. Raises
        ValueError for anything but a non-empty uint8 array [N, H, W, 3] of at least ``min_size``.
        """
        check_images(images)
        indices = np.arange(len(images)) if chosen is None else chosen
        count, (height, width) = len(indices), images.shape[1:3]
        if count == 0:
            raise ValueError("there are no images to featurise")
        if min(height, width) < self.min_size:
            raise ValueError(
                f"{self.name} needs images of at least {self.min_size} pixels a side, "
                f"got {height} x {width}"
            )
        step = self._batch_size(height, width) if batch_size is None else batch_size
        if step < 1:
            raise ValueError(f"batch_size must be positive, got {step}")
        for start in range(0, count, step):
            with torch.inference_mode():
                batch = self._prepare(images[indices[start : start + step]]).to(self.device)
                features = self._forward(batch.contiguous(memory_format=torch.channels_last))
            yield features

    def features(self, images: Images, batch_size: int | None = None) -> Features:
        """`Features` of all images at once; raises as `batches` does.

        Needs 4 N (D + d) bytes: 117 MB for 1,000 images of 64 x 64 with ``lite0``, but 32 GB for
        1,000 of 256 x 256 with ``vgg``; there, stream `batches` instead.
        """
        parts = self.batches(images, batch_size)
        first = next(parts)
        lpips = first.lpips.new_empty(len(images), first.lpips.shape[1])
        pooled = first.pooled.new_empty(len(images), first.pooled.shape[1])
        start = 0
        for part in chain([first], parts):
            stop = start + len(part.pooled)
            lpips[start:stop] = part.lpips
            pooled[start:stop] = part.pooled
            start = stop
        return Features(lpips=lpips, pooled=pooled)

    def pooled(self, images: Images, batch_size: int | None = None) -> Tensor:
        """Pooled features [N, d] alone, without keeping the far larger LPIPS ones."""
        pooled = torch.empty(len(images), self.pooled_dim, device=self.device)
        for _ in self.lpips_batches(images, pooled, batch_size):
            pass
        return pooled

    def lpips_batches(
        self, images: Images, pooled: Tensor, batch_size: int | None = None
    ) -> Iterator[Tensor]:
        """LPIPS features [B, D] batch by batch; the pooled ones are written into ``pooled`` [N, d].

        Nothing small outlives a batch: on a CPU it would keep the allocator from reusing the large
        blocks around it, and memory would grow with N after all.
        """
        start = 0
        for part in self.batches(images, batch_size):
            stop = start + len(part.pooled)
            pooled[start:stop] = part.pooled
            start = stop
            yield part.lpips

    def _batch_size(self, height: int, width: int) -> int:
        pixels = _PIXELS_PER_BATCH_CPU if self.device.type == "cpu" else _PIXELS_PER_BATCH_GPU
        return max(1, pixels // (height * width))
