"""What SLURM says of jobs: one question for all of them, and its answers in words."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from fsgan_bench.driver.executors.remote import Phase
from fsgan_bench.driver.executors.submissions import log_file
from fsgan_bench.errors import one_line

WAITING = {
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"),
    *("RESV_DEL_HOLD", "SPECIAL_EXIT"),
}
RUNNING = {
    *("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING", "SUSPENDED", "STOPPED"),
}
ENDS: dict[str, tuple[str, bool]] = {
    "COMPLETED": ("", True),
    "CANCELLED": ("its job was cancelled (scancel)", False),
    "TIMEOUT": ("its job reached its time limit before its state was saved", True),
    "OUT_OF_MEMORY": (
        "out of memory: SLURM ended its job; it needs more memory in the profile",
        False,
    ),
    "NODE_FAIL": ("its node failed", True),
    "BOOT_FAIL": ("its node did not start", True),
    "PREEMPTED": ("its job was preempted and not requeued", True),
    "DEADLINE": ("its job did not start before its deadline", False),
    "REVOKED": ("its job went to another cluster", True),
    "FAILED": ("its job failed", True),
}
"""Why a job has ended, and whether another try is sensible."""

BACK = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"}
"""Ends that SLURM may take back a moment later, when it requeues the job."""

BACK_SECONDS = 60.0
"""How long such an end must have lasted before it is believed."""

NEVER = "DependencyNeverSatisfied"
GONE = Phase(True, "SLURM knows its job no more", again=True)


class States:
    """The states of the jobs that are watched, no older than ``seconds``."""

    def __init__(self, seconds: float, back_seconds: float = BACK_SECONDS) -> None:
        self.seconds, self.back_seconds = seconds, back_seconds
        self._since: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._known: dict[str, tuple[str, str, str]] = {}
        self._asked = -float("inf")
        self._silent = ""

    def watch(self, job: str, name: str) -> None:
        """Ask for ``job`` from now on; ``name`` is what it is called, as numbers may come again."""
        self._names[job] = name
        self._asked = -float("inf")

    def forget(self, job: str) -> None:
        self._names.pop(job, None)
        self._known.pop(job, None)
        self._since.pop(job, None)

    def phase(self, job: str, folder: Path) -> Phase:
        """Where ``job`` is, whose log is in ``folder``."""
        if time.monotonic() > self._asked + self.seconds:
            self._ask()
        if job not in self._known:
            return Phase(reason=self._silent) if self._silent else GONE
        state, why, node = self._known[job]
        if state not in BACK:
            self._since.pop(job, None)
        else:
            since = self._since.setdefault(job, time.monotonic())
            if time.monotonic() < since + self.back_seconds:
                return Phase()
        if state in WAITING:
            held = state in ("REQUEUE_HOLD", "SPECIAL_EXIT") or "held" in why.lower()
            return Phase(reason=f"held by SLURM ({why}); scontrol release {job}" if held else "")
        if state in RUNNING:
            return Phase()
        if state == "FAILED" and _overran_memory(folder, job):
            state = "OUT_OF_MEMORY"
        reason, again = ENDS.get(state, (f"its job ended as {state}", True))
        if state == "CANCELLED" and why == NEVER:
            # Where the preparation is tried again, so are the cells that waited for it.
            reason, again = "its task could not be prepared", True
        if reason and node and state in ("NODE_FAIL", "BOOT_FAIL", "TIMEOUT", "OUT_OF_MEMORY"):
            reason += f" ({node})"
        if state == "FAILED":
            reason += _last_words(folder, job)
        return Phase(True, reason, again)

    def _ask(self) -> None:
        """Ask the controller, and the accounting about what the controller has forgotten."""
        self._asked = time.monotonic()
        if not self._names:
            return
        names = ",".join(sorted(set(self._names.values())))
        answer, self._silent = _run(
            ["squeue", "-h", "-r", "-t", "all", f"--name={names}", "-o", "%i|%T|%r|%N|%j"]
        )
        if self._silent:
            return
        states = {job: (s, why, node) for job, s, why, node, name in _rows(answer, 5) if name}
        missing = sorted(self._names.keys() - states.keys())
        if missing:
            command = ["sacct", "-n", "-P", "-X", "-j", ",".join(missing)]
            answer, _ = _run([*command, "-o", "JobID,State,NodeList,JobName"])
            for job, state, node, name in _rows(answer, 4):
                if self._names.get(job) == name:
                    states[job] = (state.partition(" ")[0], "", node)
        self._known = {job: states[job] for job in self._names if job in states}


def _rows(answer: str, columns: int) -> Iterator[list[str]]:
    for line in answer.splitlines():
        row = line.split("|")
        if len(row) == columns:
            yield row


def _run(command: list[str]) -> tuple[str, str]:
    """What a command of SLURM prints, and why it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"SLURM does not answer ({error}); asked again"
    if done.returncode:
        return "", f"SLURM does not answer ({one_line(done.stderr)}); asked again"
    return done.stdout, ""


def _overran_memory(folder: Path, job: str) -> bool:
    """Whether a job's log ends with SLURM's word on memory, whose state alone tells no such end.

    So it is where memory is watched by sampling it instead of by the kernel's control groups.
    """
    words = ("exceeded memory limit", "exceeded job memory limit", "oom-kill", "oom_kill")
    return any(word in line.lower() for line in _log(folder, job)[-20:] for word in words)


def _last_words(folder: Path, job: str) -> str:
    """The last line of a job's log, and where that is."""
    lines = _log(folder, job)
    if not lines:
        return f"; it left no log in {folder}"
    return f"; its log {log_file(folder, job)} ends: {one_line(lines[-1])}"


def _log(folder: Path, job: str) -> list[str]:
    """The lines of a job's log that are not empty; [] without one."""
    try:
        text = log_file(folder, job).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.split("\n") if line.strip()]
