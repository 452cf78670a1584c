"""Methods from files: what is broken is named with file and line, and the others go on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]

HEAD = "from fsgan_bench.method import Method\n\n\n"

BROKEN = {
    "syntax": ("class Method(:\n", "syntax.py, line 1"),
    "dependency": ("import os\nimport nonexistent_package\n", "dependency.py, line 2: Module"),
    "quits": ("import sys\n\nsys.exit(3)\n", "quits.py, line 3: SystemExit"),
    "empty": ("", "empty.py defines no method"),
    "base": (
        "class Mine:\n    name, title, version, paper = 'mine', 'M', '1', 'p'\n",
        "base.py, line 1) is not a subclass of fsgan_bench.method.Method",
    ),
    "attributes": (
        f"{HEAD}class Mine(Method):\n    name = 'mine'\n",
        "attributes.py, line 4) lacks the class attribute(s) title, version, paper",
    ),
    "config": (
        f"{HEAD}class Mine(Method):\n    name, title, version, paper = 'mine', 'M', '1', 'p'\n"
        "    Config = dict\n",
        "config.py, line 4) is no dataclass",
    ),
    "taken": (
        f"{HEAD}class Mine(Method):\n    name, title, version, paper = 'tgan', 'T', '1', 'p'\n",
        "taken.py is already taken by fsgan-bench",
    ),
    "twice": (
        f"{HEAD}class One(Method):\n    name, title, version, paper = 'mine', 'M', '1', 'p'\n\n\n"
        "class Two(One):\n    title = 'Two'\n",
        "the name 'mine' is taken by another of its methods",
    ),
}

GOOD = f"{HEAD}class Good(Method):\n    name, title, version, paper = 'good', 'Good', '1', 'p'\n"


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("kind", BROKEN)
def test_list_names_it_and_shows_the_others(kind: str, plugin: Callable[[str, str], Path]) -> None:
    text, sentence = BROKEN[kind]
    arguments = ["--plugin", str(plugin(kind, text)), "--plugin", str(plugin("good", GOOD))]
    result = CliRunner().invoke(main, ["list", "methods", *arguments])
    assert result.exit_code == 2, result.output
    assert sentence in " ".join(result.stderr.split())
    assert result.stderr.startswith("Broken: ")
    assert "Traceback" not in result.output
    for name in ("tgan", "dcl", "good"):
        assert f"\n{name} " in result.stdout


def test_run_names_it_and_runs_the_others(
    suite: Path, fsgan_bench: Command, plugin: Callable[[str, str], Path], tmp_path: Path
) -> None:
    raises = GOOD.replace("good", "raises").replace("Good", "Raises") + (
        "\n    def generator_loss(self, session):\n"
        "        if session.iteration == 2:\n"
        "            raise KeyError('half way')\n"
        "        return super().generator_loss(session)\n"
    )
    files = [
        plugin("syntax", BROKEN["syntax"][0]),
        plugin("good", GOOD),
        plugin("raises", raises),
    ]
    done = fsgan_bench(
        *("run", "--suite", suite, "--target", "sketches", "--out", tmp_path / "out"),
        *("--methods", "good,raises,mine", "--set", "mine.weight=1", "--allow-weak-classifier"),
        *(part for file in files for part in ("--plugin", file)),
    )
    assert done.returncode == 1, done.stderr
    assert "syntax.py, line 1" in done.stderr
    assert "There is no method 'mine'" in done.stderr
    assert f"Raises failed: KeyError: 'half way' ({files[2]}, line 9)" in done.stderr
    assert "Traceback" not in done.stderr
    (cell,) = (tmp_path / "out" / "tiny" / "sketches-4shot" / "good").iterdir()
    assert (cell / "DONE").exists()


def test_where_nothing_works_nothing_runs(
    suite: Path, plugin: Callable[[str, str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["run", "--suite", str(suite), "--target", "ink", "--out", str(out)]
    path = plugin("syntax", BROKEN["syntax"][0])
    result = CliRunner().invoke(main, [*arguments, "--methods", "mine", "--plugin", str(path)])
    assert result.exit_code == 2
    assert "syntax.py, line 1" in result.stderr
    assert not out.exists()


def test_without_a_broken_plugin_an_unknown_name_is_an_error(
    suite: Path, plugin: Callable[[str, str], Path]
) -> None:
    arguments = ["run", "--suite", str(suite), "--target", "ink", "--methods", "tgan,goood"]
    result = CliRunner().invoke(main, [*arguments, "--plugin", str(plugin("good", GOOD))])
    assert result.exit_code == 2
    assert "Did you mean 'good'?" in result.stderr


def test_check_names_it_and_checks_the_others(plugin: Callable[[str, str], Path]) -> None:
    nan = GOOD.replace("good", "nan").replace("Good", "Nan") + (
        "\n    def generator_loss(self, session):\n"
        "        return {'adversarial': super().generator_loss(session)['adversarial'] / 0}\n"
    )
    paths = [plugin("syntax", BROKEN["syntax"][0]), plugin("nan", nan), plugin("good", GOOD)]
    flags = [part for path in paths for part in ("--plugin", str(path))]
    result = CliRunner().invoke(main, ["check", "nan", "good", *flags])
    assert result.exit_code == 1, result.output
    assert "syntax.py, line 1" in result.stderr
    assert "nan: training: FAILED" in result.stdout
    assert "the loss term generator/adversarial is" in result.stdout
    assert "good: sampler: ok" in result.stdout
    assert "Traceback" not in result.output
