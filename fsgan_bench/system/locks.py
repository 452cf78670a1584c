"""One owner a folder: two runs on one results root never work on the same cell.

The lock is ``flock`` on a file in the folder (through ``filelock``): the kernel releases it when
its owner dies, however it dies, so that a dead owner's folder is free at once. Where another host
does not see the lock (a network file system without shared locks), the owner's record stands in: it
is touched every few seconds, and only one that is old counts as dead.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from fsgan_bench.system.files import write_json

LOCK = ".lock"
OWNER = "owner.json"

POLL_SECONDS = 0.05
BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 120.0
"""An owner on another host that has not touched its record for so long counts as dead."""


class Taken(Exception):
    """The folder has another owner; the text says who."""


@contextmanager
def owned(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Own ``folder`` (made if missing), waiting ``patience`` seconds for it, -1 for ever.

    Raises:
        Taken: it has another owner.
    """
    with _locked(folder, patience):
        record = folder / OWNER
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(record, {"host": socket.gethostname(), "pid": os.getpid(), "since": now})
        released = threading.Event()
        beat = threading.Thread(target=_beat, args=(record, released), daemon=True)
        beat.start()
        try:
            yield
        finally:
            released.set()
            beat.join()
            record.unlink(missing_ok=True)


def owner_of(folder: Path) -> str | None:
    """Who owns ``folder`` now, in words; None if it is free."""
    if not (folder / LOCK).exists():
        return None
    with contextlib.suppress(OSError):
        try:
            with _locked(folder, 0.0):
                pass
        except Taken as taken:
            return str(taken)
    return None


@contextmanager
def _locked(folder: Path, patience: float) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    deadline = math.inf if patience < 0 else time.monotonic() + patience
    while not _acquired(lock, folder):
        if time.monotonic() >= deadline:
            raise Taken(_words(_record(folder)))
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: BaseFileLock, folder: Path) -> bool:
    """Take the lock, unless another host that does not see it is at work."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    here = socket.gethostname()
    if _record(folder).get("host", here) != here and _fresh(folder):
        lock.release()
        return False
    return True


def _beat(record: Path, released: threading.Event) -> None:
    while not released.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(record)


def _fresh(folder: Path) -> bool:
    """Whether the owner's record is young, by the clock of the file system."""
    (folder / LOCK).touch()
    try:
        age = (folder / LOCK).stat().st_mtime - (folder / OWNER).stat().st_mtime
    except FileNotFoundError:
        return False
    return age < DEAD_AFTER_SECONDS


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: Any = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _words(record: dict[str, Any]) -> str:
    if not record:
        return "another process"
    return f"process {record.get('pid')} on {record.get('host')} since {record.get('since')}"
