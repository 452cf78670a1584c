"""Dashboards are sent what cells write, without a network; one that fails stops nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fsgan_bench.cli.main import main
from fsgan_bench.driver.events import Done, Elsewhere, Event, SnapshotScored, Started
from fsgan_bench.errors import UserError
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.trackers.following import Follower, LiveTracking, tracked_cell
from fsgan_bench.trackers.tracker import TrackedCell, find_tracker

GROUP, NAME = "avatars ink 10 shots", "CDC seed 3"


class Listing:
    """A tracker that keeps what it is sent."""

    made: ClassVar[list[Listing]] = []
    breaks: ClassVar[BaseException | None] = None

    def __init__(self, folder: Path, cell: TrackedCell) -> None:
        self.cell = cell
        self.values: dict[int, dict[str, float]] = {}
        self.images: list[int] = []
        self.done: bool | None = None
        self.made.append(self)

    def log(self, iteration: int, values: Mapping[str, float]) -> None:
        if self.breaks:
            raise self.breaks
        self.values.setdefault(iteration, {}).update(values)

    def image(self, iteration: int, path: Path) -> None:
        self.images.append(iteration)

    def finish(self, done: bool) -> None:
        self.done = done


@pytest.fixture(autouse=True)
def fresh() -> None:
    Listing.made, Listing.breaks = [], None


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A finished cell: two logged iterations, two snapshots with their strips."""
    task = tmp_path / "runs" / "avatars" / "ink-10shot"
    folder = task / "cdc" / "seed3-12345678"
    (folder / "grids").mkdir(parents=True)
    about = {"suite": "avatars", "target": "ink", "shots": 10, "resolution": 16}
    (task / "task.json").write_text(json.dumps(about))
    specification = {
        **{"method": "cdc", "title": "CDC", "seed": 3, "iterations": 20},
        **{"recipe": {"batch": 4}, "config": {"distance_weight": 1000.0}},
    }
    document = {"hash": "12345678" * 8, "cell": specification, "provenance": {"commit": "abc"}}
    (folder / "cell.json").write_text(json.dumps(document))
    write_lines(
        folder / "train.jsonl",
        [
            {"iteration": 10, "seconds": 2.0, "generator/adversarial": 0.7},
            {"iteration": 20, "seconds": 4.0, "generator/adversarial": 0.6},
        ],
    )
    score = {"metric": "realisticness", "version": "1", "backbone": "lite0"}
    write_lines(
        folder / "scores.jsonl",
        [{**score, "iteration": 0, "value": 0.1}, {**score, "iteration": 20, "value": 0.9}],
    )
    for iteration in (0, 20):
        pixels = np.full((32, 128, 3), iteration, np.uint8)
        Image.fromarray(pixels).save(folder / "grids" / f"{iteration:06d}.png")
    (folder / "DONE").write_text("")
    return folder


def track(cell: Path, name: str, out: Path) -> None:
    result = CliRunner().invoke(main, ["track", str(cell), "--to", name, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"1 of 1 cell(s) sent to {name}.\n")


def test_everything_is_sent_once(cell: Path, tmp_path: Path) -> None:
    files = CellFiles(cell)
    about = tracked_cell(files)
    assert (about.group, about.name) == (GROUP, NAME)
    assert about.config["recipe.batch"] == 4 and about.config["provenance.commit"] == "abc"
    tracker = Listing(tmp_path, about)
    follower = Follower(tracker, files)
    follower.send()
    assert tracker.values == {
        0: {"scores/realisticness": 0.1},
        10: {"generator/adversarial": 0.7, "training_seconds": 2.0},
        20: {"generator/adversarial": 0.6, "training_seconds": 4.0, "scores/realisticness": 0.9},
    }
    assert tracker.images == [0, 20]
    tracker.values, tracker.images = {}, []
    with files.log.open("a") as log:
        log.write(json.dumps({"iteration": 30, "seconds": 6.0}) + "\n" + "{cut")
    follower.send()
    assert tracker.values == {30: {"training_seconds": 6.0}} and tracker.images == []


def test_of_two_versions_of_a_score_the_later_is_sent(cell: Path, tmp_path: Path) -> None:
    files = CellFiles(cell)
    lines = [json.loads(line) for line in files.scores.read_text().splitlines()]
    again = [{**line, "version": "2", "value": line["value"] + 0.05} for line in lines]
    write_lines(files.scores, [*lines, *again])
    tracker = Listing(tmp_path, tracked_cell(files))
    Follower(tracker, files).send()
    assert tracker.values[20]["scores/realisticness"] == pytest.approx(0.95)


EVENTS: dict[str, Event] = {
    "started": Started("h"),
    "progress": SnapshotScored("h", 0, {}),
    "done": Done("h"),
    "elsewhere": Elsewhere("h", "another host"),
}


def follow(cell: Path, *kinds: str) -> list[str]:
    said: list[str] = []
    with LiveTracking("listing", Listing, cell, {"h": cell}, said.append) as live:
        live.begin({"CDC": 20})
        for kind in kinds:
            live.show("CDC", EVENTS[kind])
    return said


def test_a_run_is_followed_in_the_background(cell: Path) -> None:
    assert follow(cell, "started", "progress", "progress", "done") == []
    (tracker,) = Listing.made
    assert tracker.done is True and set(tracker.values) == {0, 10, 20}


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ConnectionError("no route to host"), "ConnectionError: no route to host"),
        (SystemExit("no account"), "it calls sys.exit(no account)"),
    ],
)
def test_a_tracker_that_fails_is_named_once_and_left(
    cell: Path, problem: BaseException, words: str
) -> None:
    Listing.breaks = problem
    (said,) = follow(cell, "progress", "progress", "done")
    assert said == (f"The tracker 'listing' failed, and the cell goes on without it: {words}")
    assert len(Listing.made) == 1


def test_a_tracker_that_hangs_is_left_behind(cell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsgan_bench.trackers.following.PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(Listing, "log", lambda *_: time.sleep(3))
    (said,) = follow(cell, "progress")
    assert "is left behind" in said


def test_a_run_that_is_stopped_waits_less(cell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsgan_bench.trackers.following.INTERRUPTED_SECONDS", 0.1)
    monkeypatch.setattr(Listing, "log", lambda *_: time.sleep(3))
    said: list[str] = []
    began = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        LiveTracking("listing", Listing, cell, {"12345678" * 8: cell}, said.append) as tracking,
    ):
        tracking.show("CDC", SnapshotScored("12345678" * 8, 20, {}))
        raise KeyboardInterrupt
    assert time.monotonic() - began < 2
    assert "is left behind" in said[0]


def test_names_of_trackers() -> None:
    with pytest.raises(UserError, match="Did you mean 'wandb'"):
        find_tracker("wandbb")


def test_tensorboard_reads_it_back(cell: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        track(cell, "tensorboard", tmp_path / "out")
    place = tmp_path / "out" / "tensorboard" / "avatars-ink-10-shots" / "CDC-seed-3-12345678"
    events = EventAccumulator(str(place))
    events.Reload()
    p_t = [(each.step, round(each.value, 4)) for each in events.Scalars("scores/realisticness")]
    assert p_t == [(0, 0.1), (20, 0.9)]
    losses = [round(each.value, 4) for each in events.Scalars("generator/adversarial")]
    assert losses == [0.7, 0.6]
    assert [each.step for each in events.Images("same noise")] == [0, 20]
    (config,) = events.Tensors("config/text_summary")
    assert b"distance_weight" in config.tensor_proto.string_val[0]


@pytest.mark.parametrize("title", ["/tmp/elsewhere", "../../../elsewhere", "StyleGAN2/ADA", ".."])
def test_tensorboard_stays_in_its_folder(cell: Path, tmp_path: Path, title: str) -> None:
    pytest.importorskip("tensorboard")
    file = CellFiles(cell).cell
    file.write_text(file.read_text().replace('"title": "CDC"', f'"title": "{title}"'))
    track(cell, "tensorboard", tmp_path / "out")
    (place,) = (tmp_path / "out" / "tensorboard" / "avatars-ink-10-shots").iterdir()
    assert list(place.glob("events.out.tfevents.*"))


def test_wandb_writes_offline(cell: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    track(cell, "wandb", tmp_path / "out")
    (file,) = (tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb")
    words = (b"scores/realisticness", b"generator/adversarial", b"distance_weight")
    until = time.monotonic() + 30  # wandb writes in a process of its own
    while time.monotonic() < until and not all(word in file.read_bytes() for word in words):
        time.sleep(0.1)
    content = file.read_bytes()
    assert [word for word in words if word not in content] == []
    images = list(file.parent.rglob("same noise*.png"))
    assert len(images) == 2


def test_mlflow_writes_to_sqlite(
    cell: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = pytest.importorskip("mlflow.tracking").MlflowClient
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for _ in range(2):
        track(cell, "mlflow", tmp_path / "out")
    there = client(f"sqlite:///{tmp_path}/out/mlflow.db")
    (experiment,) = there.search_experiments(filter_string=f"name = 'fsgan-bench/{GROUP}'")
    (run,) = there.search_runs([experiment.experiment_id])
    assert run.info.run_name == NAME and run.info.status == "FINISHED"
    assert run.data.params["config.distance_weight"] == "1000.0"
    history = there.get_metric_history(run.info.run_id, "scores/realisticness")
    assert [(each.step, each.value) for each in history] == [(0, 0.1), (20, 0.9)]
    stored = [each.path for each in there.list_artifacts(run.info.run_id, "same_noise")]
    assert sorted(stored) == ["same_noise/000000.png", "same_noise/000020.png"]
