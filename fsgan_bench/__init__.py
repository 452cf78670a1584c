"""fsgan-bench: a benchmark harness for few-shot GAN adaptation.

What a method's author or a notebook needs is here by name and loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsgan_bench.errors import UserError
    from fsgan_bench.metrics.metric import Measured, Metric, Value, Yardstick
    from fsgan_bench.training.method import Method
    from fsgan_bench.training.optimisation import Losses
    from fsgan_bench.training.session import Session

__version__ = "0.1.0"

__all__ = [
    "Losses",
    "Measured",
    "Method",
    "Metric",
    "Session",
    "UserError",
    "Value",
    "Yardstick",
    "__version__",
]

_HOME = {
    "Losses": "training.optimisation",
    "Measured": "metrics.metric",
    "Method": "training.method",
    "Metric": "metrics.metric",
    "Session": "training.session",
    "UserError": "errors",
    "Value": "metrics.metric",
    "Yardstick": "metrics.metric",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
