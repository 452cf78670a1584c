"""What a generator pass of a training starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class Latents:
    """What one generator pass starts from.

    Attributes:
        z: [N, style_dim].
        mix: [N, style_dim] of a second style, or None.
        crossover: first layer that takes ``mix``.
    """

    z: Tensor
    mix: Tensor | None = None
    crossover: int | None = None

    def share(self, session: Session) -> Latents:
        """Of latents for a whole batch, those of the session's current micro-batch."""
        mix = None if self.mix is None else session.share(self.mix)
        return replace(self, z=session.share(self.z), mix=mix)
