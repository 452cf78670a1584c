"""A longer cell goes on from a finished shorter one, to the same bytes, or says why it cannot."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from fsgan_bench.cli.printing import show_results
from fsgan_bench.driver.adaptation import Adaptation, Interrupted
from fsgan_bench.driver.pace import Pace
from fsgan_bench.driver.plan import Plan, make_plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.keeping import Keep
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.naming import add_variants
from fsgan_bench.snapshots.verify import verify_runs
from fsgan_bench.stylegan2.reading import read_tensors


def plan(suite: Path, out: Path, iterations: int, method: str = "tgan") -> Plan:
    return make_plan(
        RunRequest(
            method,
            ("ink",),
            str(suite),
            out=out,
            iterations=iterations,
            snapshots=3,
            allow_weak_classifier=True,
        )
    )


def carry_out(made: Plan, keep: Keep = "all", *, fresh: bool = False) -> CellFiles:
    [(task, cell)] = made.cells
    prepare(task)
    loaded = method_entries()[cell.method].load()
    method = loaded(build_config(loaded, cell.config))
    Adaptation(cell, task, method, report=lambda _: None, keep=keep, fresh=fresh).run()
    return CellFiles(cell.folder(task.folder))


def test_a_cell_that_was_stopped_is_planned_from_there(suite: Path, tmp_path: Path) -> None:
    [(task, cell)] = plan(suite, tmp_path, 40).cells
    prepare(task)
    method = method_entries()["tgan"].load()
    passed = itertools.count(1)
    stopping = Adaptation(
        cell,
        task,
        method(build_config(method, {})),
        report=lambda _: None,
        stop=lambda: next(passed) > 20,
    )
    with pytest.raises(Interrupted):
        stopping.run()
    stopped = plan(suite, tmp_path, 40)
    assert stopped.starts == {cell.hash: 20}
    assert stopped.remarks == {cell.hash: "continues at 20 of 40"}
    later = sum(at > 20 for at in cell.snapshots)
    assert Pace(1.0, 100.0).seconds(cell, 20) == 20 + 100 * later


def test_it_goes_on_to_the_same_bytes(suite: Path, tmp_path: Path) -> None:
    short = carry_out(plan(suite, tmp_path / "a", 4))
    longer = plan(suite, tmp_path / "a", 8)
    [(task, cell)] = longer.cells
    own = [at for at in plan(suite, tmp_path / "b", 8).cells[0][1].snapshots if at > 4]
    assert cell.snapshots == (0, 1, 4, *own)
    assert longer.remarks == {cell.hash: f"continues {short.folder.name} from iteration 4"}
    extended = carry_out(longer)
    assert extended.folder != short.folder and short.done.exists()
    notes = [json.loads(line)["note"] for line in extended.notes.read_text().splitlines()]
    assert notes == [f"continues {short.folder.name} from 4"]
    scratch = carry_out(plan(suite, tmp_path / "b", 8))
    ours, theirs = (read_tensors(files.snapshot(8))[0] for files in (extended, scratch))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    for at in cell.snapshots:
        _, card = read_tensors(extended.snapshot(at))
        assert card == {"cell": cell.hash, "iteration": at}
    again = plan(suite, tmp_path / "a", 8)
    assert again.cells[0][1].hash == cell.hash and not again.to_run
    checked = verify_runs([tmp_path / "a"], suites=[str(suite)])
    assert checked.cells == 2 and not checked.problems
    assert task.folder == longer.tasks[0].folder


def test_what_starts_over_builds_on_no_shorter_cell(suite: Path, tmp_path: Path) -> None:
    carry_out(plan(suite, tmp_path, 2))
    longer = plan(suite, tmp_path, 4)
    assert longer.remarks
    assert not carry_out(longer, fresh=True).notes.exists()


@pytest.mark.parametrize(
    ("method", "keep", "why"),
    [
        ("tgan", "scored", "its training state was not kept, which --keep-snapshots all does"),
        ("minegan", "all", "its method trains otherwise where more iterations are planned"),
    ],
)
def test_why_it_cannot(suite: Path, tmp_path: Path, method: str, keep: Keep, why: str) -> None:
    short = carry_out(plan(suite, tmp_path, 3, method), keep)
    longer = plan(suite, tmp_path, 6, method)
    [(_, cell)] = longer.cells
    assert cell.snapshots == (0, 2, 6)
    assert longer.remarks == {cell.hash: f"starts anew beside {short.folder.name}: {why}"}


def test_snapshots_that_are_gone_cannot_be_handed_over(suite: Path, tmp_path: Path) -> None:
    short = carry_out(plan(suite, tmp_path, 3))
    short.snapshot(0).unlink()
    short.write_manifest((0, 1, 3), "all")
    longer = plan(suite, tmp_path, 6)
    [(_, cell)] = longer.cells
    why = "some of its snapshots were not kept"
    assert longer.remarks == {cell.hash: f"starts anew beside {short.folder.name}: {why}"}


def test_a_run_says_how_many_cells_it_does_not_show(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[Path]] = []
    monkeypatch.setattr("fsgan_bench.figures.drawing.draw", drawn.append)
    short = carry_out(plan(suite, tmp_path, 3), "scored")
    longer = plan(suite, tmp_path, 6)
    extended = carry_out(longer, "scored")
    console = Console(file=io.StringIO(), width=200)
    show_results(longer, console)
    assert drawn == [[extended.folder]] and short.done.exists()
    assert console.file.getvalue().endswith(  # type: ignore[attr-defined]
        "1 further cell(s) of ink are not shown; fsgan-bench figures "
        f"{longer.tasks[0].folder} draws all.\n"
    )


def test_a_changed_file_is_not_built_upon(suite: Path, tmp_path: Path) -> None:
    short = carry_out(plan(suite, tmp_path, 3))
    short.scores.write_text("")
    with pytest.raises(Exception, match=r"scores\.jsonl has changed, so nothing can go on from it"):
        carry_out(plan(suite, tmp_path, 6))


def test_a_longer_cell_is_found_again_when_another_shorter_one_came_later(
    suite: Path, tmp_path: Path
) -> None:
    carry_out(plan(suite, tmp_path, 2))
    longest = carry_out(plan(suite, tmp_path, 6))
    carry_out(plan(suite, tmp_path, 4))
    again = plan(suite, tmp_path, 6)
    [(task, cell)] = again.cells
    assert not again.to_run and cell.folder(task.folder) == longest.folder


def test_seeds_of_which_some_went_on_are_one_method(suite: Path, tmp_path: Path) -> None:
    """Those that went on have the snapshots of the shorter cell besides."""
    carry_out(plan(suite, tmp_path, 3))
    made = make_plan(replace(plan(suite, tmp_path, 6).request, seeds=(0, 1)))
    schedules = [cell.snapshots for _, cell in made.cells]
    assert schedules == [(0, 1, 3, 6), (0, 2, 6)]
    rows: list[dict[str, Any]] = [
        {"method": "tgan", "title": "TGAN", "cell": cell.to_json()} for _, cell in made.cells
    ]
    add_variants(rows)
    assert len({str(row["variant"]) for row in rows}) == 1
    assert [row["label"] for row in rows] == ["TGAN", "TGAN"]
    rows.append({**rows[0], "cell": {**rows[0]["cell"], "snapshots": [0, 6]}})
    add_variants(rows)
    assert len({str(row["variant"]) for row in rows}) == 3
