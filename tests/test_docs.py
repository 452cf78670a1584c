"""Every snippet of the pages on adding something works, in the order of the page."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
SNIPPET = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def run(command: str, folder: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a page as a user types it. Packages are installed for this test alone."""
    monkeypatch.chdir(folder)
    program, *arguments = shlex.split(command)
    if program == "fsgan-bench":
        done = fsgan_bench(*arguments)
    else:
        assert program == "pip"
        site = folder / "site"
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(site)]
        monkeypatch.setenv("PYTHONPATH", str(site))
        pip = [sys.executable, "-m", "pip", *arguments, *options]
        done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def follow(page: str, folder: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write the files of a page and run its commands; the kinds of its snippets."""
    kinds: list[str] = []
    text = (DOCS / page).read_text(encoding="utf-8")
    fences = re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)
    for kind, snippet in SNIPPET.findall(text):
        kinds.append(kind)
        if kind == "sh":
            for line in snippet.strip().splitlines():
                run(line, folder, fsgan_bench, monkeypatch)
        else:
            named = re.match(r"# (\S+)\n", snippet)
            assert named, f"a snippet names its file in the first line:\n{snippet}"
            (folder / named[1]).parent.mkdir(exist_ok=True)
            (folder / named[1]).write_text(snippet, encoding="utf-8")
    assert len(fences) == 2 * len(kinds)
    return kinds


@pytest.mark.slow
def test_a_method_from_an_empty_file_to_a_trajectory(
    tmp_path: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = follow("adding-a-method.md", tmp_path, fsgan_bench, monkeypatch)
    assert kinds.count("python") == 3 and kinds.count("sh") == 5

    task = tmp_path / "results" / "rehearsal" / "sketches-10shot"
    for figure in ("trajectories", "quality_diversity", "same_noise_grid"):
        assert (task / "figures" / f"{figure}.png").stat().st_size > 0
    (cell,) = (task / "look_alike").iterdir()
    scores = [json.loads(line) for line in (cell / "scores.jsonl").read_text().splitlines()]
    assert {score["iteration"] for score in scores} == {0, 1, 4}
    logged = json.loads((cell / "train.jsonl").read_text().splitlines()[-1])
    assert logged["generator/look_alike"] > 0
    assert json.loads((cell / "cell.json").read_text())["cell"]["config"] == {"weight": 3.0}


@pytest.mark.minutes
def test_a_metric_from_a_class_to_scores(
    tmp_path: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = follow("adding-a-metric.md", tmp_path, fsgan_bench, monkeypatch)
    assert kinds == ["python", "toml", "sh", "toml", "sh"]
    task = tmp_path / "results" / "rehearsal" / "sketches-10shot"
    (cell,) = (task / "tgan").iterdir()
    for file, count in ((cell / "scores.jsonl", 2), (task / "references.jsonl", 3)):
        scores = [json.loads(line) for line in file.read_text().splitlines()]
        added = [score for score in scores if score["metric"] == "colourfulness"]
        assert len(added) == count
        assert all(0 <= score["value"] < 200 and score["stderr"] >= 0 for score in added)
        assert max(score["value"] for score in added) > 5
    assert "colourfulness" in (task / "figures" / "table.md").read_text()


@pytest.mark.slow
def test_a_classifier_from_a_function_to_reference_lines(
    tmp_path: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = follow("adding-a-classifier.md", tmp_path, fsgan_bench, monkeypatch)
    assert kinds == ["python", "toml", "sh", "toml", "sh"]
    task = tmp_path / "results" / "by-colours" / "sketches-10shot"
    assert json.loads((task / "classifier.json").read_text())["name"] == "colours"
    lines = [json.loads(line) for line in (task / "references.jsonl").read_text().splitlines()]
    scores = {line["reference"]: line for line in lines if line["metric"] == "realisticness"}
    assert scores["source"]["value"] < 0.3 < 0.7 < scores["real"]["value"]
    assert scores["real"]["backbone"] == "colours"


@pytest.mark.minutes
def test_an_executor_and_a_tracker_from_classes_to_rows(
    tmp_path: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = follow("adding-an-executor.md", tmp_path, fsgan_bench, monkeypatch)
    assert kinds == ["python", "toml", "sh", "toml", "toml", "sh"]
    task = tmp_path / "results" / "rehearsal" / "sketches-10shot"
    cells = [cell for method in ("tgan", "freezed") for cell in (task / method).iterdir()]
    assert len(cells) == 2 and all((cell / "DONE").exists() for cell in cells)
    assert not list(task.rglob("job.pickle"))

    kinds = follow("adding-a-tracker.md", tmp_path, fsgan_bench, monkeypatch)
    assert kinds == ["python", "toml", "sh", "sh"]
    tables = sorted((tmp_path / "tracking").rglob("*.csv"))
    assert len(tables) == len(cells)
    for table in tables:
        rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
        assert rows[0] == ["iteration", "name", "value"]
        assert {"generator/adversarial", "image"} <= {name for _, name, _ in rows[1:]}


@pytest.mark.minutes
def test_the_start(tmp_path: Path, fsgan_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    _, first, _ = [snippet for kind, snippet in SNIPPET.findall(text) if kind == "sh"]
    run(first, tmp_path, fsgan_bench, monkeypatch)
    task = tmp_path / "results" / "avatars" / "sunglasses-10shot"
    told = [
        name
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", row)
    ]
    assert len(told) == 6
    assert [name for name in told if not (task / name).exists()] == []
