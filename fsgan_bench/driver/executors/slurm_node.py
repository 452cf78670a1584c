"""What runs on a node for a job of SLURM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from fsgan_bench.driver.executors.placement import Preparation, Work
from fsgan_bench.driver.worker import fail
from fsgan_bench.results.layout import CellFiles

WARNING = signal.SIGUSR2

PREPARING_RESTARTS = 10
"""How often a task's preparation is begun again, which keeps less of its work than a cell does."""


@dataclass(frozen=True)
class OnNode:
    """Carries out ``work``, and has the job requeued when SLURM warns that it will be ended.

    submitit would requeue in the middle of an iteration; here the iteration ends and the state is
    saved first.
    """

    work: Work

    def __call__(self) -> None:
        with _warned(self.work) as warnings:
            whole = self.work.carry_out()
        if not whole and warnings:
            _requeue(self.work)


@contextmanager
def _warned(work: Work) -> Iterator[list[int]]:
    """Collect SLURM's warnings; each stops the cell as SIGTERM does.

    Between cells SIGTERM ends the process, with nothing to save.
    """
    warnings: list[int] = []

    def warn(number: int, _frame: FrameType | None) -> None:
        warnings.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    def end(_number: int, _frame: FrameType | None) -> None:
        if warnings:
            _requeue(work)
        sys.exit(128 + signal.SIGTERM)

    before = {
        WARNING: signal.signal(WARNING, warn),
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
    }
    try:
        yield warnings
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _requeue(work: Work) -> None:
    """Put this job back into the queue; it starts with the same cells, which go on."""
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    if isinstance(work, Preparation) and restarts >= PREPARING_RESTARTS:
        reason = (
            f"it was not prepared in {restarts + 1} jobs, each of which reached its time limit or "
            "was preempted; give the profile more time"
        )
        fail(CellFiles(work.folder), reason)
        sys.exit(1)
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    print(f"state saved; requeueing job {job}", flush=True)  # noqa: T201
    done = subprocess.run(["scontrol", "requeue", job], timeout=60)
    sys.exit(done.returncode)
