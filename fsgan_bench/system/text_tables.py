"""Grids of text as Markdown and on a terminal: the one form that all tables have there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> list[str]:
    """The lines of a table on GitHub, of escaped cells; ``numeric`` columns stand to the right."""
    rule = "|".join(["", *("---:" if right else "---" for right in numeric), ""])
    return [_row(head), rule, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape_markdown(text: str) -> str:
    """``text`` as Markdown that shows it: no table, link, image, emphasis or HTML of its own."""
    return re.sub(r"([\\|*`\[\]<>])|(?<!\w)_|_(?!\w)", lambda special: "\\" + special[0], text)


def terminal_table(head: Sequence[str], numeric: Sequence[bool], title: str = "") -> Table:
    """An empty table with a rule under its head, for a rich console; ``numeric`` as above."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title or None,
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name, right in zip(head, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left")
    return table
