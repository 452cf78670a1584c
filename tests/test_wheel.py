"""The wheel, installed without the checkout, does the main job."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKED = ("fsgan_bench", "baselines", "classifiers", "pyproject.toml", "README.md", "LICENSE")

SUITE = """
name = "small"
probe_size = 16
reference_size = 24
classifier_size = 40
targets = ["sketches"]

[budgets.quick]
iterations = 2
snapshots = 2
"""


@pytest.mark.slow
def test_the_wheel_alone_adapts_scores_and_draws(tmp_path: Path, image_cache: Path) -> None:
    copy = tmp_path / "source"
    copy.mkdir()
    for name in PACKED:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, copy / name)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    wheels = tmp_path / "wheels"
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(copy)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = wheels.glob("fsgan_bench-*.whl")
    shutil.rmtree(copy)

    # A bare environment that borrows the dependencies installed here, and nothing of the checkout.
    venv.create(tmp_path / "env", symlinks=True)
    program = tmp_path / "env" / "bin"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    borrowed = [*site.getsitepackages(), *(p for p in sys.path if p.endswith("site-packages"))]
    (packages / "borrowed.pth").write_text("\n".join(dict.fromkeys(borrowed)))
    python = ["--python", str(program / "python")]
    install = ["install", "--no-deps", "--ignore-installed", str(wheel)]
    subprocess.run([*pip, *python, *install], check=True)

    (tmp_path / "small.toml").write_text(SUITE)
    command = [str(program / "fsgan-bench"), "run", "--suite", "small.toml", "--methods", "tgan"]
    command += ["--target", "sketches", "--allow-weak-classifier"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    task = tmp_path / "results" / "small" / "sketches-10shot"
    assert (task / "figures" / "trajectories.png").stat().st_size > 0
    (cell,) = (task / "tgan").iterdir()
    scores = [json.loads(line) for line in (cell / "scores.jsonl").read_text().splitlines()]
    assert {score["iteration"] for score in scores} == {0, 2}
    where = subprocess.run(
        [program / "python", "-c", "import fsgan_bench; print(fsgan_bench.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(packages)
