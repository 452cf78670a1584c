"""Names and numbers as texts have them."""

from __future__ import annotations


def names_in(text: str) -> list[str]:
    """The names in a comma-separated text such as ``kid, prdc``, each once, in their order."""
    return list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))


def shots_in_words(count: int) -> str:
    """``1 shot``, ``10 shots``."""
    return f"{count} shot{'' if count == 1 else 's'}"
