"""Training states: written with a checksum, the one before kept, and the newest whole one read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fsgan_bench.errors import what_happened
from fsgan_bench.system.files import write_atomic

_MARK = b"fsgan-bench sha256 "
_TRAILER = len(_MARK) + 32


class DamagedState(Exception):
    """A stored training state is not what was written."""


def previous_state(path: Path) -> Path:
    """Where :func:`save_state` keeps the state before the one at ``path``."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors and plain containers) with its checksum, atomically.

    The state that was there stays as :func:`previous_state`. Whatever moment the process is killed
    at, one of the two is whole.
    """
    import torch

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            sink = _Sink(file)
            try:
                torch.save(state, sink)  # type: ignore[arg-type]
            except Exception:
                if sink.error is not None:
                    raise sink.error from None
                raise
            file.write(_MARK + sink.digest.digest())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            path.replace(previous_state(path))

    write_atomic(path, write)


class _Sink:
    """A file that is hashed as it is written, and whose first error torch.save cannot hide."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            written = self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise
        self.digest.update(data)
        return written

    def flush(self) -> None:
        self.file.flush()


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; runs no code from the file.

    A file without a checksum, of an earlier version, is read on torch's word.

    Raises:
        DamagedState: it is cut short or changed, or holds code.
    """
    import torch

    content = path.read_bytes()
    trailer = content[-_TRAILER:]
    if trailer.startswith(_MARK):
        content = content[:-_TRAILER]
        if hashlib.sha256(content).digest() != trailer[len(_MARK) :]:
            raise DamagedState(f"{path.name} is damaged: its checksum is another")
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
    except Exception as error:  # damaged bytes make torch.load raise almost anything
        raise DamagedState(f"{path.name} is damaged: {what_happened(error)}") from error
    return state


def recover_state(path: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest whole state at ``path`` or before it; None if there is none.

    A damaged one is deleted, and ``say`` is told of it and of what is used in its place.
    """
    damaged: dict[Path, str] = {}
    found = None
    for candidate in (path, previous_state(path)):
        with contextlib.suppress(FileNotFoundError):
            try:
                found = load_state(candidate)
                break
            except DamagedState as error:
                damaged[candidate] = str(error)
    if damaged:
        then = "starting over" if found is None else f"continuing from {candidate.name}"
        say(f"{'; '.join(damaged.values())}; {then}")
    for file in damaged:
        file.unlink()
    return found
