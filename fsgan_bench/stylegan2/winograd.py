"""3x3 convolutions by Winograd's minimal filtering, for wide layers on a CPU; differentiable twice.

Lavin & Gray 2016, "Fast algorithms for convolutional neural networks": F(4x4, 3x3) makes 16 outputs
out of 36 products a pair of channels instead of 144. The transforms around the products cost as
much as they save in narrow layers, see ``benchmarks/README.md``.

With ``I``, ``K`` and ``O`` for the transforms of inputs, kernels and outputs, each for both axes,
and ``*`` for the product over channels at each of the 36 places, the convolution of ``x`` with
``w`` is ``O (I x * K w)``. Both its derivatives are of that kind again.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_CHANNELS, LEAST_SIDE = 256, 32
"""From which on it is faster than oneDNN, as measured in ``benchmarks/README.md``."""
TILE = 4
"""Height and width of the outputs that are made together."""
READ = TILE + 2
"""Height and width of the inputs that they depend on."""


def _both_axes(*rows: tuple[float, ...]) -> Tensor:
    line = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(line, line)


# Interpolation at 0, 1, -1, 2, -2 and infinity.
INPUT = _both_axes(
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
KERNEL = _both_axes(
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUTPUT = _both_axes(
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether convolving ``x`` [N, C, H, W] with ``weight`` [O, C, k, k] is faster in this way.

    It depends on an image's own shape alone, so that an image is the same in every batch.
    """
    return (
        weight.shape[2:] == (3, 3)
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and min(x.shape[2:]) >= LEAST_SIDE
        and all(side % TILE == 0 for side in x.shape[2:])
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.compiler.is_compiling()
    )


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve ``x`` [N, C, H, W] with ``weight`` [O, C, 3, 3], zeros around: [N, O, H, W].

    H and W are multiples of 4. The result is in the channels-last layout. In float32 it differs
    from that of ``torch.nn.functional.conv2d`` by about 1e-5 of the largest value.
    """
    result: Tensor = _Convolution.apply(x, weight)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        products = torch.bmm(_transformed_inputs(x), _transformed_kernels(weight))
        return _image(OUTPUT.to(x) @ products.flatten(1), x, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (g,) = gradients
        of_x, of_weight = ctx.needs_input_grad
        return (
            _convolve_back(g, weight) if of_x else None,
            _correlate(x, g) if of_weight else None,
        )


class _Correlation(torch.autograd.Function):
    """The convolution's derivative by its kernels: ``x`` [N, C, H, W], ``g`` [N, O, H, W]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        inputs = _transformed_inputs(x).transpose(1, 2)
        outputs = (OUTPUT.t().to(x) @ _tiles(g).flatten(1)).view(READ**2, -1, g.shape[1])
        kernels = KERNEL.t().to(x) @ torch.bmm(inputs, outputs).flatten(1)
        return kernels.view(3, 3, x.shape[1], g.shape[1]).permute(3, 2, 0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, g = ctx.saved_tensors
        (of_kernels,) = gradients
        of_x, of_g = ctx.needs_input_grad
        return (
            _convolve_back(g, of_kernels) if of_x else None,
            convolve(x, of_kernels) if of_g else None,
        )


def _correlate(x: Tensor, g: Tensor) -> Tensor:
    result: Tensor = _Correlation.apply(x, g)
    return result


def _convolve_back(g: Tensor, weight: Tensor) -> Tensor:
    """The convolution's derivative by its input: ``g`` [N, O, H, W] -> [N, C, H, W]."""
    return convolve(g, weight.flip(2, 3).transpose(0, 1))


def _transformed_inputs(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [36, tiles, C]: what each tile of 4x4 outputs depends on."""
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, READ, TILE).unfold(2, READ, TILE)
    read = windows.permute(4, 5, 0, 1, 2, 3).reshape(READ**2, -1)
    return (INPUT.to(x) @ read).view(READ**2, -1, x.shape[1])


def _transformed_kernels(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] -> [36, C, O]."""
    lines = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (KERNEL.to(weight) @ lines).view(READ**2, weight.shape[1], len(weight))


def _tiles(g: Tensor) -> Tensor:
    """[N, O, H, W] -> [16, tiles, O]."""
    n, channels, height, width = g.shape
    split = g.view(n, channels, height // TILE, TILE, width // TILE, TILE)
    return split.permute(3, 5, 0, 2, 4, 1).reshape(TILE**2, -1, channels)


def _image(tiles: Tensor, like: Tensor, channels: int) -> Tensor:
    """[16, tiles * O] -> [N, O, H, W] with the N, H and W of ``like``."""
    n, _, height, width = like.shape
    split = tiles.view(TILE, TILE, n, height // TILE, width // TILE, channels)
    rows = split.permute(2, 3, 0, 4, 1, 5).reshape(n, height, width, channels)
    return rows.permute(0, 3, 1, 2)
