"""SLURM: cells as array jobs, submitted through submitit.

Before its time is up, or when it is preempted, a job gets USR2: its cell saves its state, and the
job is requeued, so that it goes on where it stopped.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field, model_validator

from fsgan_bench.driver.executors.interface import Handle, RunSetting
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.executors.profile import (
    OneLine,
    Resources,
    Time,
    find_profile,
    read_profile,
    to_minutes,
)
from fsgan_bench.driver.executors.remote import Phase, RemoteExecutor
from fsgan_bench.driver.executors.slurm_node import OnNode
from fsgan_bench.driver.executors.slurm_states import States
from fsgan_bench.driver.executors.submissions import Submission, read_submissions
from fsgan_bench.errors import UserError
from fsgan_bench.system.names import shots_in_words

SIGNAL_EARLY_SECONDS = 60
"""How much earlier than asked SLURM may send a signal (``sbatch --signal``)."""

ENDING_SECONDS = 30.0
"""How long a run waits for the last jobs whose cells are done."""


class SlurmProfile(Resources):
    """What a profile for SLURM may say.

    Attributes:
        partition, account, qos, constraint: as sbatch takes them.
        time: limit of a job, ``[DAYS-]HOURS:MINUTES[:SECONDS]``. A cell that takes longer goes on
            in the same job, requeued.
        signal_seconds: how long before the limit a job is told to save its state.
        array_size: jobs of one array at most (SLURM's MaxArraySize, 1001 unless configured).
        at_once: jobs of one array that run at a time.
        setup: shell lines before the program starts, such as ``module load cuda``.
        python: the interpreter that runs fsgan-bench on a node; that of this process by default.
        container: command in front of it, such as ``apptainer exec --nv /shared/fsgan.sif``.
        options: further options of sbatch, by their long names without dashes.
        poll_seconds: how often SLURM is asked for the states of all jobs, and the cells' files are
            looked at.
    """

    partition: OneLine | None = None
    account: OneLine | None = None
    qos: OneLine | None = None
    constraint: OneLine | None = None
    time: Time = "4:00:00"
    signal_seconds: int = Field(default=120, ge=1, le=3600)
    array_size: int = Field(default=1000, ge=1, le=100_000)
    at_once: int = Field(default=1000, ge=1, le=100_000)
    setup: list[OneLine] = []
    python: OneLine | None = None
    container: OneLine | None = None
    options: dict[str, str | int | bool] = {}
    poll_seconds: float = Field(default=10, gt=0, le=3600)

    @model_validator(mode="after")
    def _leaves_time(self) -> SlurmProfile:
        if 60 * to_minutes(self.time) < self.signal_seconds + SIGNAL_EARLY_SECONDS:
            raise ValueError(
                f"a job of {self.time} that is told to save {self.signal_seconds} s before its end "
                f"(signal_seconds), or up to {SIGNAL_EARLY_SECONDS} s earlier, has no time to work"
            )
        return self


class SlurmExecutor(RemoteExecutor):
    """Cells as jobs of SLURM."""

    name = "slurm"
    outlives_run = True

    def __init__(self, setting: RunSetting) -> None:
        super().__init__(setting)
        self.profile = (
            read_profile(find_profile(setting.profile), SlurmProfile)
            if setting.profile
            else SlurmProfile()
        )
        if setting.address:
            raise UserError("--address is for --executor ray; SLURM's commands know their cluster.")
        self.submissions: dict[Handle, Submission] = {}
        self.look_seconds = self.profile.poll_seconds
        self.states = States(self.profile.poll_seconds)
        self._own: Submission | None = None
        self._over: list[Handle] = []

    @property
    def threads(self) -> int:
        return self.profile.cpus

    @property
    def memory(self) -> int | None:
        return self.profile.memory_bytes

    def describe(self, preparations: Sequence[Preparation], packs: Sequence[Pack]) -> list[str]:
        options = self._options(Submission.begin(self.setting.root, self.name).name)
        shown = " ".join(
            f"--{key}" if value is True else f"--{key}={shlex.quote(str(value))}"
            for key, value in options.items()
            if key != "job-name"
        )
        tasks = dict.fromkeys(pack.jobs[0].request for pack in packs)
        lines = [f"{len(preparations)} preparing job(s), one a task, before its cells."]
        for request in tasks:
            count = sum(pack.jobs[0].request == request for pack in packs)
            cells = sum(len(pack.jobs) for pack in packs if pack.jobs[0].request == request)
            arrays = "" if count == 1 else f" --array=0-{count - 1}%{self._at_once(count)}"
            lines.append(
                f"{request.target}, {shots_in_words(request.shots)}: {cells} cell(s) in "
                f"{count} job(s): sbatch{arrays} {shown}"
            )
        return lines

    def launch(self, works: Sequence[Work], after: Sequence[Handle]) -> list[Handle]:
        self._check()
        if self._own is None:
            self._own = Submission.begin(self.setting.root, self.name)
        handles: list[Handle] = []
        for start in range(0, len(works), self.profile.array_size):
            part = works[start : start + self.profile.array_size]
            ids = self._submit(self._own, part, after)
            self._own.add(dict(zip(ids, (work.folders for work in part), strict=True)))
            handles += ids
            for handle in ids:
                self.states.watch(handle, self._own.name)
        self.submissions |= dict.fromkeys(handles, self._own)
        return handles

    def _submit(
        self, submission: Submission, works: Sequence[Work], after: Sequence[Handle]
    ) -> list[Handle]:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        profile = self.profile
        python = profile.python or sys.executable
        executor = submitit.SlurmExecutor(
            submission.folder,
            python=f"{profile.container} {python}" if profile.container else shlex.quote(python),
        )
        options = self._options(submission.name)
        if after:
            options |= {"dependency": "afterok:" + ":".join(after), "kill-on-invalid-dep": "yes"}
        executor.update_parameters(
            job_name=options.pop("job-name"),
            time=options.pop("time"),
            signal_delay_s=profile.signal_seconds,
            array_parallelism=self._at_once(len(works)),
            setup=profile.setup or None,
            stderr_to_stdout=True,
            additional_parameters=options,
        )
        try:
            jobs = executor.submit_array([OnNode(work) for work in works])
        except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError) as error:
            said = [line for line in str(error).splitlines() if line.strip()]
            raise UserError(f"SLURM refuses the jobs: {said[-1] if said else error}") from error
        return [job.job_id for job in jobs]

    def _at_once(self, count: int) -> int:
        return min(count, self.profile.at_once, self.setting.jobs or count)

    def _options(self, name: str) -> dict[str, Any]:
        """The options of sbatch, by long name."""
        profile = self.profile
        gpus = profile.gpus_on(self.setting.device)
        options: dict[str, Any] = {
            "job-name": name,
            "partition": profile.partition,
            "account": profile.account,
            "qos": profile.qos,
            "constraint": profile.constraint,
            "time": to_minutes(profile.time),
            "cpus-per-task": profile.cpus,
            "gpus-per-node": gpus or None,
            "mem": f"{self.memory // 10**6}M" if self.memory else None,
            "requeue": True,
            **profile.options,
        }
        return {
            key: value for key, value in options.items() if value is not None and value is not False
        }

    @staticmethod
    def _check() -> None:
        if importlib.util.find_spec("submitit") is None:
            raise UserError("--executor slurm needs submitit: pip install 'fsgan-bench[slurm]'.")
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise UserError(
                "--executor slurm: this machine has no sbatch and srun; run it where jobs are "
                "submitted, such as the cluster's login node."
            )

    def adopt(self, works: Iterable[Work]) -> dict[Handle, Work]:
        wanted = {folder: work for work in works for folder in work.folders}
        adopted: dict[Handle, Work] = {}
        submissions = list(read_submissions(self.setting.root, self.name))
        for submission in submissions:
            for handle in submission.jobs:
                self.submissions[handle] = submission
                self.states.watch(handle, submission.name)
        for submission in submissions:
            for handle, folders in list(submission.jobs.items()):
                jobs = [wanted.get(self.setting.root / folder) for folder in folders]
                cells = [work for work in jobs if work is not None]
                if self.states.phase(handle, submission.folder).ended:
                    self.settle(handle)
                elif cells:
                    first = cells[0]
                    adopted[handle] = (
                        Pack(tuple(j for w in cells if isinstance(w, Pack) for j in w.jobs))
                        if isinstance(first, Pack)
                        else first
                    )
                    self.place(handle, adopted[handle])
        return adopted

    def phase(self, handle: Handle) -> Phase:
        submission = self.submissions[handle]
        return self.states.phase(handle, submission.folder)

    def settle(self, handle: Handle) -> None:
        self._placed.pop(handle, None)
        self._over.append(handle)

    def close(self) -> None:
        """Forget the jobs that are over.

        A cell is done before its job is, which still writes into the submission's folder; what has
        not ended after ``ENDING_SECONDS`` is forgotten by the next run.
        """
        deadline = time.monotonic() + ENDING_SECONDS
        for handle in self._over:
            while not (phase := self.phase(handle)).ended and time.monotonic() < deadline:
                time.sleep(0.2)
            submission = self.submissions.pop(handle)
            self.states.forget(handle)
            if phase.ended:
                submission.remove(handle, keep_log=bool(phase.reason))

    def cancel(self, handle: Handle, at_once: bool = False) -> None:
        subprocess.run(["scancel", handle], capture_output=True, timeout=60)
