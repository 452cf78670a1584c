"""JSON that anybody may have written or damaged: values, or one sentence with file and line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsgan_bench.errors import UserError


def numbered_lines(file: Path, whole: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file, each with its line number, from 1.

    Unless ``whole``, a last line without its line feed may be cut short and is passed over.
    Raises UserError with the line's number for anything else that is no JSON object.
    """
    lines = read_text(file).split("\n")
    for number, line in enumerate(lines if whole else lines[:-1], start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file}, line {number}, is not valid JSON: {_why(error)}.") from None
        if not isinstance(value, dict):
            raise UserError(f"{file}, line {number}, must be a JSON object.")
        yield number, value


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file that is being written, [] if there is none; a torn last line is left
    out."""
    if not file.exists():
        return []
    return [line for _, line in numbered_lines(file, whole=False)]


def without_nan(content: Any) -> Any:
    """``content`` as JSON has it, with null for NaN and infinity, for which JSON has no number."""
    return json.loads(json.dumps(content), parse_constant=lambda _: None)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; UserError if it is missing, damaged or anything else."""
    try:
        value = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid JSON: {_why(error)}.") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} must be a JSON object.")
    return value


def read_text(file: Path) -> str:
    """UTF-8 text, damaged bytes as replacement characters; UserError if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise UserError(f"{file} is missing.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None


def json_hash(value: Any) -> str:
    """SHA-256, in hex, of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _why(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)
