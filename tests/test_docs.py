"""Every snippet of docs/adding-a-method.md works, in the order of the page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "adding-a-method.md"
SNIPPET = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def run(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of the page as a user types it, with this interpreter's ``fsgan-bench``.

    What starts no workers runs in this process, which has torch already.
    """
    program, *arguments = shlex.split(command)
    if program == "fsgan-bench" and arguments[0] != "run":
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_page_from_an_empty_file_to_a_trajectory(
    tmp_path: Path, image_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []
    page = PAGE.read_text(encoding="utf-8")
    fences = re.findall(r"^\s*(?:```|~~~)", page, re.MULTILINE)
    for kind, text in SNIPPET.findall(page):
        kinds.append(kind)
        if kind == "sh":
            for line in text.strip().splitlines():
                run(line, tmp_path, monkeypatch)
        else:
            named = re.match(r"# (\S+)\n", text)
            assert named, f"a snippet names its file in the first line:\n{text}"
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
    assert len(fences) == 2 * len(kinds)
    assert kinds.count("python") == 3 and kinds.count("sh") == 5

    task = tmp_path / "results" / "rehearsal" / "sketches-10shot"
    for figure in ("trajectories", "quality_diversity", "same_noise_grid"):
        assert (task / "figures" / f"{figure}.png").stat().st_size > 0
    (cell,) = (task / "look_alike").iterdir()
    scores = [json.loads(line) for line in (cell / "scores.jsonl").read_text().splitlines()]
    assert {score["iteration"] for score in scores} == {0, 4, 12}
    logged = json.loads((cell / "train.jsonl").read_text().splitlines()[-1])
    assert logged["generator/look_alike"] > 0
    assert json.loads((cell / "cell.json").read_text())["cell"]["config"] == {"weight": 3.0}
