"""The paper's figures and tables by one command, on a suite of seconds."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.reproduction.plan import ReproduceRequest, known_parts, plan_reproduction
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.layout import TaskFiles
from fsgan_bench.snapshots.classifier_ablation import ABLATION
from fsgan_bench.suites.file import get_suite
from fsgan_bench.system.files import write_lines
from fsgan_bench.system.json_files import read_lines

Command = Callable[..., "subprocess.CompletedProcess[str]"]

DRAWN = ["trajectories.png", "correspondence.pdf", "same_noise_grid.png", "table.md", "table.tex"]
DRAWN += ["selection.csv", "verdict.json", "dcl_ablation/trajectories.png", "data_size.png"]
DRAWN += ["data_size.csv", "classifier_ablation.png", "classifier_ablation.tex"]


TWO_NUMBERS = """
from fsgan_bench.reproduction import plan

plan.SHOTS = (2, 4)
"""


def command(suite: Path, out: Path) -> list[str]:
    given = ["reproduce", "--suite", str(suite), "--target", "sketches", "--seeds", "0"]
    return [*given, "--methods", "tgan", "--allow-weak-classifier", "--out", str(out)]


@pytest.fixture(scope="module")
def out(suite: Path, fsgan_bench: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of ``reproduce all`` with one method, two numbers of shots and one seed."""
    folder = tmp_path_factory.mktemp("reproduced")
    done = fsgan_bench(*command(suite, folder), before=TWO_NUMBERS)
    assert done.returncode == 0, done.stderr
    return folder


def figures(out: Path) -> Path:
    return out / "tiny" / "sketches-4shot" / "figures"


def test_every_part_is_drawn(out: Path) -> None:
    for name in DRAWN:
        assert (figures(out) / name).stat().st_size > 0, name
    # One cell of plain fine-tuning, three of DCL, and one more with two images.
    assert len(list(out.rglob("DONE"))) == 5


def test_the_main_figures_show_the_compared_methods_alone(out: Path) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((figures(out) / name).read_text().splitlines()))

    methods = [row["label"] for row in rows("table.csv") if row["kind"] == "method"]
    assert methods == ["TGAN"]
    ablation = {r["label"] for r in rows("dcl_ablation/table.csv") if r["kind"] == "method"}
    assert ablation == {
        "DCL (lambda1=2, lambda2=0.5)",
        "DCL (lambda1=2, lambda2=0)",
        "DCL (lambda1=0, lambda2=0.5)",
    }
    assert [row["label"] for row in rows("data_size.csv")] == ["DCL, 2", "DCL, 4"]


def test_every_judge_sees_every_snapshot_and_pure_noise(out: Path) -> None:
    task = out / "tiny" / "sketches-4shot"
    lines = read_lines(TaskFiles(task).ablation_scores)
    judges = {judge.key for judge in ABLATION}
    (cell,) = (task / "tgan").iterdir()
    scores = read_lines(cell / "scores.jsonl")
    snapshots = {line["iteration"] for line in scores}
    assert {(line["judge"], line["iteration"]) for line in lines if "cell" in line} == {
        (judge, at) for judge in judges for at in snapshots
    }
    references = {(line["judge"], line["reference"]) for line in lines if "reference" in line}
    assert references == {
        (judge, name) for judge in judges for name in ("source", "real", "ideal", "noise")
    }
    # The first judge is the suite's own classifier, so its scores are known already.
    own = {line["iteration"]: line["value"] for line in scores if line["metric"] == "realisticness"}
    for line in lines:
        if "cell" in line and line["judge"] == ABLATION[0].key:
            assert line["value"] == pytest.approx(own[line["iteration"]], abs=1e-6)


def test_a_classifier_that_comes_later_is_added_and_nothing_else_changes(
    suite: Path, out: Path, tmp_path: Path, fsgan_bench: Command
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    files = TaskFiles(copy / "tiny" / "sketches-4shot")
    before = read_lines(files.ablation_scores)
    files.ablation_card("source").unlink()
    write_lines(files.ablation_scores, [line for line in before if line["judge"] != "source"])
    asked = [*command(suite, copy), "classifier-ablation"]
    done = fsgan_bench(*asked)
    assert done.returncode == 0, done.stderr
    assert read_lines(files.ablation_scores) == before
    assert files.ablation_card("source").exists()


def test_judges_learn_from_what_their_title_says(out: Path) -> None:
    folder = TaskFiles(out / "tiny" / "sketches-4shot").ablation_scores.parent
    cards = {
        judge.key: json.loads((folder / f"{judge.key}.json").read_text()) for judge in ABLATION
    }
    domains = {key: set(card["non_target"]) for key, card in cards.items()}
    assert domains["source"] == {"faces"}
    assert domains["mixture"] == domains["fine-tuned"] > domains["others"]
    assert not domains["others"] & {"faces", "grey-faces"}
    assert cards["fine-tuned"]["name"] == "timm:tf_efficientnet_lite0"


def test_a_second_time_everything_is_drawn_from_the_files(
    suite: Path, out: Path, fsgan_bench: Command
) -> None:
    judged = TaskFiles(out / "tiny" / "sketches-4shot").ablation_scores
    before = {name: (figures(out) / name).read_bytes() for name in DRAWN}
    kept = judged.read_bytes()
    (figures(out) / "data_size.png").unlink()
    for snapshot in out.rglob("*.safetensors"):
        snapshot.unlink()
    done = fsgan_bench(*command(suite, out), before=TWO_NUMBERS)
    assert done.returncode == 0, done.stderr
    assert "5 cell(s), all done already" in done.stdout
    assert {name: (figures(out) / name).read_bytes() for name in DRAWN} == before
    assert judged.read_bytes() == kept


def test_a_part_needs_its_own_cells_alone(suite: Path, tmp_path: Path) -> None:
    def cells(*parts: str) -> list[Cell]:
        request = ReproduceRequest(
            tuple(part for part in known_parts() if part in parts),
            "quick",
            ("sketches",),
            (0, 1, 2),
            RunRequest("all", (), suite=str(suite), out=tmp_path),
        )
        return [cell for _, cell in plan_reproduction(request).plan.cells]

    assert len(cells("grids")) == 7 * 3
    assert len(cells("classifier-ablation")) == 7
    assert [cell.method for cell in cells("dcl-ablation")] == ["dcl"] * 3
    assert [cell.shots for cell in cells("data-size")] == [1, 5, 10, 50, 100]
    # The ablation's full method is one of the compared cells.
    assert len(cells("tables", "classifier-ablation", "dcl-ablation")) == 7 * 3 + 2


def test_quick_is_three_seeds_of_the_first_target(suite: Path, tmp_path: Path) -> None:
    run = RunRequest("tgan", (), suite=str(suite), out=tmp_path)
    found = plan_reproduction(ReproduceRequest(("tables",), "quick", None, None, run))
    cells = [cell for _, cell in found.plan.cells]
    assert [(cell.target, cell.seed) for cell in cells] == [("sketches", seed) for seed in range(3)]


def test_a_budget_that_the_suite_lacks_is_its_longest(suite: Path, tmp_path: Path) -> None:
    run = RunRequest("tgan", (), suite=str(suite), out=tmp_path)
    found = plan_reproduction(ReproduceRequest(("tables",), "full", None, None, run))
    cells = [cell for _, cell in found.plan.cells]
    assert {cell.target for cell in cells} == {"sketches", "ink"}
    assert {cell.seed for cell in cells} == set(range(5))
    longest = max(budget.iterations for budget in get_suite(str(suite)).budgets.values())
    assert {cell.iterations for cell in cells} == {longest}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tabels"], "Did you mean 'tables'?"),
        (["--budget", "quik"], "Did you mean 'quick'?"),
        (["--target", ","], "--target names no target"),
        (["--seeds", "1-0"], "counts down; write 0-1"),
        (["--target", "sketchs"], "Did you mean 'sketches'?"),
        (["--methods", "dlc"], "Did you mean 'dcl'?"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["reproduce", *arguments, "--out", str(out)])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not out.exists()
