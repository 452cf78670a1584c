from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.results.reader import load
from fsgan_bench.tables import selection
from fsgan_bench.tables.latex import PREAMBLE, escape, latex
from fsgan_bench.tables.model import Column, Row, Table, TableEntry
from fsgan_bench.tables.scores import tables

PDFLATEX = shutil.which("pdflatex")
NASTY = [
    r"\input{/etc/passwd}",
    r"\end{table}\csname write18\endcsname{x}",
    r"R&D 100% a_b #1 $x$ {y ~z ^w",
    '[2pt] * `quoted` "said" <b> |c|',
    "*starred",
    "don''t -- or --- ,, dash",
    "naïve Łukasz Gödel Çelik ångström ñ ǎ ō",
    "方法 \N{SNOWMAN} \N{RIGHT-TO-LEFT OVERRIDE} \N{COMBINING ACUTE ACCENT} λ…",
    "% a comment \\\\ \\",
]


def table(label: str = "TGAN", title: str = "faces", **entry: Any) -> Table:
    columns = [
        Column("p_t", f"{label} ↑", "p_t", True),
        Column("word", "converged", "", words=True),
    ]
    rows = [
        Row("a", label, " †", 1, {"p_t": TableEntry(**entry), "word": TableEntry(text="no")}),
        Row("real", "real images", "", 0, {"p_t": TableEntry(0.9, 0.01)}, "reference"),
    ]
    return Table("suite-a_b", title, columns, rows, [f"± of {label}"], [label])


def body(text: str) -> list[str]:
    return text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))


def test_numbers_are_math_and_the_best_are_bold() -> None:
    plain, rule, reference = body(latex([table(value=2887.1, spread=12.04, note=" §")]))
    assert cells(plain) == [
        r"TGAN\textsuperscript{$\dagger$}",
        r"$2{,}887.100 \pm 12.040$\rlap{\textsuperscript{$\mathsection$}}",
        "no",
    ]
    assert rule == r"\midrule"
    assert cells(reference) == [r"\textit{real images}", r"$0.900 \pm 0.010$", "--"]
    best = cells(body(latex([table(value=0.5, best=True)]))[0])
    assert best[1] == r"$\mathbf{0.500}$"
    assert cells(body(latex([table()]))[0])[1] == "--"


def test_a_float_with_caption_label_and_footnotes() -> None:
    text = latex([table()])
    assert text.splitlines()[0] == f"% Needs in the preamble: {''.join(PREAMBLE)}"
    assert r"\caption{faces}" in text and r"\label{tab:suite-a_b}" in text
    assert r"\item[] $\pm$ of TGAN" in text and r"\item[] TGAN" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1
    assert [text.count(rf"\{rule}") for rule in ("toprule", "bottomrule")] == [1, 1]


def test_a_label_is_plain() -> None:
    named = replace(table(), name="a-b}\\input{c_ü")
    assert r"\label{tab:a-b-input-c_-}" in latex([named])


def test_p_t_is_a_symbol_and_no_other_word_is() -> None:
    assert escape("90 % of p_t") == r"90 \% of $p_t$"
    assert escape("ap_t p_ts") == r"ap\_t p\_ts"


def test_what_tex_would_read_is_escaped() -> None:
    assert escape(r"\input{x}") == r"\textbackslash{}input\{x\}"
    assert escape("a_b & 5%") == r"a\_b \& 5\%"
    assert escape("Fréchet å") == r"Fr\'{e}chet \r{a}"
    assert escape("方") == r"\texttt{U+65B9}"
    assert escape("a--b") == "a-{}-b"
    assert escape("one\n\ntwo\x07") == r"one two\texttt{U+0007}"


@pytest.mark.parametrize("name", NASTY)
def test_no_name_brings_a_command_a_cell_or_an_argument(name: str) -> None:
    text = latex([table(name, name, value=0.5)])
    assert text.isascii()
    commands = r"\\(input|csname|write|verb|catcode|def)\b"
    assert not re.search(commands, text)
    assert all(len(cells(line)) == 3 for line in body(text) if line.endswith(r"\\"))
    assert not re.search(r"(\\\\|rule)\s*[\[*]", text)
    bare = re.sub(r"\\[\\{}&%$#_]", "", text.partition("\n")[2])
    assert bare.count("{") == bare.count("}")
    assert bare.count("%") == text.count("%\n") and "#" not in bare
    assert bare.count("$") % 2 == 0


def test_rows_of_one_method_stand_together(writer: Any) -> None:
    writer.task()
    writer.cell("tgan")
    writer.cell("bsa")
    lines = body(latex(selection.tables(load(writer.folder)[0])))
    labels = [cells(line)[0].partition("\\")[0] for line in lines if " & " in line]
    assert labels == ["TGAN", "", "", "BSA", "", ""]
    assert lines[3] == r"\addlinespace"


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
def test_it_compiles_whatever_things_are_called(writer: Any, tmp_path: Path) -> None:
    writer.task(source_title=NASTY[0], target_title=NASTY[2], notes=NASTY)
    for method, title in zip("abcdefghi", NASTY, strict=True):
        file = writer.cell(method) / "cell.json"
        document = json.loads(file.read_text())
        document["cell"]["title"] = title
        file.write_text(json.dumps(document))
    [results] = load(writer.folder)
    every = [*tables(results), *selection.tables(results)]
    (tmp_path / "table.tex").write_text(latex(every), encoding="ascii")
    document = "\n".join(
        [
            r"\documentclass{article}",
            *PREAMBLE,
            r"\begin{document}",
            r"\input{table.tex}",
            r"See Table~\ref{tab:avatars-sketches-10shot-selection}.",
            r"\end{document}",
        ]
    )
    (tmp_path / "document.tex").write_text(document)
    command = [str(PDFLATEX), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "document.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "document.pdf").read_bytes().startswith(b"%PDF")
    log = (tmp_path / "document.log").read_text(errors="replace")
    assert "Overfull" not in log and "undefined" not in log and "Missing" not in log
