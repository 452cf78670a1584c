"""What is seen of a run while it goes on: in its own terminal, and from another."""

from __future__ import annotations

import io
import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from fsgan_bench.cli.main import main
from fsgan_bench.cli.progress import Display
from fsgan_bench.cli.sparkline import sparkline
from fsgan_bench.cli.status import duration
from fsgan_bench.driver.events import Done, Failed, SnapshotScored, Started, Trained
from fsgan_bench.driver.executors.submissions import Submission
from fsgan_bench.system.locks import owned


def write_cell(root: Path, method: str, status: str = "", reason: str = "") -> Path:
    """An ink cell of 100 iterations that is at 40."""
    task = root / "avatars" / "ink-10shot"
    task.mkdir(parents=True, exist_ok=True)
    about = {"suite": "avatars", "target": "ink", "shots": 10, "resolution": 16}
    (task / "task.json").write_text(json.dumps(about))
    (task / "references.jsonl").write_text("")
    folder = task / method / "seed0-00000000"
    folder.mkdir(parents=True)
    cell = {"method": method, "title": method.upper(), "seed": 0, "iterations": 100}
    (folder / "cell.json").write_text(json.dumps({"hash": method, "cell": cell}))
    lines = [{"iteration": at, "seconds": 3.0 * at} for at in (10, 20, 40)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores = [
        {"iteration": at, "metric": "realisticness", "value": p_t, "version": "1"}
        for at, p_t in ((0, 0.0), (20, 0.5), (40, 0.99))
    ]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scores))
    if status:
        (folder / status).write_text(reason)
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    return folder


def status(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["status", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_status_says_what_runs_stands_still_and_failed(tmp_path: Path) -> None:
    running = write_cell(tmp_path, "cdc")
    write_cell(tmp_path, "tgan", "DONE")
    write_cell(tmp_path, "ewc", "FAILED", "out of memory\n\nTraceback")
    write_cell(tmp_path, "bsa")
    with owned(running):
        text = status(tmp_path)
    assert "4 cell(s) begun: 1 running, 1 failed, 1 stopped, 1 done." in text
    lines = {
        line.split(":")[1].split(",")[0].strip(): line
        for line in text.splitlines()[3:]
        if ":" in line
    }
    assert "running" in lines["CDC"] and "40 of 100" in lines["CDC"]
    assert "3 min" in lines["CDC"] and f"process {os.getpid()}" in lines["CDC"]
    assert "▁▅█ 0.990" in lines["CDC"]
    assert "out of memory" in lines["EWC"] and "days" in lines["EWC"]
    assert "stopped" in lines["BSA"] and "TGAN" not in lines
    assert "TGAN" in status(tmp_path, "--all")


def test_status_names_jobs_that_an_engine_has(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "cdc").parent
    jobs = {"101": (folder.parent,), "102": (folder / "seed0-00000000", folder / "seed1-11111111")}
    Submission.begin(tmp_path, "slurm").add(jobs)
    text = status(tmp_path)
    assert "slurm was given 2 jobs" in text and "(101, 102); 1 of their cells not begun." in text
    assert "1 cell(s) begun: 1 stopped." in text and "could not be prepared" not in text
    (folder.parent / "FAILED").write_text("no GPU\n\nTraceback")
    assert "ink-10shot could not be prepared: no GPU\n" in status(tmp_path)
    shutil.rmtree(tmp_path / "avatars")
    text = status(tmp_path)
    assert "2 of their cells not begun." in text and "No cell has begun yet." in text


def test_status_of_a_folder_without_runs(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert result.exit_code == 2 and "There are no runs" in result.output


def test_sparklines_and_durations() -> None:
    assert sparkline([0, 0.5, 1, float("nan")]) == "▁▅█ "
    assert sparkline([i / 99 for i in range(100)], width=4) == "▁▃▆█"
    assert sparkline([0, 1], encoding="ascii") == "_@"
    texts = [duration(timedelta(seconds=s)) for s in (5, 125, 3900, 90000, 200000)]
    assert texts == ["5 s", "2 min", "1 h 05 min", "1 day", "2 days"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_shows_p_t_time_left_and_memory(terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=160, color_system=None)
    times = iter(range(0, 1000, 10))
    display = Display(console, clock=lambda: float(next(times)))
    losses = {"generator/adversarial": 0.5}
    with display:
        display.begin({"TGAN": 100, "CDC": 100})
        for label in ("TGAN", "CDC"):
            display.show(label, Started(label))
        for at, p_t in ((10, 0.0), (50, 0.5)):
            display.show("TGAN", Trained("TGAN", at, 2.0, losses, memory=3 * 10**8))
            display.show("TGAN", SnapshotScored("TGAN", at, {"realisticness": p_t}))
        display.show("TGAN", Trained("TGAN", 60, 2.0, losses, memory=4 * 10**8))
        rows = {task.description: str(task.fields["note"]) for task in display.progress.tasks}
        display.show("CDC", Failed("CDC", "diverged"))
        display.show("TGAN", Done("TGAN"))
    if terminal:
        assert rows["TGAN"] == "0:01:20 left  ▁▅ p_t 0.500  G 0.50  400.0 MB"
        assert "left" in rows["all cells"] and "400.0 MB of memory" in rows["all cells"]
    else:
        said = file.getvalue().splitlines()
        assert "TGAN: iteration 50/100  p_t 0.500" in said
        assert "CDC: failed: diverged" in said and "TGAN: done  ▁▅ p_t 0.500" in said
