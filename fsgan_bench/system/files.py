"""Files: written whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError


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
