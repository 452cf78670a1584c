"""What each kind of convolution of a TGAN iteration gets out of a core.

``python benchmarks/convolutions.py`` times the convolutions of one iteration of the embedded suite,
without regularisers, one by one on one thread, and prints a table; then, for layers from those of
the embedded suite to those of published networks, oneDNN's way and Winograd's
(``fsgan_bench/stylegan2/winograd.py``) side by side.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click
import torch
import torch.nn.functional as F
from comparisons import EMBEDDED, plain_step, session
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from fsgan_bench.stylegan2 import winograd

Convolution = Callable[[Tensor, Tensor], Tensor]
ROUNDS = 5
LAYERS = ((16, 128), (32, 64), (64, 32), (16, 512), (32, 256), (32, 512), (64, 512), (128, 256))
"""Sides and channels, in and out."""


@dataclass
class Spent:
    """Seconds of the processor in a kind of convolution, and each call's GFLOP/s."""

    seconds: float = 0.0
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Stopwatch(TorchDispatchMode):
    """Times the convolutions inside, by kind."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spent: dict[str, Spent] = defaultdict(Spent)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        began = time.process_time()
        result = func(*args, **(kwargs or {}))
        took = time.process_time() - began
        aten = torch.ops.aten
        if func in (aten.convolution.default, aten.convolution_backward.default):
            backward = func is aten.convolution_backward.default
            x, weight = args[1:3] if backward else args[:2]
            stride = args[4 if backward else 3][0]
            kind = self.spent[_kind(x, weight, stride)]
            kind.seconds += took
            flops = flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
            kind.rates["backward" if backward else "forward"].append(flops / took / 1e9)
        return result


def _kind(x: Tensor, weight: Tensor, stride: int) -> str:
    size, side = weight.shape[-1], x.shape[-1]
    if weight.shape[1] == 1:
        return f"{size}x{size}, each channel for itself"
    if size == 1 or stride == 2:
        return f"{size}x{size}, stride {stride}"
    return f"{size}x{size}, stride 1, side {'16 and more' if side >= 16 else 'below 16'}"


def forward(convolve: Convolution, x: Tensor, weight: Tensor) -> None:
    with torch.no_grad():
        convolve(x, weight)


def both_ways(convolve: Convolution, x: Tensor, weight: Tensor) -> None:
    out = convolve(x, weight)
    torch.autograd.grad(out, (x, weight), torch.ones_like(out))


def _milliseconds(work: Callable[[], object], times: int = 20) -> float:
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return 1000 * (time.process_time() - began) / times


def main() -> None:
    torch.set_num_threads(1)
    training = session("tgan", EMBEDDED)
    plain_step(training)
    watches = [Stopwatch() for _ in range(ROUNDS)]
    for watch in watches:
        with watch:
            plain_step(training)
    square = torch.randn(1024, 1024)
    peak = 2 * 1024**3 / _milliseconds(lambda: square @ square) / 1e6
    click.echo(f"A matrix product: {peak:.0f} GFLOP/s. Medians of {ROUNDS} iterations.\n")
    click.echo("| convolution | forward, GFLOP/s | backward, GFLOP/s | s an iteration |")
    click.echo("|---|---:|---:|---:|")
    for kind in sorted(watches[0].spent):
        each = [watch.spent[kind] for watch in watches]
        ranges = []
        for way in ("forward", "backward"):
            calls = torch.tensor([one.rates[way] for one in each]).median(dim=0).values
            ranges.append(f"{calls.min():.0f} to {calls.max():.0f}")
        seconds = torch.tensor([one.seconds for one in each]).median()
        click.echo(f"| {kind} | {' | '.join(ranges)} | {seconds:.2f} |")
    click.echo("\n| side, channels | forward, ms | Winograd's | both ways, ms | Winograd's |")
    click.echo("|---|---:|---:|---:|---:|")
    for side, channels in LAYERS:
        x = torch.randn(4, channels, side, side).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3) / (3 * channels**0.5)
        for tensor in (x, weight):
            tensor.requires_grad_()
        times = []
        for passes in (forward, both_ways):
            for convolve in (partial(F.conv2d, padding=1), winograd.convolve):
                times.append(_milliseconds(partial(passes, convolve, x, weight), 3))
        click.echo(f"| {side}, {channels} | " + " | ".join(f"{ms:.1f}" for ms in times) + " |")


if __name__ == "__main__":
    main()
