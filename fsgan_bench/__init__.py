"""fsgan-bench: a benchmark harness for few-shot GAN adaptation.

What a method's or a metric's author or a notebook needs is here by name and loaded when it is first
used::

    import fsgan_bench as fb

    fb.run("tgan,cdc", "sketches", budget="quick")  # what fsgan-bench run does
    scores = fb.load_results("results")             # pandas, a row a number
    fb.score_images(images, target="sketches")      # of any other generator
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsgan_bench.api import Run, run, score_images
    from fsgan_bench.errors import UserError
    from fsgan_bench.features.networks import load_backbone
    from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick
    from fsgan_bench.results.reader import load_results
    from fsgan_bench.stylegan2.architecture import Architecture
    from fsgan_bench.stylegan2.losses import discriminator_adversarial, generator_adversarial
    from fsgan_bench.stylegan2.networks import Discriminator, Generator, Synthesis
    from fsgan_bench.stylegan2.ops import EqualConv2d, EqualLinear, ModulatedConv2d
    from fsgan_bench.training.averages import frozen_copy
    from fsgan_bench.training.fisher import diagonal_fisher
    from fsgan_bench.training.latents import Latents
    from fsgan_bench.training.look import Look
    from fsgan_bench.training.method import Method
    from fsgan_bench.training.optimisation import Losses
    from fsgan_bench.training.recipe import Recipe
    from fsgan_bench.training.session import Session
    from fsgan_bench.training.streams import Streams

__version__ = "0.2.0"

__all__ = [
    "Architecture",
    "Discriminator",
    "EqualConv2d",
    "EqualLinear",
    "Generator",
    "Latents",
    "Look",
    "Losses",
    "Measured",
    "Method",
    "Metric",
    "ModulatedConv2d",
    "Recipe",
    "Run",
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
    "load_results",
    "run",
    "score_images",
]

_NAMES = {
    "api": ("Run", "run", "score_images"),
    "errors": ("UserError",),
    "features.networks": ("load_backbone",),
    "metrics.metric": ("Measured", "Metric", "Value", "Yardstick"),
    "results.reader": ("load_results",),
    "stylegan2.losses": ("discriminator_adversarial", "generator_adversarial"),
    "stylegan2.architecture": ("Architecture",),
    "stylegan2.networks": ("Discriminator", "Generator", "Synthesis"),
    "stylegan2.ops": ("EqualConv2d", "EqualLinear", "ModulatedConv2d"),
    "training.averages": ("frozen_copy",),
    "training.fisher": ("diagonal_fisher",),
    "training.look": ("Look",),
    "training.latents": ("Latents",),
    "training.method": ("Method",),
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
