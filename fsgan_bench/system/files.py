"""Files: atomic writes, checksums, and where a run keeps what."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from fsgan_bench.errors import UserError

_MARK = b"fsgan-bench sha256 "
_TRAILER = len(_MARK) + 32


class DamagedState(Exception):
    """A stored training state is not what was written."""


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, move it into place.

    A reader sees the old file or the new one, never a part. Parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, where its file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(folder: Path) -> None:
    """Make ``folder`` and see that files can be written there.

    Raises:
        UserError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"Nothing can be written to {folder}: {error.strerror}.") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    write_atomic(path, lambda temporary: _fill(temporary, text))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def append_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append JSON lines in one write and flush them to disk; a torn last line is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Replace a file of JSON lines, atomically."""
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


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
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedState(f"{path.name} is damaged: {reason}") from error
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


def commit() -> str | None:
    """The git commit of this source tree, with ``+`` if it has changes; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
