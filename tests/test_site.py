"""The documentation builds without a warning, and asks no network for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import generate
import pytest
from method_pages import documented, record
from metric_pages import facts

from fsgan_bench.metrics.registry import OURS
from fsgan_bench.plugins.methods import method_entries

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
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
    for page, made in generate.quoting_pages().items():
        assert page.read_text(encoding="utf-8") == made, "python docs/generate.py writes it again"


@pytest.mark.parametrize("name", generate.METHODS)
def test_every_setting_of_a_method_is_on_its_page_with_its_source(name: str) -> None:
    config = method_entries()[name].load().Config
    assert documented(config).keys() == {field.name for field in fields(config)}
    page = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert f"_generated/methods/{name}-settings.md" in page or not fields(config)
    assert f"_generated/methods/{name}.md" in page
    assert (ROOT / "tests" / "baselines" / f"test_{name}.py").exists()


def test_the_record_of_a_method_is_on_its_page() -> None:
    rows = record(method_entries()["dcl"].load()).splitlines()
    assert rows[0].startswith("Relaxed realism plus `lambda1`")
    assert "| choice | ours | published | where | effect |" in rows
    assert any(row.startswith("| layers of Eq. 7 |") for row in rows)
    assert any(row.startswith("| the patch head |") for row in rows)
    assert not any("Fisher" in row for row in rows)


def test_every_metric_is_on_the_page_of_the_metrics() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    sections = page.split("\n## ")[2:]
    for section in sections:
        assert section.count("**Definition.**") == section.count("**Protocol.**") == 1
        assert "**Fail" in section
    heads = " ".join(section.partition("\n")[0] for section in sections)
    for metric in OURS:
        assert re.search(rf"\b{metric.partition('_cdc')[0].partition('_coarse')[0]}", heads) or (
            f"`_{metric.partition('_')[2]}`" in page
        )
        assert f"| `{metric}` |" in facts()
