"""Tables in LaTeX, as in print: rules by booktabs, numbers in math, and no name is taken for TeX.

The text is ASCII, so it compiles in any document whatever its encoding.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Sequence

from fsgan_bench.tables.model import NONE, Column, Table, TableEntry

PREAMBLE = (r"\usepackage{booktabs}", r"\usepackage{graphicx}")
"""What a document needs that takes these tables in by ``\\input``."""

_NARROWEST = 13
_LINE = 96
"""Characters of a heading's line: at least the one, together about the other."""

_ASCII = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textquoteleft{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    # Behind the end of a row these would be taken for its arguments.
    **{letter: f"{{{letter}}}" for letter in "[]*"},
}
_SYMBOLS = {
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "\N{GREEK SMALL LETTER LAMDA}": r"$\lambda$",
    "\N{GREEK SMALL LETTER SIGMA}": r"$\sigma$",
    "\N{GREEK SMALL LETTER TAU}": r"$\tau$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"$\mathsection$",
    "¶": r"$\mathparagraph$",
    "…": r"\dots{}",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": r"\textquoteright{}",
    "\N{NO-BREAK SPACE}": "~",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CEDILLA}": "c",
}


def latex(tables: Sequence[Table]) -> str:
    """A file for ``\\input``: each table a float with caption, label and footnotes beneath."""
    head = [f"% Needs in the preamble: {''.join(PREAMBLE)}"]
    return "\n".join([*head, *(_float(table) for table in tables)])


def escape(text: str) -> str:
    """``text`` as TeX that prints it; a character that TeX's own fonts lack as its code point."""
    escaped = "".join(map(_character, re.sub(r"[ \t-\r]+", " ", text).strip(" ")))
    without_ligatures = re.sub(r"([-',])(?=\1)", r"\1{}", escaped)
    return re.sub(r"\bp\\_t\b", "$p_t$", without_ligatures)


def _character(letter: str) -> str:
    if letter.isascii() and letter.isprintable():
        return _ASCII.get(letter, letter)
    if letter in _SYMBOLS:
        return _SYMBOLS[letter]
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return rf"\texttt{{U+{ord(letter):04X}}}"


def _float(table: Table) -> str:
    columns = "".join("l" if column.words else "r" for column in table.columns)
    width = max(_NARROWEST, _LINE // len(table.columns))
    heads = [table.head, *(_head(column, width) for column in table.columns)]
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}\smallskip",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9_-]+', '-', table.name)}}}",
        r"\small\setlength{\tabcolsep}{5pt}%",
        r"\sbox2{\begin{tabular}{@{}l" + columns + "@{}}",
        r"\toprule",
        _line(heads),
        r"\midrule",
        *_body(table),
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\ifdim\wd2>\linewidth\resizebox{\linewidth}{!}{\usebox2}\else\usebox2\fi",
    ]
    if table.notes:
        lines += [
            r"\begin{list}{}{\leftmargin=1em\itemindent=-1em\labelwidth=0pt\labelsep=0pt"
            r"\topsep=4pt\itemsep=0pt\parsep=0pt}\footnotesize\raggedright",
            *(rf"\item[] {escape(note)}" for note in table.notes),
            r"\end{list}",
        ]
    return "\n".join([*lines, r"\end{table}", ""])


def _head(column: Column, width: int) -> str:
    """A heading in as many lines as it needs, beside others that stand on the same base line."""
    glued = re.sub(r" ([%↑↓])", "\N{NO-BREAK SPACE}\\1", column.heading)
    lines = textwrap.wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return escape(lines[0])
    align = "l" if column.words else "r"
    stacked = r"\\".join(map(escape, lines))
    return rf"\begin{{tabular}}[b]{{@{{}}{align}@{{}}}}{stacked}\end{{tabular}}"


def _body(table: Table) -> list[str]:
    lines: list[str] = []
    labels = table.labels()
    for number, (row, label) in enumerate(zip(table.rows, labels, strict=True)):
        if number and row.kind != table.rows[number - 1].kind:
            lines.append(r"\midrule")
        elif number and label and "" in labels:
            lines.append(r"\addlinespace")
        shown = escape(label)
        if row.kind == "reference":
            shown = rf"\textit{{{shown}}}"
        mark = _mark(row.mark) if label else ""
        entries = [row.entries.get(column.key, TableEntry()) for column in table.columns]
        cells = (_entry(e, c.decimals) for e, c in zip(entries, table.columns, strict=True))
        lines.append(_line([shown + mark, *cells]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _entry(entry: TableEntry, decimals: int) -> str:
    """Its mark takes no room, so that numbers stand in line."""
    mark = rf"\rlap{{{_mark(entry.note)}}}" if entry.note and entry.is_number else _mark(entry.note)
    if not entry.is_number:
        return ("--" if entry.show(decimals) == NONE else escape(entry.text)) + mark
    number = _number(entry.value, decimals)
    if math.isfinite(entry.spread):
        number += rf" \pm {_number(entry.spread, decimals)}"
    return (rf"$\mathbf{{{number}}}$" if entry.best else f"${number}$") + mark


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace(",", "{,}")


def _mark(mark: str) -> str:
    return rf"\textsuperscript{{{escape(mark)}}}" if mark.strip() else ""
