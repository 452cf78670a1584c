"""How a training computes: precision, micro-batches, compiled networks."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import UserError

if TYPE_CHECKING:
    import torch

COMPILERS = ("g++", "clang++")
PRECISIONS = ("fp32", "bf16", "fp16")
COMPILES_SINCE = "2.14"
"""The first torch that is known to compile these networks for a CPU: in 2.6, 2.7 and 2.11 their
compiled backward pass corrupts the heap there, and the process aborts."""


@dataclass(frozen=True)
class Numerics:
    """Ways to train in less time or memory. The defaults change no bit of a training.

    Attributes:
        precision: of the convolutions at the four highest resolutions, in the passes that compute
            adversarial losses. Weights, optimisers, averages, the mapping network, styles,
            demodulation, losses, R1, path length, a method's set-up and whatever is scored stay in
            float32.
        accumulate: micro-batches that a batch is computed in, one after the other; their gradients
            are averaged. Micro-batch ``k`` holds every ``accumulate``-th image from the ``k``-th,
            which keeps the discriminator's groups of four images for the minibatch standard
            deviation together: the result is that of one batch, to rounding, if a micro-batch is a
            multiple of four. Else the groups are as small as the micro-batch.
        compile: whether ``torch.compile`` translates the generator and the discriminator that
            train, which rounds differently. R1 and path length differentiate twice, which compiled
            networks cannot: these passes stay as they are.
    """

    precision: str = "fp32"
    accumulate: int = 1
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS or self.accumulate < 1:
            raise ValueError(f"no precision and number of micro-batches: {self}")

    @property
    def dtype(self) -> torch.dtype | None:
        """The reduced precision, None for float32 everywhere."""
        import torch

        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        defaults = asdict(Numerics())
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    def check(self, batch: int, device: str, here: bool = True) -> None:
        """Refuse what cannot be computed in batches of ``batch`` on ``device``.

        Whether another host (``here`` is False) has a compiler is not known.

        Raises:
            UserError: float16 on a CPU, micro-batches of different sizes, no compiler, or a torch
                whose compiler is not known to work.
        """
        if self.compile:
            _check_compiler(device, here)
        if self.precision == "fp16" and device == "cpu":
            raise UserError(
                "--precision fp16 needs a GPU (--device cuda); on the CPU use bf16 or fp32."
            )
        if batch % self.accumulate:
            possible = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
            raise UserError(
                f"--accumulate {self.accumulate} does not divide the batch of {batch} images; "
                f"possible are {possible}."
            )


def _check_compiler(device: str, here: bool) -> None:
    import torch
    from torch.torch_version import TorchVersion

    if device != "cpu":
        return
    if TorchVersion(torch.__version__) < COMPILES_SINCE:
        raise UserError(
            f"--compile on the CPU needs torch {COMPILES_SINCE} or newer, not "
            f"{torch.__version__}: in older ones the compiled backward pass corrupts memory."
        )
    if here and not any(map(shutil.which, COMPILERS)):
        raise UserError("--compile needs a C++ compiler on the CPU: install g++ or clang++.")
