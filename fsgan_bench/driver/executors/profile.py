"""Profiles: TOML files that say what a cell gets on a cluster, and how its jobs are asked for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fsgan_bench.errors import UserError, check_keys, in_words, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER_VARIABLE = "FSGAN_BENCH_PROFILES"

_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def to_bytes(memory: str) -> int:
    """``16 GB``, ``500M`` or ``1.5 TB`` in bytes.

    Raises:
        ValueError: it is none of these.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT])i?B?\s*", memory, re.IGNORECASE)
    if not match:
        raise ValueError(f"'{memory}' is not an amount of memory such as \"16 GB\"")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def to_minutes(time: str) -> int:
    """``[DAYS-]HOURS:MINUTES[:SECONDS]`` in minutes, rounded up.

    Raises:
        ValueError: it is something else, or no time at all.
    """
    match = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-5][0-9])(?::([0-5][0-9]))?", time)
    if not match:
        raise ValueError(f'\'{time}\' is not a time such as "4:00:00" or "1-12:00:00"')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = (days * 24 + hours) * 60 + minutes + (seconds > 0)
    if not total:
        raise ValueError("no time is left to a job of 0 minutes")
    return total


def _memory(text: str) -> str:
    to_bytes(text)
    return text


def _time(text: str) -> str:
    to_minutes(text)
    return text


Memory = Annotated[str, AfterValidator(_memory)]
Time = Annotated[str, AfterValidator(_time)]
OneLine = Annotated[str, Field(pattern=r"^[^\x00\n]+$", max_length=4096)]


class Resources(BaseModel):
    """What a job gets, on any engine.

    Attributes:
        cpus: processor threads; a cell computes with as many.
        gpus: GPUs; 0, or 1 with ``--device cuda``, if it is left out.
        memory: of the host, such as ``16 GB``; the engine's default if it is left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    cpus: int = Field(default=4, ge=1, le=1024)
    gpus: int | None = Field(default=None, ge=0, le=16)
    memory: Memory | None = None

    @property
    def memory_bytes(self) -> int | None:
        """``memory`` in bytes."""
        return to_bytes(self.memory) if self.memory else None

    def gpus_on(self, device: str) -> int:
        """GPUs of a job that computes on ``device``."""
        return self.gpus if self.gpus is not None else int(device != "cpu")


R = TypeVar("R", bound=Resources)


def find_profile(name: str) -> Path:
    """The file of a profile: a path that ends in ``.toml``, or a name.

    A name is looked for in ``$FSGAN_BENCH_PROFILES``, the working folder, and
    ``~/.config/fsgan-bench/profiles``.

    Raises:
        UserError: there is none; with a suggestion.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"There is no profile file {path}.")
        return path
    folders = [Path(), Path("~/.config/fsgan-bench/profiles").expanduser()]
    if own := os.environ.get(FOLDER_VARIABLE):
        folders.insert(0, Path(own))
    for folder in folders:
        if (path := Path(folder, f"{name}.toml")).is_file():
            return path
    known = [path.stem for folder in folders[:-2] + folders[-1:] for path in folder.glob("*.toml")]
    raise UserError(
        f"There is no profile '{name}': no {name}.toml in "
        f"{', '.join(str(folder.absolute()) for folder in folders)}.{suggest(name, known)}"
    )


def read_profile(path: Path, model: type[R]) -> R:
    """Read a profile.

    Raises:
        UserError: the file cannot be read or says what ``model`` does not know; with a suggestion.
    """
    owner = f"The profile {path}"
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        check_keys(owner, content, model.model_fields)
        return model.model_validate(content)
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{owner} cannot be read: {error}.") from None
    except ValidationError as error:
        first: Mapping[str, Any] = error.errors()[0]
        where = ", ".join([owner, *map(str, first["loc"])])
        raise UserError(f"{where}: {in_words(first)}.") from None
