"""Names as they are given in one text."""

from __future__ import annotations


def names_in(text: str) -> list[str]:
    """The names in a comma-separated text such as ``kid, prdc``, each once, in their order."""
    return list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
