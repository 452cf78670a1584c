"""Which snapshots of a cell stay on disk."""

from __future__ import annotations

from typing import Literal, get_args

Keep = Literal["none", "last", "scored", "all"]
"""Which snapshots stay: none, the last, every scored one; ``all`` keeps the final state besides."""

KEEPS: tuple[Keep, ...] = get_args(Keep)
