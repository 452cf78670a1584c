"""What the package promises: its entry points, its own memory, and public imports alone."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from fsgan_bench import Method
from fsgan_bench.contract import ARCHITECTURE, RECIPE
from fsgan_bench.driver.memory import rehearse
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.cell import Cell

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
METHODS: dict[str, str] = PROJECT["entry-points"]["fsgan_bench.methods"]


FILES = sorted((PYPROJECT.parent / "fsgan_bench_extras").glob("[!_]*.py"))


def load(name: str) -> type[Method]:
    module, _, attribute = METHODS[name].partition(":")
    method: type[Method] = getattr(importlib.import_module(module), attribute)
    assert issubclass(method, Method)
    return method


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_point_is_a_method_of_its_name(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize("name", METHODS)
def test_its_memory_is_predicted_by_rehearsing_itself(name: str) -> None:
    """On a device other than the CPU, and within the operations that a set-up may take."""
    method = load(name)
    small = {key: method.tiny[key] for key in ("patch_downscales",) if key in method.tiny}
    config = asdict(build_config(method, small))
    cell = Cell(
        *("suite", "target", 4, name, method.title, method.paper, method.version, None),
        *(config, 0, 450, (0, 450), RECIPE, "", ""),
    )
    assert rehearse(cell, method, ARCHITECTURE, 4).own


def test_every_method_of_the_package_has_one() -> None:
    assert {path.stem for path in FILES} == set(METHODS)


PAGE = PYPROJECT.parents[2] / "docs" / "adding-a-method.md"
ROWS = re.findall(r"^\| (`.*?) \|", PAGE.read_text("utf-8"), re.M)
PUBLIC = {"fsgan_bench"} | {
    name
    for name in re.findall(r"`([\w.]+)`", "\n".join(ROWS))
    if name.startswith(("fsgan_bench.", "baselines"))
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_imports_what_is_documented_as_public(path: Path) -> None:
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in tree if isinstance(node, ast.ImportFrom)]
    modules = plain | {node.module or "" for node in froms}
    ours = {name for name in modules if name.partition(".")[0] in ("fsgan_bench", "baselines")}
    assert "fsgan_bench" in ours
    assert ours <= PUBLIC
    taken = {alias.name for node in froms for alias in node.names}
    of_others = {
        node.attr
        for node in tree
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "super()")
    }
    private = re.compile(r"_(?!_)")
    assert not [name for name in taken | of_others if private.match(name)]


@pytest.mark.parametrize("name", sorted(PUBLIC - {"baselines"}))
def test_what_is_documented_as_public_exists(name: str) -> None:
    importlib.import_module(name)
