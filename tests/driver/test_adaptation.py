"""A cell in this process: damaged states, a full disk, what is kept, and memory."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fsgan_bench.data.images import Images
from fsgan_bench.driver.adaptation import Adaptation, Interrupted
from fsgan_bench.driver.disk import snapshot_bytes, state_bytes, stored_bytes
from fsgan_bench.driver.events import Event, Noted, SnapshotScored
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.probe import Probe
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import UserError
from fsgan_bench.results.cell import Cell, snapshot_schedule
from fsgan_bench.results.keeping import KEEPS, Keep
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.snapshots.verify_files import Checked, verify_files
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import Source, save_modules
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.files import check_writable, write_lines
from fsgan_bench.system.json_files import read_lines
from fsgan_bench.system.machine import resident
from fsgan_bench.system.states import previous_state, save_state
from fsgan_bench.training.method import Losses, Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

GROWTH_BYTES = 8 << 20
"""What the memory of a cell may grow by from its 10th to its 20th scoring, noise included."""

Hook = Callable[[Session], None]


class Plain(Method):
    """Plain fine-tuning with something else done before the generator's loss."""

    def __init__(self, hook: Hook = lambda session: None) -> None:
        super().__init__()
        self.hook = hook

    def generator_loss(self, session: Session) -> Losses:
        self.hook(session)
        return super().generator_loss(session)


@pytest.fixture(scope="module")
def planned(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Cell]:
    out = tmp_path_factory.mktemp("results")
    request = RunRequest(
        "tgan", ("sketches",), suite=str(suite), out=out, allow_weak_classifier=True
    )
    return make_plan(request).cells[0]


@pytest.fixture(scope="module")
def expected(planned: tuple[Task, Cell]) -> dict[str, Any]:
    """The files of a cell that was never stopped."""
    files, _ = adapt(planned)
    return contents(files)


def adapt(
    planned: tuple[Task, Cell],
    method: Method | None = None,
    *,
    keep: Keep = "scored",
    stop_at: int | None = None,
    fresh: bool = True,
) -> tuple[CellFiles, list[Event]]:
    """Run the cell to its end or to ``stop_at``; return its files and what was reported."""
    task, cell = planned
    files = CellFiles(cell.folder(task.folder))
    if fresh:
        shutil.rmtree(files.folder, ignore_errors=True)
    news: list[Event] = []
    now = [0]

    def count(session: Session) -> None:
        now[0] = session.iteration + 1

    adaptation = Adaptation(
        cell, task, method or Plain(count), news.append, lambda: now[0] == stop_at, keep
    )
    if stop_at is None:
        adaptation.run()
    else:
        with pytest.raises(Interrupted):
            adaptation.run()
    return files, news


class Mirrored(Plain):
    """Samples in a way of its own."""

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        return super().sample(modules, z).flip(3)


@pytest.mark.parametrize(("method", "known"), [(Plain, 1), (Mirrored, 0)])
def test_what_the_source_draws_is_not_drawn_again(
    planned: tuple[Task, Cell], monkeypatch: pytest.MonkeyPatch, method: type[Method], known: int
) -> None:
    task, cell = planned
    drawn: list[bytes] = []
    generate = Probe.generate

    def counted(*arguments: Any) -> Images:
        images = generate(*arguments)
        drawn.append(images.tobytes())
        return images

    assert len(task.source_images) == len(task.probe)
    monkeypatch.setattr(Probe, "generate", counted)
    adapt(planned, method())
    assert len(drawn) == len(cell.snapshots) - known


def contents(files: CellFiles) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in files.folder.rglob("*"):
        if path.suffix == ".jsonl":
            clock = ("seconds", "shared_seconds")
            found[path.name] = [
                {key: value for key, value in line.items() if key not in clock}
                for line in read_lines(path)
            ]
        elif path.is_file() and path not in (files.timing, files.manifest):
            found[str(path.relative_to(files.folder))] = path.read_bytes()
    return found


def notes(news: list[Event]) -> list[str]:
    return [event.note for event in news if isinstance(event, Noted)]


def test_a_damaged_state_is_replaced_by_the_one_before(
    planned: tuple[Task, Cell], expected: dict[str, Any]
) -> None:
    files, _ = adapt(planned, stop_at=4)
    files.state.write_bytes(files.state.read_bytes()[:-200])
    assert previous_state(files.state).exists()
    _, news = adapt(planned, fresh=False)
    (note,) = notes(news)
    assert note.startswith("state.pt is damaged") and "state.previous.pt" in note
    (line,) = read_lines(files.notes)
    assert line["note"] == note and line["iteration"] == 2
    found = contents(files)
    del found[files.notes.name]
    assert found == expected


def test_without_a_whole_state_the_cell_starts_over_and_keeps_its_scores(
    planned: tuple[Task, Cell], expected: dict[str, Any]
) -> None:
    files, _ = adapt(planned, stop_at=4)
    scores = files.scores.read_bytes()
    for state in (files.state, previous_state(files.state)):
        state.write_bytes(b"PK")
    _, news = adapt(planned, fresh=False)
    assert notes(news)[0].endswith("starting over")
    assert files.scores.read_bytes().startswith(scores)
    found = contents(files)
    del found[files.notes.name]
    assert found == expected


def test_a_snapshot_of_other_weights_is_made_and_scored_again(
    planned: tuple[Task, Cell], expected: dict[str, Any]
) -> None:
    files, _ = adapt(planned, stop_at=4)
    shutil.copy(files.snapshot(0), files.snapshot(2))
    files.state.unlink()
    _, news = adapt(planned, fresh=False)
    assert notes(news) == ["000002.safetensors is damaged or of other weights; scored again"]
    found = contents(files)
    del found[files.notes.name]
    assert found == expected


def test_another_thread_count_is_noted(planned: tuple[Task, Cell]) -> None:
    files, _ = adapt(planned, stop_at=4)
    document = json.loads(files.cell.read_text())
    document["provenance"]["threads"] = 7
    files.cell.write_text(json.dumps(document))
    _, news = adapt(planned, fresh=False)
    assert notes(news) == ["continued elsewhere than begun: threads 7 before, 1 now"]


@pytest.mark.parametrize("keep", KEEPS)
def test_what_is_kept_of_a_finished_cell(
    planned: tuple[Task, Cell], expected: dict[str, Any], keep: Keep
) -> None:
    files, _ = adapt(planned, keep=keep)
    looks = {"none": [], "last": [6]}.get(keep, [0, 2, 6])
    kept = {path.stem for path in files.folder.glob("snapshots/*")}
    assert kept == {f"{iteration:06d}" for iteration in looks}
    assert files.state.exists() == (keep == "all")
    assert not previous_state(files.state).exists()
    assert contents(files)[files.scores.name] == expected[files.scores.name]
    manifest = files.read_manifest()
    assert manifest is not None
    listed = set(manifest.sha256)
    assert {name for name in listed if name.startswith("snapshots")} == {
        f"snapshots/{name}.safetensors" for name in kept
    }
    files.drop_states()
    assert files.state.exists() == (keep == "all")
    files.manifest.write_text('{"keep":')
    files.drop_states()
    assert files.state.exists() == (keep == "all"), "what a damaged manifest may name stays"


@pytest.mark.parametrize("keep", ["none", "last"])
def test_a_resumed_cell_keeps_no_more(planned: tuple[Task, Cell], keep: Keep) -> None:
    files, _ = adapt(planned, keep=keep, stop_at=4)
    adapt(planned, keep=keep, fresh=False)
    assert len(list(files.folder.glob("snapshots/*"))) == (keep == "last")


@pytest.mark.parametrize("keep", ["none", "last"])
def test_a_cell_that_kept_less_at_first_is_finished(planned: tuple[Task, Cell], keep: Keep) -> None:
    adapt(planned, keep=keep, stop_at=4)
    files, _ = adapt(planned, fresh=False)
    assert files.done.exists()
    checked = Checked()
    verify_files(files, checked)
    assert checked.problems == []


def test_a_cell_is_not_continued_under_another_classifier(planned: tuple[Task, Cell]) -> None:
    files, _ = adapt(planned, stop_at=4)
    document = json.loads(files.cell.read_text())
    document["provenance"]["classifier_hash"] = "another"
    files.cell.write_text(json.dumps(document))
    with pytest.raises(UserError, match="another classifier than there is now"):
        adapt(planned, fresh=False)


def test_reference_lines_of_a_metric_that_came_later_are_made(planned: tuple[Task, Cell]) -> None:
    task, _ = planned
    prepare(task)
    file = TaskFiles(task.folder).references
    before = read_lines(file)
    asked_for = {**before[0], "metric": "kid"}
    write_lines(file, [*(line for line in before if line["metric"] != "fd_lite0"), asked_for])
    prepare(task)

    def known(lines: list[dict[str, Any]]) -> set[tuple[str, str]]:
        return {(line["reference"], line["metric"]) for line in lines}

    assert known(read_lines(file)) == known([*before, asked_for])
    written = file.stat().st_mtime_ns
    prepare(task)
    assert file.stat().st_mtime_ns == written


def test_one_that_was_killed_in_its_first_step_is_not_either(planned: tuple[Task, Cell]) -> None:
    files, _ = adapt(planned, stop_at=4)
    for state in (files.state, previous_state(files.state)):
        state.unlink(missing_ok=True)
    document = json.loads(files.cell.read_text())
    document["provenance"]["classifier_hash"] = "another"
    files.cell.write_text(json.dumps(document))
    with pytest.raises(UserError, match="another classifier than there is now"):
        adapt(planned, fresh=False)


def test_the_estimate_of_a_state_and_a_snapshot(tmp_path: Path) -> None:
    shape = Architecture(16, 64, 2, {4: 96, 8: 96, 16: 64})
    source = Source(Generator(shape), Discriminator(shape), Path(), "", {})
    images = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    session = Session(Method(), *source.pair, images, recipe=Recipe(batch=2), seed=0, iterations=1)
    session.method.step(session)
    save_state(tmp_path / "state.pt", session.state_dict())
    save_modules(tmp_path / "snapshot.safetensors", session.averaged, {})
    stored = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert state_bytes(source) == pytest.approx(stored["state"], rel=0.05)
    assert snapshot_bytes(source) == pytest.approx(stored["snapshot"], rel=0.05)


def test_the_estimate_of_a_cell(planned: tuple[Task, Cell]) -> None:
    task, cell = planned
    none, last, scored, everything = (stored_bytes(cell, task, keep) for keep in KEEPS)
    assert last - none == snapshot_bytes(task.source)
    assert scored - none == 3 * snapshot_bytes(task.source)
    assert everything - scored == state_bytes(task.source)
    files, _ = adapt(planned)
    grids = [path.stat().st_size for path in files.folder.glob("grids/*")]
    assert sum(grids) < none < 2 * sum(grids) + 10_000


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own at ``folder``."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        allowed = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("mounting a file system takes rights that this process lacks")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("victim", ["state", "snapshot"])
def test_a_disk_that_runs_full_costs_no_score(
    planned: tuple[Task, Cell], expected: dict[str, Any], victim: str
) -> None:
    task, cell = planned
    files = CellFiles(cell.folder(task.folder))
    shutil.rmtree(files.folder, ignore_errors=True)
    with mounted(files.folder, "8m"):
        filler = files.folder / "filler"

        def fill(session: Session) -> None:
            if session.iteration != 1:
                return
            state = files.folder / "size"
            torch.save({"session": session.state_dict()}, state)
            room = 8192 if victim == "state" else state.stat().st_size + 24_576
            state.unlink()
            free = shutil.disk_usage(files.folder).free
            filler.write_bytes(bytes(free - room))

        with pytest.raises(Exception, match="No space left on device"):
            adapt(planned, Plain(fill), fresh=False)
        assert filler.exists()
        assert {line["iteration"] for line in read_lines(files.scores)} == {0}
        assert files.state.exists() == (victim == "snapshot")
        assert not files.snapshot(2).exists()
        before = files.scores.read_bytes()
        filler.unlink()
        adapt(planned, fresh=False)
        assert files.scores.read_bytes().startswith(before)
        assert contents(files) == expected


def test_a_read_only_file_system_is_named(tmp_path: Path) -> None:
    with mounted(tmp_path / "results", "1m") as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(UserError, match="Read-only file system"):
            check_writable(folder)


def test_temporary_files_of_the_killed_are_deleted(planned: tuple[Task, Cell]) -> None:
    files, _ = adapt(planned, stop_at=4)
    left = [files.folder / ".state.pt.abcdefgh.pt", files.folder / "grids" / ".000002.png.abcdefgh"]
    for path in left:
        path.write_bytes(b"half")
    (files.folder / ".notes").mkdir()
    adapt(planned, fresh=False)
    assert not any(path.exists() for path in left)
    assert (files.folder / ".notes").exists()


@pytest.mark.slow
def test_memory_does_not_grow(planned: tuple[Task, Cell]) -> None:
    task, cell = planned
    long = replace(cell, iterations=200, snapshots=snapshot_schedule(200, 20))
    sizes: list[int] = []

    def measure(event: Event) -> None:
        if isinstance(event, SnapshotScored):
            sizes.append(resident())

    Adaptation(long, task, Plain(), measure, keep="last").run()
    assert len(sizes) == 20
    growth = max(sizes[10:]) - max(sizes[:10])
    assert growth < GROWTH_BYTES, [size >> 20 for size in sizes]
