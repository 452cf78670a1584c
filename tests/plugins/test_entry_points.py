"""Packages of somebody else: what is broken is named, and takes nothing else away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.errors import UserError
from fsgan_bench.plugins.classifiers import classifier_weights, make_classifier

Install = Callable[[str, str, dict[str, str]], None]

IMAGES = np.zeros((6, 8, 8, 3), dtype=np.uint8)

CLASSIFIER = """
import numpy as np

class Half:
    card = {"name": "half", "backbone": "none", "hash": "0" * 64}
    hash = card["hash"]

    def scores(self, images):
        return np.full(len(images), 0.5)

    def check_usable(self, *, allow=False):
        pass

class Loud(Half):
    def scores(self, images):
        return np.full(len(images), 2.0)

class Mute(Half):
    card = {"name": "mute"}

def half(name, target_images, negatives, *, source, ideal, device):
    return Half()

def loud(*args, **kwargs):
    return Loud()

def mute(*args, **kwargs):
    return Mute()

def nothing(*args, **kwargs):
    return None

def fails(*args, **kwargs):
    return [][0]

def old(name):
    return Half()

number = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package of one module with entry points of a group, as pip would install it."""

    def write(group: str, text: str, points: dict[str, str]) -> None:
        module = f"others_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(text)
        folder = tmp_path / "others-2.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 2.0\n")
        lines = "".join(f"{n} = {v.replace('others', module)}\n" for n, v in points.items())
        (folder / "entry_points.txt").write_text(f"[fsgan_bench.{group}]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path)

    return write


@pytest.mark.parametrize(
    ("kind", "ours"), [("methods", "tgan"), ("metrics", "kid"), ("classifiers", "timm")]
)
def test_list_marks_what_is_of_others_and_names_what_is_broken(
    install: Install, kind: str, ours: str
) -> None:
    noun = kind.removesuffix("s")
    points = {"nowhere": "no_such_module:Mine", "number": "others:number", ours: "others:half"}
    install(kind, CLASSIFIER, points | ({"half": "others:half"} if kind == "classifiers" else {}))
    result = CliRunner().invoke(main, ["list", kind])
    assert result.exit_code == 2, result.output
    for sentence in (
        f"The {noun} 'nowhere' of others cannot be imported: no_such_module:Mine: ModuleNotFound",
        f"The {noun} 'number' of others",
        f"The {noun} name '{ours}' of others (",
        "is already taken by fsgan-bench; rename one of them.",
    ):
        assert sentence in " ".join(result.stderr.split())
    assert f"\n{ours} " in result.stdout
    assert "Traceback" not in result.output
    if kind == "classifiers":
        assert "third party: others" in result.stdout


METHOD = """
from fsgan_bench import Method

class Mine(Method):
    name, title, version, paper = "mine", "Mine", "1", "nobody 2026"
"""


def test_the_file_of_an_installed_method_may_be_named_too(install: Install, tmp_path: Path) -> None:
    install("methods", METHOD, {"mine": "others:Mine"})
    (tmp_path / "mine.py").write_text(METHOD)
    arguments = ["list", "methods", "--plugin", str(tmp_path / "mine.py")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "third party: others" in result.stdout
    (tmp_path / "mine.py").write_text(f"{METHOD}# changed\n")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "is already taken by others" in result.stderr


def make(name: str) -> object:
    negatives = {"source": IMAGES}
    return make_classifier(name, IMAGES, negatives, source="source", ideal=None, device="cpu")


def test_a_classifier_of_another_package(install: Install) -> None:
    names = ("half", "loud", "mute", "nothing", "fails", "old", "number")
    install("classifiers", CLASSIFIER, {name: f"others:{name}" for name in names})
    assert np.asarray(make("half:anything").scores(IMAGES)).tolist() == [0.5] * 6  # type: ignore[attr-defined]
    assert classifier_weights("half") == ()
    for name, sentence in (
        ("loud", "of others fails: .*ValueError: its scores of 4 images must be as many numbers"),
        ("mute", "ValueError: its card lacks backbone, hash"),
        ("nothing", "TypeError: what its factory returns has no 'card'"),
        ("fails", r"'fails' of others fails: .*\.py, line 34: IndexError"),
        ("old", "TypeError: old"),
        ("number", "is no function that makes a classifier, but 3"),
        ("hlaf", "There is no classifier 'hlaf'; .*Did you mean 'half'"),
    ):
        with pytest.raises(UserError, match=sentence):
            make(name)


def test_a_package_that_cannot_be_imported_is_named_with_its_line(install: Install) -> None:
    install("classifiers", "import os\n1 / 0\n", {"mine": "others:make"})
    for use in (make, classifier_weights):
        with pytest.raises(UserError, match=r"'mine' of others cannot be imported: .*line 2: Zero"):
            use("mine")
