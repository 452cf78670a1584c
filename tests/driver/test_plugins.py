"""Methods from files: what is broken is named with file and line, and the others go on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.plugins.methods import method_entries

Command = Callable[..., "subprocess.CompletedProcess[str]"]

HEAD = "from fsgan_bench import Method\n\n\n"

MINE = f"{HEAD}class Mine(Method):\n    name, title, version, paper = 'mine', 'M', '1', 'p'\n"

CONFIG = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Config:\n"

BROKEN = {
    "syntax": ("class Method(:\n", "syntax.py, line 1"),
    "dependency": ("import os\nimport nonexistent_package\n", "dependency.py, line 2: Module"),
    "quits": ("import sys\n\nsys.exit(3)\n", "quits.py, line 3: it calls sys.exit(3)"),
    "empty": ("", "empty.py defines no method"),
    "base": (
        "class Mine:\n    name, title, version, paper = 'mine', 'M', '1', 'p'\n",
        "base.py, line 1) is not a subclass of fsgan_bench.Method",
    ),
    "attributes": (
        f"{HEAD}class Mine(Method):\n    name = 'mine'\n",
        "attributes.py, line 4) lacks the class attribute(s) title, version, paper",
    ),
    "config": (f"{MINE}    Config = dict\n", "config.py, line 4) is no dataclass"),
    "instance": (
        f"{CONFIG}    a: int = 1\n\n\n{MINE}    Config = Config()\n",
        "instance.py, line 12) is no dataclass",
    ),
    "needed": (
        f"{CONFIG}    a: int\n\n\n{MINE}    Config = Config\n",
        "needed.py, line 12) Config.a has no default.",
    ),
    "fails": (
        f"{CONFIG}    def __post_init__(self):\n        raise RuntimeError('no')\n\n\n"
        f"{MINE}    Config = Config\n",
        "fails.py, line 7): RuntimeError: no.",
    ),
    "leaves": (
        f"{CONFIG}    def __post_init__(self):\n        raise SystemExit(7)\n\n\n"
        f"{MINE}    Config = Config\n",
        "leaves.py, line 7): it calls sys.exit(7).",
    ),
    "untyped": (
        f"{CONFIG}    a: 'nowhere' = 1\n\n\n{MINE}    Config = Config\n",
        "The Config of mine (",
    ),
    "binary": (
        f"{CONFIG}    a: frozenset = frozenset()\n\n\n{MINE}    Config = Config\n",
        "binary.py, line 12) cannot be written to JSON",
    ),
    "wordless": (
        MINE.replace("'p'", "2022"),
        "wordless.py, line 4) must be a text without blanks around it, not 2022",
    ),
    "padded": (MINE.replace("'M'", "' M'"), "padded.py, line 4) must be a text without blanks"),
    "several": (
        MINE.replace("'mine'", "'all'"),
        "several.py, line 4) cannot be called 'all', which stands for several",
    ),
    "made": (
        f"{HEAD}words = dict(name='mine', title='M', version='1', paper=1)\n"
        "Mine = type('Mine', (Method,), words)\n",
        "made.py) must be a text",
    ),
    "taken": (
        MINE.replace("'mine'", "'tgan'"),
        "taken.py, line 4 is already taken by fsgan-bench",
    ),
    "twice": (
        f"{MINE}\n\nclass Two(Mine):\n    title = 'Two'\n",
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


LATE = f"""{HEAD}class Late(Method):
    version, paper = '1', 'p'

    def generator_loss(self, session):
        terms = super().generator_loss(session)
        return self.spoilt(terms) if session.iteration == 2 else terms


class Raises(Late):
    name, title = 'raises', 'Raises'

    def spoilt(self, terms):
        raise KeyError('half way')


class Quits(Late):
    name, title = 'quits', 'Quits'

    def spoilt(self, terms):
        raise SystemExit


class Nan(Late):
    name, title = 'nan', 'Nan'

    def spoilt(self, terms):
        return {{'mine': terms['adversarial'] / 0 * 0}}


class Nothing(Late):
    name, title = 'nothing', 'Nothing'

    def spoilt(self, terms):
        return {{}}


class Reads(Late):
    name, title = 'reads', 'Reads'

    def spoilt(self, terms):
        return {{'mine': open('/nowhere/mine.txt')}}


class Small(Late):
    name, title = 'small', 'Small'

    def sample(self, modules, z):
        return super().sample(modules, z)[..., ::2]


class Early(Method):
    name, title, version, paper = 'early', 'Early', '1', 'p'

    def setup(self, session):
        raise SystemExit(4)
"""


def test_run_names_it_and_runs_the_others(
    suite: Path, fsgan_bench: Command, plugin: Callable[[str, str], Path], tmp_path: Path
) -> None:
    late = plugin("late", LATE)
    files = [*(plugin(kind, text) for kind, (text, _) in BROKEN.items()), plugin("good", GOOD)]
    done = fsgan_bench(
        *("run", "--suite", suite, "--target", "sketches", "--out", tmp_path / "out"),
        *("--methods", "good,raises,quits,nan,nothing,reads,small,early,mine"),
        *("--set", "mine.weight=1", "--allow-weak-classifier"),
        *(part for file in (*files, late) for part in ("--plugin", file)),
    )
    assert done.returncode == 1, done.stderr
    for _, sentence in BROKEN.values():
        assert sentence in done.stderr
    assert "There is no method 'mine'" in done.stderr
    assert f"Raises failed: KeyError: 'half way' ({late}, line 16)" in done.stderr
    assert f"Quits failed: it calls sys.exit() ({late}, line 23)" in done.stderr
    assert f"Nan failed: Diverged: the loss term generator/mine is nan ({late}, " in done.stderr
    assert "Nothing failed: TypeError: the loss of the generator must be a dict" in done.stderr
    assert f"'/nowhere/mine.txt' ({late}, line 44)" in done.stderr
    assert "Small failed: ValueError: sample must give float32 [25, 3, 32, 32], not" in done.stderr
    assert f"Early failed: it calls sys.exit(4) ({late}, line 58)" in done.stderr
    assert "Traceback" not in done.stderr
    task = tmp_path / "out" / "tiny" / "sketches-4shot"
    (early,) = (task / "early").iterdir()
    assert (early / "FAILED").exists() and (early / "cell.json").exists()
    assert "Early failed: it calls sys.exit(4)" in (task / "figures" / "table.md").read_text()
    (cell,) = (task / "good").iterdir()
    assert (cell / "DONE").exists()
    assert json.loads((cell / "cell.json").read_text())["cell"]["method_origin"] == "good.py"
    table = cell.parent.parent / "figures" / "table.md"
    assert "- Third party: " in table.read_text()
    assert "Good (good.py)" in table.read_text()


def test_an_installed_method_that_is_broken_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    points = {
        "nowhere": "no_such_module:Mine",
        "lacking": "json:Mine",
        "number": "builtins:int",
        "misnamed": "others:Mine",
        "tgan": "others:Mine",
        "mine": "others:Mine",
    }
    (tmp_path / "others.py").write_text(MINE)
    folder = tmp_path / "others-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 2.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (folder / "entry_points.txt").write_text(f"[fsgan_bench.methods]\n{lines}")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(main, ["list", "methods"])
    errors = " ".join(result.stderr.split())
    for sentence in (
        "The method 'nowhere' of others cannot be imported: no_such_module:Mine: ModuleNotFound",
        "The method 'lacking' of others cannot be imported: json:Mine: AttributeError",
        "'number' of others",
        "The method 'misnamed' of others (others:Mine) calls itself 'mine'",
        "'tgan' of others (others:Mine) is already taken by fsgan-bench",
    ):
        assert sentence in errors
    assert "Traceback" not in result.output
    assert "mine third party: others p" in " ".join(result.stdout.split())
    entry = method_entries()["mine"]
    assert entry.credit == "others 2.0"
    before = entry.source_hash
    (tmp_path / "others.py").write_text(f"{MINE}\n# Another text.\n")
    assert entry.source_hash != before


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


def test_none_is_nothing_to_check() -> None:
    result = CliRunner().invoke(main, ["check", "none"])
    assert result.exit_code == 2
    assert "'none' is no method to check; try 'all'." in result.stderr
