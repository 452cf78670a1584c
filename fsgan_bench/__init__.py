"""fsgan-bench: a benchmark harness for few-shot GAN adaptation.

What a method's or a metric's author or a notebook needs is here by name and loaded when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsgan_bench.errors import UserError
    from fsgan_bench.features.networks import load_backbone
    from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick
    from fsgan_bench.stylegan2.losses import discriminator_adversarial, generator_adversarial
    from fsgan_bench.stylegan2.networks import Architecture, Discriminator, Generator, Synthesis
    from fsgan_bench.stylegan2.ops import EqualConv2d, EqualLinear, ModulatedConv2d
    from fsgan_bench.training.averages import frozen_copy
    from fsgan_bench.training.fisher import diagonal_fisher
    from fsgan_bench.training.method import Latents, Method
    from fsgan_bench.training.optimisation import Losses
    from fsgan_bench.training.recipe import Recipe
    from fsgan_bench.training.session import Session
    from fsgan_bench.training.streams import Streams

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Discriminator",
    "EqualConv2d",
    "EqualLinear",
    "Generator",
    "Latents",
    "Losses",
    "Measured",
    "Method",
    "Metric",
    "ModulatedConv2d",
    "Recipe",
    "Session",
    "Streams",
    "Synthesis",
    "UserError",
    "Value",
    "Yardstick",
    "__version__",
    "diagonal_fisher",
    "discriminator_adversarial",
    "frozen_copy",
    "generator_adversarial",
    "load_backbone",
]

_NAMES = {
    "errors": ("UserError",),
    "features.networks": ("load_backbone",),
    "metrics.metric": ("Measured", "Metric", "Value", "Yardstick"),
    "stylegan2.losses": ("discriminator_adversarial", "generator_adversarial"),
    "stylegan2.networks": ("Architecture", "Discriminator", "Generator", "Synthesis"),
    "stylegan2.ops": ("EqualConv2d", "EqualLinear", "ModulatedConv2d"),
    "training.averages": ("frozen_copy",),
    "training.fisher": ("diagonal_fisher",),
    "training.method": ("Latents", "Method"),
    "training.optimisation": ("Losses",),
    "training.recipe": ("Recipe",),
    "training.session": ("Session",),
    "training.streams": ("Streams",),
}

_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
