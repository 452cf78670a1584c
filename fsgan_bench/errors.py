"""The one exception a user sees as a sentence, and the did-you-mean suffix it often ends in."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input from the user: what is wrong, where, and what would be right, in one sentence.

    The command line prints the sentence without a traceback and exits with code 2.
    """


class TooFewImages(UserError):
    """A classifier cannot learn from so few images: the metric is left out, and nothing else."""


def suggest(name: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the choice closest to ``name``, or an empty string."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""


_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "list": "a list",
    "dictionary": "a table",
}


def in_words(problem: Mapping[str, object]) -> str:
    """What pydantic finds wrong with a value, in the words of who wrote it; without a full stop."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    wanted = message.removeprefix("Input should be ")
    if wanted == message:
        return message
    wanted = re.sub("^a valid ([a-z]+).*", lambda found: _KINDS.get(found[1], found[0]), wanted)
    for words, plain in (("greater than", "above"), ("less than", "below")):
        limit = {"above": "at least", "below": "at most"}[plain]
        wanted = wanted.replace(f"{words} or equal to", limit).replace(words, plain)
    return f"must be {wanted}, not {one_line(repr(problem['input']))[:60]}"


def look_up(kind: str, name: str, choices: Mapping[str, T], where: str = "") -> T:
    """``choices[name]``; UserError with a suggestion if it is missing ``where`` it was sought."""
    if name not in choices:
        place = f" {where}" if where else ""
        known = f"{', '.join(choices)}.{suggest(name, choices)}"
        raise UserError(f"There is no {kind} '{name}'{place}; known are {known}")
    return choices[name]


def check_keys(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise UserError, with a suggestion, if ``given`` has a key that ``owner`` does not know."""
    choices = list(known)
    for key in given:
        if key not in choices:
            has = f"it has {', '.join(choices)}" if choices else "it has no settings"
            raise UserError(f"{owner} has no setting '{key}'; {has}.{suggest(key, choices)}")


NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
"""What suites, targets and methods are called: it is a folder's name and part of a file's."""

NAME_RULE = "lower-case letters, digits, _ and -, at most 64 and none of the last two in front"


def check_name(kind: str, name: object) -> str:
    """``name``, if it can be the name of a ``kind``; else UserError."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise UserError(f"{name!r} cannot be the name of a {kind}: it takes {NAME_RULE}.")
    return name


def check_folder(option: str, path: Path) -> None:
    """Raise UserError if ``path`` is no folder and cannot become one, as a file is in its way."""
    place = next((p for p in (path, *path.parents) if os.path.lexists(p)), path)
    if os.path.lexists(place) and not place.is_dir():
        what = "is a file" if place.is_file() else "is a link to nothing"
        raise UserError(f"{option} {path}: {place} {what}, where a folder is needed.")


def printable(text: str) -> str:
    """``text`` with control characters as escapes, which cannot steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def one_line(text: object, longest: int = 300) -> str:
    """``text`` from a file as one printable line, cut where it is too long."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def what_happened(error: BaseException) -> str:
    """An exception in one line: its type and what it says."""
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({'' if error.code is None else error.code})"
    return one_line(f"{type(error).__name__}: {error}", longest=1000).removesuffix(":")


def where_defined(cls: type) -> str:
    """``FILE, line N``: where a class is written; without the line, or by module, if unknown."""
    file = _file(cls)
    try:
        return f"{file}, line {inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return file or f"module {cls.__module__}"


def where_raised(error: BaseException, *files: str) -> str | None:
    """``FILE, line N``: the innermost line of ``files`` that ``error`` passed through.

    Without ``files``, the innermost line below the caller's that is not of the import system. None
    if there is no such line. A syntax error is where its text is wrong.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)[1:]):
        if frame.filename in files or (not files and "importlib" not in frame.filename):
            return f"{frame.filename}, line {frame.lineno}"
    return None


def where_raised_in(error: BaseException, cls: type, base: type = object) -> str | None:
    """Where in the files of ``cls``, and of what it inherits down to ``base``, an error arose."""
    classes = [each for each in cls.__mro__ if each is cls or not issubclass(base, each)]
    files = [file for file in map(_file, classes) if file]
    return where_raised(error, *files) if files else None


def where_blamed(error: BaseException, cls: type, base: type = object) -> str:
    """:func:`where_raised_in`, or else where ``cls`` is written."""
    return where_raised_in(error, cls, base) or where_defined(cls)


def _file(cls: type) -> str | None:
    try:
        return inspect.getsourcefile(cls)
    except TypeError:
        return None
