"""What pyproject.toml promises: every entry point leads to a method of its name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from fsgan_bench.method import Method

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
METHODS: dict[str, str] = PROJECT["entry-points"]["fsgan_bench.methods"]


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_point_is_a_method_of_its_name(name: str) -> None:
    module, _, attribute = METHODS[name].partition(":")
    method = getattr(importlib.import_module(module), attribute)
    assert issubclass(method, Method)
    assert method.name == name


def test_every_method_of_the_package_has_one() -> None:
    files = {p.stem for p in (PYPROJECT.parent / "fsgan_bench_extras").glob("[!_]*.py")}
    assert files == set(METHODS)
