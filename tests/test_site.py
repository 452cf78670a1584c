"""The documentation builds without a warning, and asks no network for anything."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?P<url>[^\"]+)\"")


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", tmp_path / "trees", DOCS, site], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted(site.rglob("*.html"))
    assert {"index", "start", "concepts", "metrics", "results", "api", "faq"} <= {
        page.stem for page in pages
    }
    for page in pages:
        for tag in LOADED.finditer(page.read_text(encoding="utf-8")):
            assert not tag["url"].startswith(("http", "//")), f"{page.name} loads {tag['url']}"
    assert "<math" in (site / "methods" / "dcl.html").read_text(encoding="utf-8")


def test_quoted_tables_are_those_of_the_results() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = (generate.REFERENCE.parent / "README.md").read_text(encoding="utf-8")
    scores = generate.compared(generate.load_results(generate.REFERENCE))
    assert generate.tables(text, scores) == text, "python docs/generate.py writes them again"
