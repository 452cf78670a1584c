"""What a check raises, and how it says it."""

from __future__ import annotations

from typing import Any

from fsgan_bench.contract.trial import differences


class Violation(Exception):
    """A method does not keep to the contract; the message says how it departs from it."""


def require(condition: bool, otherwise: str) -> None:
    """Raise Violation, with the sentence ``otherwise``, unless ``condition`` holds."""
    if not condition:
        raise Violation(otherwise)


def require_same(ours: Any, theirs: Any, otherwise: str) -> None:
    """Raise Violation, with the first place, if two nested states differ in a bit."""
    if different := differences(ours, theirs):
        raise Violation(f"{otherwise} (first in {different[0]})")


def first_of(names: set[str]) -> str:
    """``'a' and 2 more``: the first of some names and how many there are."""
    first = f"'{min(names, default='')}'"
    return first + (f" and {len(names) - 1} more" if len(names) > 1 else "")
