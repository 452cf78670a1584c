"""The training recipe that all methods share: optimisers, regularisation, averaging."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_BATCH = 65_536


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of StyleGAN2's training as the few-shot literature uses them.

    The defaults are those of CDC's and AdAM's published code at 256x256, but for
    ``start_from_average``.

    Attributes:
        batch: images a step.
        learning_rate: Adam's, of generator and discriminator, before the lazy-regularisation
            correction (rate and betas shrink by ``every / (every + 1)``).
        generator_rate: the generator's learning rate as a multiple of ``learning_rate`` (two
            time-scale update rule, Heusel et al. 2017). A method's own rates stay as they are.
        r1_gamma: weight of the R1 penalty, applied every ``r1_every`` iterations.
        r1_every: period of the R1 penalty in iterations; 0 switches it off.
        path_length_weight: weight of path-length regularisation.
        path_length_every: its period in iterations; 0 switches it off.
        path_length_batch_shrink: it runs on ``batch // path_length_batch_shrink`` images.
        path_length_decay: rate at which the target length follows the lengths seen.
        style_mixing: probability of mixing two styles.
        flip: whether real images are flipped horizontally at random.
        ema_half_life: half-life of the generator's moving average, in iterations. The default
            is CDC's code's ``0.5 ** (32 / 10000)`` an iteration, which keeps 32 whatever the batch.
        distinct_images: whether the few-shot images of a batch are different ones, drawn in
            shuffled passes whose rest is dropped, as in CDC's and AdAM's code. With fewer images
            than the batch each comes equally often, and the rest are different; the published
            loaders give no batch at all. False draws with replacement.
        zero_idle_gradients: whether a weight that trains, and that no term of a step depends on,
            takes the step with a gradient of 0, as it did in the torch 1.7 of CDC's and AdAM's
            code. Adam's running square shrinks then: layers that only every fourth iteration
            reaches take steps twice as long as where Adam leaves them out, as today's torch does.
            A weight that no loss has reached yet is left out either way.
        train_noise: whether the strengths of the generator's layer noise train, as in CDC's code.
            False holds them at the source's, as AdAM's code does.
        start_from_average: whether the generator, and the source that methods compare it with,
            start from the moving average of the pretrained generator. False starts from the
            generator as it was trained, and the averages alone from its average, as CDC's and
            AdAM's code does. True is our default, as not every file holds both; the paper suites
            take the published value.
    """

    batch: int = 4
    learning_rate: float = 0.002
    generator_rate: float = 1.0
    r1_gamma: float = 10.0
    r1_every: int = 16
    path_length_weight: float = 2.0
    path_length_every: int = 4
    path_length_batch_shrink: int = 2
    path_length_decay: float = 0.01
    style_mixing: float = 0.9
    flip: bool = True
    ema_half_life: float = 312.5
    distinct_images: bool = True
    zero_idle_gradients: bool = True
    train_noise: bool = True
    start_from_average: bool = True

    def __post_init__(self) -> None:
        for name in ("batch", "path_length_batch_shrink"):
            if not 1 <= (count := getattr(self, name)) <= MAX_BATCH:
                raise ValueError(f"{name} must lie in 1 to {MAX_BATCH:,}, not {count:,}")
        for name in ("learning_rate", "generator_rate", "ema_half_life"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must be a finite number above 0, not {value}")
        for name in ("r1_gamma", "r1_every", "path_length_weight", "path_length_every"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must be a finite number from 0, not {value}")
        for name in ("style_mixing", "path_length_decay"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must lie in 0 to 1, not {value}")

    def adam(self, every: int, multiple: float = 1.0) -> tuple[float, tuple[float, float]]:
        """``multiple`` of the learning rate, and Adam's betas, beside a regulariser of a period."""
        ratio = every / (every + 1) if every else 1.0
        return multiple * self.learning_rate * ratio, (0.0, 0.99**ratio)

    @property
    def ema_weight(self) -> float:
        """Share of the current weights in each update of the moving average."""
        return float(1.0 - 0.5 ** (1.0 / self.ema_half_life))
