"""``fsgan-bench verify``: whatever is changed, in a finished run or under it, is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsgan_bench.driver.adaptation import Adaptation
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import load_task
from fsgan_bench.errors import UserError
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.snapshots.verify import verify_runs
from fsgan_bench.snapshots.verify_files import Checked
from fsgan_bench.stylegan2.checkpoint import save_tensors
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.files import file_hash
from fsgan_bench.training.method import Method


@pytest.fixture(scope="module")
def own_suite(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite whose source may be changed."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(suite.parent, folder, dirs_exist_ok=True)
    return folder / suite.name


@pytest.fixture(scope="module")
def files(own_suite: Path, tmp_path_factory: pytest.TempPathFactory) -> CellFiles:
    """A finished cell."""
    out = tmp_path_factory.mktemp("results")
    request = RunRequest(
        "tgan", ("sketches",), suite=str(own_suite), out=out, allow_weak_classifier=True
    )
    task, cell = make_plan(request).cells[0]
    prepare(task)
    Adaptation(cell, task, Method(), lambda news: None).run()
    return CellFiles(cell.folder(task.folder))


def verify(files: CellFiles, own_suite: Path, seed: int = 0) -> Checked:
    return verify_runs([files.folder], suites=[str(own_suite)], seed=seed)


@contextmanager
def changed(path: Path, change: Callable[[bytes], bytes | None]) -> Iterator[None]:
    """``path`` with other bytes, or none, for a while."""
    before = path.read_bytes()
    after = change(before)
    path.unlink() if after is None else path.write_bytes(after)
    try:
        yield
    finally:
        path.write_bytes(before)


def edited(old: str, new: str) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode(), 1)

    return edit


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_an_untouched_run_is_as_it_was(files: CellFiles, own_suite: Path) -> None:
    for seed in range(3):
        checked = verify(files, own_suite, seed)
        assert checked == Checked(cells=1, rescored=1)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("scores.jsonl", edited("0.", "0.1"), "scores.jsonl has been changed"),
        ("scores.jsonl", lambda c: None, "scores.jsonl is missing"),
        ("train.jsonl", edited("6", "5"), "train.jsonl does not lead to iteration 6"),
        ("grids/000002.png", lambda c: None, "grids/000002.png is missing"),
        ("grids/000006.png", flipped, "grids/000006.png has been changed"),
        ("snapshots/000000.safetensors", lambda c: None, "000000.safetensors is missing"),
        ("snapshots/000002.safetensors", flipped, "000002.safetensors has been changed"),
        ("cell.json", edited('"seed": 0', '"seed": 1'), "cell.json has been changed: its hash"),
        ("cell.json", edited("{", "["), "cell.json cannot be read"),
        ("manifest.json", edited("sha256", "sha1"), "manifest.json is damaged"),
        ("../../task.json", edited('"probe_hash": "', '"probe_hash": "0'), "the probe batch is an"),
        ("../../task.json", lambda c: None, "task.json or references.jsonl is damaged"),
        ("../../references.jsonl", lambda c: b"", "references.jsonl does not belong to task.json"),
    ],
)
def test_what_is_changed_in_a_run_is_found(
    files: CellFiles,
    own_suite: Path,
    name: str,
    change: Callable[[bytes], bytes | None],
    problem: str,
) -> None:
    with changed(files.folder / name, change):
        found = verify(files, own_suite).problems
    assert any(problem in text for text in found), found
    assert all(str(files.folder.parent.parent) in text for text in found)


def test_a_score_that_does_not_come_out_again_is_found(files: CellFiles, own_suite: Path) -> None:
    """Even if whoever changed it changed the manifest too."""
    lines = [json.loads(line) for line in files.scores.read_text().splitlines()]
    for line in lines:
        if line["metric"] == "intra_lpips":
            line["value"] += 1e-6
    with (
        changed(files.scores, lambda c: "".join(json.dumps(e) + "\n" for e in lines).encode()),
        changed(files.manifest, lambda c: c),
    ):
        manifest = json.loads(files.manifest.read_text())
        manifest["sha256"]["scores.jsonl"] = file_hash(files.scores)
        files.manifest.write_text(json.dumps(manifest))
        (problem,) = verify(files, own_suite).problems
    assert "intra_lpips is" in problem and "made again" in problem


@pytest.mark.parametrize("other", [{"cell": "another"}, {"iteration": 5}])
def test_snapshots_of_another_cell_or_iteration_are_found(
    files: CellFiles, own_suite: Path, other: dict[str, Any]
) -> None:
    """Even if the same weights are in them, and the manifest has their checksums."""
    looks = (0, 2, 6)
    with ExitStack() as stack:
        for path in (files.manifest, *map(files.snapshot, looks)):
            stack.enter_context(changed(path, lambda content: content))
        for path in map(files.snapshot, looks):
            tensors, card = read_tensors(path)
            save_tensors(path, tensors, {**card, **other})
        files.write_manifest(looks, "scored")
        (problem,) = verify(files, own_suite).problems
    assert "the snapshot belongs to another cell or iteration" in problem


def test_another_source_under_a_finished_run_is_found(files: CellFiles, own_suite: Path) -> None:
    source = own_suite.parent / "source.safetensors"
    load_task.cache_clear()
    try:
        with changed(source, edited("random weights", "random_weights")):
            found = verify(files, own_suite).problems
    finally:
        load_task.cache_clear()
    assert len(found) == 2
    assert all("the source model is another than it was made with" in text for text in found)


def test_other_images_are_found(
    files: CellFiles,
    own_suite: Path,
    image_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images that were drawn before are read from the cache: somebody changed them there."""
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(shutil.copytree(image_cache, tmp_path / "cache")))
    drawn = list((tmp_path / "cache").rglob("*.npy"))
    assert drawn
    for path in drawn:
        images = np.load(path)
        np.save(path, images ^ 1)
    load_task.cache_clear()
    try:
        found = verify(files, own_suite).problems
    finally:
        load_task.cache_clear()
    for what in ("few-shot set", "reference set", "classifier"):
        assert any(f"the {what} is another" in text for text in found), found
    assert not any("the source model is another" in text for text in found)


def test_old_and_unfinished_cells_are_noted(files: CellFiles, own_suite: Path) -> None:
    with changed(files.manifest, lambda c: None):
        checked = verify(files, own_suite)
    assert checked.problems == []
    assert checked.notes == [f"{files.folder} has no manifest, so its files have no checksums"]
    with changed(files.done, lambda c: None):
        checked = verify(files, own_suite)
    assert (checked.cells, checked.problems) == (0, [])
    assert "is not finished" in checked.notes[0]


def test_a_suite_that_is_not_built_in_must_be_named(files: CellFiles) -> None:
    (problem,) = verify_runs([files.folder]).problems
    assert "the suite 'tiny' is not built in; name its file by --suite" in problem


def test_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There are no runs in"):
        verify_runs([tmp_path])
    with pytest.raises(UserError, match="does not exist"):
        verify_runs([tmp_path / "none"])


@pytest.mark.parametrize(
    ("metric", "factor", "found"),
    [
        ("intra_lpips", 2.0, True),
        ("intra_lpips", 1.01, True),
        ("intra_lpips_cdc2021", 1.01, False),
        ("intra_lpips_cdc2021", 1.1, True),
    ],
)
def test_reference_lines_that_do_not_come_out_again_are_found(
    files: CellFiles, own_suite: Path, metric: str, factor: float, found: bool
) -> None:
    """Relative diversity, the limit of artefact and the verdict rest on them.

    Which images of a large cluster count may hang on rounding, by which one of them changes places.
    """
    path = files.folder.parent.parent / "references.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if (line["reference"], line["metric"]) == ("source", metric):
            line["value"] *= factor
    with changed(path, lambda c: "".join(json.dumps(e) + "\n" for e in lines).encode()):
        problems = verify(files, own_suite).problems
    assert len(problems) == found
    assert all(f"references.jsonl, source: {metric} is" in problem for problem in problems)
