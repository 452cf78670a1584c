"""The one exception a user sees as a sentence, and the did-you-mean suffix it often ends in."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Bad input from the user: what is wrong, where, and what would be right, in one sentence.

    The command line prints the sentence without a traceback and exits with code 2.
    """


def suggest(name: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the choice closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def look_up(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """``choices[name]``; UserError with a suggestion if it is missing."""
    if name not in choices:
        known = ", ".join(choices)
        raise UserError(f"There is no {kind} '{name}'; known are {known}.{suggest(name, choices)}")
    return choices[name]


def check_keys(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise UserError, with a suggestion, if ``given`` has a key that ``owner`` does not know."""
    choices = list(known)
    for key in given:
        if key not in choices:
            has = f"it has {', '.join(choices)}" if choices else "it has no settings"
            raise UserError(f"{owner} has no setting '{key}'; {has}.{suggest(key, choices)}")


def where_raised(error: BaseException, blamed: type | str) -> str:
    """``FILE, line N``: where in a file ``error`` arose.

    Args:
        error: what was raised.
        blamed: the file, or a class in it. Where no frame of the traceback lies in the file, the
            line is that of the class, or is left out.
    """
    file = blamed if isinstance(blamed, str) else inspect.getsourcefile(blamed) or "?"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    if not lines and not isinstance(blamed, str):
        lines = [inspect.getsourcelines(blamed)[1]]
    return f"{file}, line {lines[-1]}" if lines else file
