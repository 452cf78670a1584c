"""What pyproject.toml promises: entry points, data files, dependencies, a light import."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import fsgan_bench
from fsgan_bench.data.images import Images
from fsgan_bench.plugins.method_files import load_plugin
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PACKAGES = ("fsgan_bench", "baselines", "classifiers")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENTRY_POINTS: dict[str, dict[str, str]] = PYPROJECT["project"]["entry-points"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def fresh_python(code: str) -> str:
    """Standard output of ``code`` in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def test_console_script() -> None:
    assert callable(resolve(PYPROJECT["project"]["scripts"]["fsgan-bench"]))


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in ENTRY_POINTS for name in ENTRY_POINTS[group]]
)
def test_entry_point(group: str, name: str) -> None:
    target = resolve(ENTRY_POINTS[group][name])
    if group == "fsgan_bench.methods":
        assert target.name == name
    else:
        assert callable(target)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_a_package_is_one(package: str) -> None:
    folders = {path.parent for path in SOURCES if path.is_relative_to(ROOT / package)}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    assert (ROOT / package / "py.typed").exists()


def test_every_import_is_a_declared_dependency() -> None:
    project = PYPROJECT["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != "dev"]
    declared = {
        normalised(re.split(r"[^\w.-]", line, maxsplit=1)[0])
        for lines in (project["dependencies"], *extras)
        for line in lines
    }
    providers = metadata.packages_distributions()
    undeclared = {}
    for path in SOURCES:
        for name in imported(path):
            if name in PACKAGES or name in sys.stdlib_module_names:
                continue
            distributions = {normalised(d) for d in providers.get(name, [name])}
            if not distributions & declared:
                undeclared[name] = str(path.relative_to(ROOT))
    assert undeclared == {}


def test_import_loads_no_torch() -> None:
    code = "import sys, fsgan_bench; print('torch' in sys.modules, fsgan_bench.__version__)"
    assert fresh_python(code) == f"False {fsgan_bench.__version__}"


@pytest.mark.parametrize("arguments", [["--help"], ["list", "methods"]])
def test_what_loads_no_torch(arguments: list[str]) -> None:
    if any(entry.third_party for entry in method_entries().values()):
        pytest.skip("methods of another package are installed, and imported to be listed")
    code = (
        "import sys; from click.testing import CliRunner; from fsgan_bench.cli.main import main; "
        f"outcome = CliRunner().invoke(main, {arguments}); "
        "print(outcome.exit_code, {'torch', 'pydantic'} & sys.modules.keys())"
    )
    assert fresh_python(code) == "0 set()"


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{fsgan_bench.__version__}]" in changelog


def test_the_citation_has_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {fsgan_bench.__version__}\n" in citation


def test_the_example_method_trains(
    tmp_path: Path, networks: tuple[Generator, Discriminator], few_shot: Images
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "l2sp.py"
    path.write_text(example, encoding="utf-8")
    method = load_plugin(path)["l2sp"](build_config(load_plugin(path)["l2sp"], {"strength": "100"}))
    session = Session(method, *networks, few_shot, recipe=Recipe(), seed=0, iterations=2)
    first, second = method.step(session), method.step(session)
    assert first["generator/l2sp"] == 0 < second["generator/l2sp"]
