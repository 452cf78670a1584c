"""Which cells are placed when, and what becomes of those that an engine loses."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fsgan_bench.driver.events import Done, Elsewhere, Event, Failed, Noted, Stopped
from fsgan_bench.driver.executors.placement import Pack, Preparation
from fsgan_bench.driver.placing import Terms, run_jobs
from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.system.locks import owned

from .scripted import Scripted, done, job, lost


def ink(root: Path) -> Preparation:
    return Preparation(TaskRequest("suite", "ink", 10, root), root / "suite" / "ink-10shot", 1)


def test_cells_wait_for_their_task_and_lost_ones_are_tried_again(tmp_path: Path) -> None:
    preparation = ink(tmp_path)
    ends: dict[str, list[Event]] = {
        "ink-10shot": [Done(str(preparation.folder))],
        "a": [done("a")],
        "b": [lost("b"), lost("b"), done("b")],
        "c": [lost("c"), lost("c"), lost("c")],
    }
    engine = Scripted(ends)
    heard: list[Event] = []
    jobs = [job(name, tmp_path) for name in "abc"]
    run_jobs(engine, jobs, heard.append, [preparation], Terms(pack=2, retries=2))
    assert engine.log[:3] == ["ink-10shot after", "a+b after ink-10shot", "c after ink-10shot"]
    assert [e.cell for e in heard if isinstance(e, Failed)] == ["c"]
    assert [e.note for e in heard if isinstance(e, Noted) and e.cell == "b"] == [
        "its node failed; retry 1 of 2",
        "its node failed; retry 2 of 2",
    ]


def test_a_worker_that_somebody_else_stops_is_not_passed_over(tmp_path: Path) -> None:
    heard: list[Event] = []
    run_jobs(Scripted({"a": [Stopped("a")]}), [job("a", tmp_path)], heard.append)
    (event,) = (event for event in heard if isinstance(event, Failed))
    assert "stopped from outside" in event.reason


def test_what_an_earlier_run_left_is_joined_and_not_submitted_again(tmp_path: Path) -> None:
    jobs = [job(name, tmp_path) for name in "ab"]
    engine = Scripted({"a": [done("a")], "b": [done("b")]}, {"a": Pack((jobs[0],))})
    run_jobs(engine, jobs, lambda event: None)
    assert engine.log == ["b after"]


def test_detached_jobs_are_left_at_once(tmp_path: Path) -> None:
    engine = Scripted({})
    run_jobs(engine, [job("a", tmp_path)], lambda event: None, terms=Terms(detach=True))
    assert engine.log == ["a after"]


def test_without_cells_tasks_are_prepared(tmp_path: Path) -> None:
    preparation = ink(tmp_path)
    heard: list[Event] = []
    engine = Scripted({"ink-10shot": [Done(str(preparation.folder))]})
    run_jobs(engine, [], heard.append, [preparation])
    assert engine.log == ["ink-10shot after"] and heard == [Done(str(preparation.folder))]


NEVER = Failed("a", "its task could not be prepared", again=True)


@pytest.mark.parametrize("cells_first", [False, True])
def test_a_lost_preparation_comes_again_with_the_cells_that_wait_for_it(
    tmp_path: Path, cells_first: bool
) -> None:
    preparation = ink(tmp_path)
    task = str(preparation.folder)
    engine = Scripted(
        {
            "ink-10shot": [Failed(task, "its node failed", again=True), Done(task)],
            "a": [NEVER, done("a")],
        }
    )
    engine.late = "ink-10shot" if cells_first else ""
    heard: list[Event] = []
    run_jobs(engine, [job("a", tmp_path)], heard.append, [preparation], Terms(retries=1))
    assert engine.log == ["ink-10shot after", "a after ink-10shot"] * 2
    assert Noted(task, 0, "its node failed; retry 1 of 1") in heard
    assert not [event for event in heard if isinstance(event, Failed)]
    assert done("a") in heard


@pytest.mark.parametrize("cells_first", [False, True])
def test_cells_of_a_task_that_cannot_be_prepared_fail_with_it(
    tmp_path: Path, cells_first: bool
) -> None:
    preparation = ink(tmp_path)
    engine = Scripted({"ink-10shot": [Failed(str(preparation.folder), "no images")], "a": [NEVER]})
    engine.late = "ink-10shot" if cells_first else ""
    heard: list[Event] = []
    run_jobs(engine, [job("a", tmp_path)], heard.append, [preparation], Terms(retries=2))
    assert engine.log == ["ink-10shot after", "a after ink-10shot"]
    assert [(event.cell, event.reason) for event in heard if isinstance(event, Failed)] == [
        (str(preparation.folder), "no images"),
        ("a", "its task could not be prepared"),
    ]


def test_an_old_failure_is_not_that_of_the_run_that_has_the_cell_now(tmp_path: Path) -> None:
    mine = job("a", tmp_path)
    mine.folder.mkdir(parents=True)
    (mine.folder / "FAILED").write_text("the reason of last week")
    heard: list[Event] = []
    taken, told = threading.Event(), threading.Event()

    def look() -> None:
        with owned(mine.folder):
            taken.set()
            told.wait(10)

    def hear(event: Event) -> None:
        heard.append(event)
        told.set()

    other = threading.Thread(target=look)
    other.start()
    taken.wait(10)
    run_jobs(Scripted({"a": [done("a")]}), [mine], hear)
    other.join()
    assert [type(event) for event in heard] == [Elsewhere, Done]


def test_a_run_in_a_thread_hears_of_no_signals(tmp_path: Path) -> None:
    heard: list[Event] = []
    engine = Scripted({"a": [done("a")]})
    thread = threading.Thread(target=run_jobs, args=(engine, [job("a", tmp_path)], heard.append))
    thread.start()
    thread.join()
    assert heard == [done("a")]
