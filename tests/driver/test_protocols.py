"""A task scored as its suite says: more fakes for the Frechet distance, parts that it lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsgan_bench.data.images import Images
from fsgan_bench.data.splits import avatar_splits
from fsgan_bench.driver.adaptation import Adaptation
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.preparation import prepare
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import Task, TaskRequest
from fsgan_bench.figures.drawing import draw
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.training.method import Method

REFERENCE_RUN = Path(__file__).parents[2] / "results/reference/avatars/sunglasses-10shot"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_frechet_distance_takes_further_images(suite: Path, tmp_path: Path) -> None:
    more = suite.with_name("more.toml")
    protocol = 'frechet_samples = 60\nlpips_protocol = "cdc2021"\n[recipe]'
    more.write_text(suite.read_text().replace("[recipe]", protocol, 1))
    task, plain = (
        Task(TaskRequest(str(file), "sketches", 4, tmp_path, allow_weak_classifier=True))
        for file in (more, suite)
    )
    prepare(task)
    description = json.loads((task.folder / "task.json").read_text())
    assert description["lpips_protocol"] == "cdc2021"
    assert description["notes"] == task.scorer.notes
    assert np.array_equal(task.probe.latents, plain.probe.latents)
    method, modules = Method(), {"generator": task.source.generator}
    further: list[Images] = list(task.probe.generate_further(method, modules))
    assert sum(map(len, further)) == 20
    assert list(plain.probe.generate_further(method, modules)) == []
    probe = task.probe.generate(method, modules)
    assert len(np.unique(np.concatenate([probe, *further]), axis=0)) == 60
    stored = {
        (str(line["reference"]), str(line["metric"])): line
        for line in lines(task.folder / "references.jsonl")
    }
    for reference, count in (("source", 60), ("real", 40), ("ideal", 60)):
        assert stored[reference, "fd_lite0"]["n"] == count
        assert stored[reference, "intra_lpips"]["n"] == 40
    ideal = task.target.images.ideal
    assert ideal is not None
    drawn = ideal(np.concatenate([probe, *further]))
    expected = task.scorer.yardstick.reference.distance(task.scorer.frechet.pooled(drawn))  # type: ignore[union-attr]
    assert stored["ideal", "fd_lite0"]["value"] == pytest.approx(expected, rel=1e-5)


def test_a_cell_of_a_target_that_lacks_parts_is_scored_and_drawn(
    suite: Path, tmp_path: Path
) -> None:
    plan = make_plan(RunRequest("tgan", ("ink",), str(suite), out=tmp_path, iterations=2))
    [(task, cell)] = plan.cells
    empty = task.splits.reference[:0]
    lacking = replace(task.splits, reference=empty, classifier=empty, held_out=empty)
    task.__dict__["splits"] = lacking
    prepare(task)
    method = method_entries()["tgan"].load()
    Adaptation(cell, task, method(build_config(method, {})), report=lambda _: None).run()
    names = {"intra_lpips", "intra_lpips_cdc2021", "structure"}
    scores = lines(cell.folder(task.folder) / "scores.jsonl")
    references = lines(task.folder / "references.jsonl")
    assert {line["metric"] for line in [*scores, *references]} == names
    assert {line["reference"] for line in references} == {"source"}
    assert not (task.folder / "classifier.json").exists()
    description = json.loads((task.folder / "task.json").read_text())
    assert description["classifier_hash"] is None
    draw(task.folder)
    table = (task.folder / "figures" / "table.md").read_text()
    assert len(description["notes"]) == 2
    assert all(note in table for note in description["notes"])


def same_lines(ours: list[dict[str, object]], theirs: list[dict[str, object]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for key in ("reference", "metric", "n", "backbone", "version"):
            assert one[key] == other[key]
        # Another version's logistic regression stops elsewhere, by 2e-3 of the source's p_t.
        slack = 2e-4 if one["metric"] == "realisticness" else 0.0
        for key in ("value", "stderr"):
            assert one[key] == (other[key] and pytest.approx(other[key], rel=1e-3, abs=slack))


def named(references: list[dict[str, object]]) -> set[tuple[object, object]]:
    return {(line["reference"], line["metric"]) for line in references}


@pytest.mark.slow
def test_the_source_scores_as_in_the_reference_run(tmp_path: Path) -> None:
    """By the metrics that need no more of the target than its few-shot set."""
    task = Task(TaskRequest("avatars", "sunglasses", 10, tmp_path))
    suite = task.suite
    task.__dict__["splits"] = avatar_splits("sunglasses", 10, suite.few_shot_seed, 0, 0, 0, 64)
    prepare(task)
    description, stored = (
        json.loads((folder / "task.json").read_text()) for folder in (task.folder, REFERENCE_RUN)
    )
    for name in ("probe_hash", "few_shot_hash"):
        assert description[name] == stored[name]
    ours = lines(task.folder / "references.jsonl")
    known = named(ours)
    assert {"intra_lpips", "structure"} <= {name for kind, name in known if kind == "source"}
    theirs = lines(REFERENCE_RUN / "references.jsonl")
    same_lines(ours, [line for line in theirs if named([line]) <= known])


@pytest.mark.minutes
def test_reference_lines_of_the_reference_run_have_not_changed(tmp_path: Path) -> None:
    task = Task(TaskRequest("avatars", "sunglasses", 10, tmp_path))
    prepare(task)
    ours, theirs = (lines(folder / "references.jsonl") for folder in (task.folder, REFERENCE_RUN))
    description, stored = (
        json.loads((folder / "task.json").read_text()) for folder in (task.folder, REFERENCE_RUN)
    )
    for name in ("probe_hash", "few_shot_hash", "reference_hash", "protocol"):
        assert description[name] == stored[name]
    assert description["notes"] == []
    same_lines(ours, [line for line in theirs if named([line]) <= named(ours)])
