"""Records of what was handed to an engine that outlives the run, on the root that all hosts share.

A record says which job holds which cells, so that another run can join. Whether a cell is done it
does not say: the cell does.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fsgan_bench.system.files import write_json

FOLDER = ".submissions"
RECORD = "jobs.json"
_LOG = "_log.out"


def log_file(folder: Path, job: str) -> Path:
    """What submitit writes of a job."""
    return folder / f"{job}_0{_LOG}"


@dataclass
class Submission:
    """The jobs of one run.

    Attributes:
        root: root of all results.
        engine: what ``--executor`` called the engine.
        name: of the submission, which its jobs bear in the engine.
        since: when it began.
        jobs: folders relative to ``root``, of cells or of tasks, by job.
    """

    root: Path
    engine: str
    name: str
    since: str
    jobs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the engine keeps its logs of these jobs."""
        return self.root / FOLDER / self.name

    def log(self, job: str) -> Path:
        """What a job printed."""
        return log_file(self.folder, job)

    @classmethod
    def begin(cls, root: Path, engine: str) -> Submission:
        """A new one, with a name of its own."""
        now = datetime.now().astimezone()
        name = f"fsgan-{now:%m%d-%H%M%S}-{secrets.token_hex(3)}"
        return cls(root, engine, name, now.isoformat(timespec="seconds"))

    def add(self, jobs: Mapping[str, tuple[Path, ...]]) -> None:
        """Put down jobs and the folders that each works in."""
        self.jobs |= {
            job: [folder.relative_to(self.root).as_posix() for folder in folders]
            for job, folders in jobs.items()
        }
        self._write()

    def remove(self, job: str, *, keep_log: bool) -> None:
        """Forget a job that is over; with the last one goes what the engine kept of them all.

        Logs that are to be read stay. Another run may have added to the record meanwhile, so it is
        read again first.
        """
        if not keep_log:
            self.log(job).unlink(missing_ok=True)
        with contextlib.suppress(OSError, ValueError, KeyError):
            self.jobs = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))["jobs"]
        self.jobs.pop(job, None)
        if self.jobs:
            self._write()
            return
        for path in self.folder.glob("*"):
            if not path.name.endswith(_LOG):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _write(self) -> None:
        fields = ("engine", "name", "since", "jobs")
        write_json(self.folder / RECORD, {key: getattr(self, key) for key in fields})


def read_submissions(root: Path, engine: str | None = None) -> Iterator[Submission]:
    """The records below a root, of one engine or of all, oldest first.

    One that is damaged is passed over: its jobs are then found by the locks of their cells.
    """
    submissions: list[Submission] = []
    for path in (root / FOLDER).glob(f"*/{RECORD}"):
        try:
            stored: Any = json.loads(path.read_text(encoding="utf-8"))
            jobs = {str(job): list(map(str, folders)) for job, folders in stored["jobs"].items()}
            each = Submission(root, stored["engine"], path.parent.name, stored["since"], jobs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if engine in (None, each.engine):
            submissions.append(each)
    yield from sorted(submissions, key=lambda each: each.since)
