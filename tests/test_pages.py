"""Every page: its links and images lead somewhere, and its commands are ones the program takes.

``test_docs.py`` runs the fences of some pages. Those of the others take files, clusters or minutes
that a test does not have; they are named here, and their commands are parsed.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fsgan_bench.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```([\w{}-]+)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^()\s]+)\)")
PATTERNS = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md", "results/*.md")
PAGES = [
    path
    for pattern in (*PATTERNS, "results/reference/*.md", "results/reference/*/*.md")
    for path in sorted(ROOT.glob(pattern))
    if not {"_generated", "_build", "build"} & set(path.parts)
]

THINGS = ("a-method", "a-metric", "a-classifier", "an-executor", "a-tracker")
RUN = {"docs/start.md"} | {f"docs/adding-{thing}.md" for thing in THINGS}
NOT_RUN = {
    "README.md": "trains for an hour; its method is trained in test_packaging.py",
    "CONTRIBUTING.md": "runs the tests themselves",
    "benchmarks/README.md": "takes an idle machine and hours",
    "docs/export.md": "takes a table that was exported; tests/driver reads one",
    "docs/faithfulness.md": "trains for hours",
    "docs/how-to/elsewhere.md": "takes results and checkpoints; tests/driver has its commands",
    "docs/how-to/own-images.md": "takes a model and images; tests/suites has its commands",
    "docs/how-to/paper-suites.md": "takes published files; tests/suites has its commands",
    "docs/how-to/report.md": "takes results of both sides of a change; tests/ has its commands",
    "docs/how-to/runs.md": "trains for an hour; tests/driver has its commands",
    "docs/how-to/reproduce.md": "trains for an hour; tests/driver has its commands",
    "docs/on-a-cluster.md": "takes a cluster; make cluster-test has one",
    "examples/fsgan-bench-extras/README.md": "trains for an hour; its own tests check the methods",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fences(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


def commands(snippet: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in a snippet."""
    for line in snippet.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["fsgan-bench"]:
            yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    lost = [
        target
        for target in TARGET.findall(text)
        if not target.startswith(("http://", "https://", "mailto:", "#", "_generated/"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_program_takes_every_command(page: Path) -> None:
    for kind, snippet in fences(page):
        if kind == "toml":
            tomllib.loads(snippet)
        elif kind == "python":
            compile(snippet, name_of(page), "exec")
        elif kind == "sh":
            for arguments in commands(snippet):
                command: click.Command = main
                while isinstance(command, click.Group) and not arguments[0].startswith("-"):
                    command = command.commands[arguments.pop(0)]
                if not isinstance(command, click.Group):
                    command.make_context(command.name, arguments)


def test_every_page_with_fences_is_run_or_named_as_not_run() -> None:
    code = {
        name_of(page) for page in PAGES if any(kind in ("sh", "python") for kind, _ in fences(page))
    }
    assert code == RUN | NOT_RUN.keys()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_command_hides_from_the_tests_by_being_indented(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"^(?: {4,}|\t)fsgan-bench .*", text, re.MULTILINE) == []
