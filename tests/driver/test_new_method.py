"""``fsgan-bench new-method``: what it writes passes ``check`` and its own tests as written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_method(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["new-method", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_file_passes_check(folder: Path) -> None:
    assert new_method("style_lock") == (
        "style_lock.py: fsgan-bench check style_lock --plugin style_lock.py\n"
    )
    result = CliRunner().invoke(main, ["check", "style_lock", "--plugin", "style_lock.py"])
    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.output


def test_what_is_written_is_clean(folder: Path) -> None:
    new_method("style_lock")
    new_method("style_lock", "--package")
    for place in (folder, folder / "fsgan-bench-style-lock"):
        for tool in ("check --select=E,F,I,B,UP", "format --check"):
            command = [sys.executable, "-m", "ruff", *tool.split(), "--line-length=100"]
            done = subprocess.run(
                [*command, "--exclude=fsgan-bench-style-lock", "."],
                capture_output=True,
                text=True,
                cwd=place,
            )
            assert done.returncode == 0, done.stdout


def test_the_package_installs_and_passes_its_tests(folder: Path) -> None:
    new_method("style_lock", "--package", "--out", "mine")
    installed = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", installed, "./mine"], check=True, capture_output=True)
    # Another method of the name would be a clash: this one is only on the path of the children.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    commands = {
        "list": [sys.executable, "-m", "fsgan_bench", "list", "methods"],
        "test": [sys.executable, "-m", "pytest", "-q", "mine", "-p", "no:cacheprovider"],
    }
    done = {
        name: subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=folder, env=environment
        ).stdout
        for name, command in commands.items()
    }
    assert "style_lock  third party: fsgan-bench-style-lock" in done["list"]
    assert "11 passed" in done["test"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tgan"], "'tgan' is already taken by fsgan-bench"),
        (["Style"], "'Style' cannot be a method's name"),
        (["class"], "'class' cannot be a method's name"),
        (["true"], "'true' cannot be a method's name"),
        (["all"], "'all' cannot be a method's name"),
        (["a" * 41], "at most 40 characters"),
        (["../x"], "cannot be a method's name"),
        (["fine", "--out", "fine.txt"], "ends in .py"),
        (["fine", "--out", "there.py"], "there.py exists already"),
        (["fine", "--out", "there.py", "--package"], "there.py exists already"),
    ],
)
def test_bad_names_are_one_sentence(arguments: list[str], sentence: str, folder: Path) -> None:
    (folder / "there.py").write_text("mine = 1\n")
    result = CliRunner().invoke(main, ["new-method", *arguments])
    assert result.exit_code == 2
    assert sentence in result.output
    assert [path.name for path in folder.iterdir()] == ["there.py"]
    assert (folder / "there.py").read_text() == "mine = 1\n"
