"""Tables on a console, as Markdown and as CSV; ``latex`` is their other form."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fsgan_bench.system.text_tables import escape_markdown, markdown_table, terminal_table
from fsgan_bench.tables.model import NONE, Row, Table


def markdown_text(tables: Sequence[Table]) -> str:
    """GitHub's tables, with the footnotes as a list beneath each; best entries are bold."""
    return "\n".join(_markdown(table) for table in tables)


def csv_text(tables: Sequence[Table]) -> str:
    """One CSV table, a line a row, numbers in full; columns that a row has not are empty.

    Behind each score come its ``_spread`` and its ``_stderr``, or where it is ``_printed_in`` if it
    is from the literature; iterations are means over the seeds.
    """
    records = [record for table in tables for record in _records(table)]
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """On a terminal a compact table with bold best entries, else plain lines of full width."""
    for table in tables:
        if console.is_terminal:
            console.print(_rich(table))
            scored = (c.heading for c in table.columns if c.scored)
            for note in [f"Scores: {'; '.join(scored)}.", *table.notes]:
                console.print(note, style="dim", markup=False, highlight=False)
        else:
            for line in plain_lines(table):
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def plain_lines(table: Table) -> list[str]:
    """Title, columns two spaces apart, footnotes."""
    rows = [
        [table.head, *(column.heading for column in table.columns)],
        *([f"{row.label}{row.mark}", *_texts(table, row)] for row in table.rows),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [table.title, *(line.rstrip() for line in lines), *table.notes]


def _markdown(table: Table) -> str:
    head = [table.head, *(escape_markdown(column.heading) for column in table.columns)]
    rows = []
    for row, name in zip(table.rows, table.labels(), strict=True):
        label = f"{escape_markdown(name)}{row.mark}" if name else ""
        if row.kind == "reference":
            label = f"*{label}*"
        rows.append([label, *_texts(table, row, bold="**")])
    numeric = [False, *(not column.words for column in table.columns)]
    lines = markdown_table(head, rows, numeric)
    notes = [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join([f"**{escape_markdown(table.title)}**", "", *lines, "", *notes, ""])


def _texts(table: Table, row: Row, bold: str = "") -> list[str]:
    texts = []
    for column in table.columns:
        entry = row.entries.get(column.key)
        text = NONE if entry is None else entry.show(column.decimals)
        texts.append(f"{bold}{text}{bold}" if entry is not None and entry.best else text)
    return texts


def _rich(table: Table) -> RichTable:
    head = [table.head, *(column.short for column in table.columns)]
    shown = terminal_table(head, [False, *(True for _ in table.columns)], table.title)
    last_method = sum(row.seeds > 0 for row in table.rows) - 1
    for number, row in enumerate(table.rows):
        label = f"{row.label}{row.mark}" if row.seeds else row.name
        cells = [Text(label, style="" if row.seeds else "dim")]
        for column, text in zip(table.columns, _texts(table, row), strict=True):
            entry = row.entries.get(column.key)
            best = entry is not None and entry.best
            cells.append(Text(text, style="bold" if best else "" if row.seeds else "dim"))
        shown.add_row(*cells, end_section=number == last_method)
    return shown


def _records(table: Table) -> list[dict[str, str]]:
    records = []
    for row in table.rows:
        record = {
            "kind": row.kind,
            "name": row.name,
            "label": row.label,
            "seeds": str(row.seeds or ""),
        }
        for column in table.columns:
            entry = row.entries.get(column.key)
            if column.words:
                record[column.key] = entry.text if entry else ""
                continue
            record[column.key] = _exact(entry.value) if entry else ""
            if column.scored:
                record[f"{column.key}_spread"] = _exact(entry.spread) if entry else ""
            if column.printed_in:
                record[f"{column.key}_printed_in"] = column.printed_in if entry else ""
            elif column.scored:
                record[f"{column.key}_stderr"] = _exact(entry.stderr) if entry else ""
        records.append(record)
    return records


def _exact(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""
