"""The contract of a method: what the harness relies on, checked on tiny networks in seconds.

``fsgan-bench check`` and the test suite run the same checks, on our own methods and on anybody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from fsgan_bench.contract.checks import (
    check_accumulation,
    check_metadata,
    check_reproducibility,
    check_resume,
    check_snapshots,
    check_source,
    check_streams,
    check_training,
    check_unknown_settings,
)
from fsgan_bench.contract.sampler_check import check_sampler
from fsgan_bench.contract.trial import Bench
from fsgan_bench.contract.violation import Violation
from fsgan_bench.errors import UserError, what_happened, where_blamed, where_defined
from fsgan_bench.training.method import Method

CHECKS: Mapping[str, Callable[[Bench], None]] = {
    "metadata": check_metadata,
    "unknown settings": check_unknown_settings,
    "training": check_training,
    "source": check_source,
    "reproducibility": check_reproducibility,
    "random streams": check_streams,
    "resume": check_resume,
    "snapshots": check_snapshots,
    "accumulation": check_accumulation,
    "sampler": check_sampler,
}
"""The checks by the name that a report gives them, in the order they run."""


@dataclass(frozen=True)
class Outcome:
    """What a check found: ``problem`` is None if the method passed, or else says where and what."""

    check: str
    problem: str | None
    seconds: float


def check_method(method: type[Method], checks: Iterable[str] = ()) -> Iterator[Outcome]:
    """Run ``checks``, or all of :data:`CHECKS`, on ``method``; whatever it raises is an outcome."""
    bench = Bench(method)
    for name in checks or CHECKS:
        began, problem = time.perf_counter(), None
        try:
            with _global_state_restored():
                CHECKS[name](bench)
        except (Violation, UserError) as error:
            problem = f"{where_defined(method)}: {error}"
        except (Exception, SystemExit) as error:
            problem = f"{where_blamed(error, method, Method)}: {what_happened(error)}"
        yield Outcome(name, problem, time.perf_counter() - began)


@contextmanager
def _global_state_restored() -> Iterator[None]:
    """Put the global random generators back: a check may seed them."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
