"""What was trained elsewhere: imported, scored as our own, drawn and verified beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from fsgan_bench.analysis.comparison import comparisons
from fsgan_bench.cli.main import main
from fsgan_bench.data.images import Images, save_png
from fsgan_bench.driver.task import TaskRequest, load_task
from fsgan_bench.errors import UserError
from fsgan_bench.results.cell import cell_hash
from fsgan_bench.results.curves import variants
from fsgan_bench.results.folders import read_cell, read_scores
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.notes import elsewhere
from fsgan_bench.results.reader import load
from fsgan_bench.snapshots.checkpoint_files import Import, find_checkpoints
from fsgan_bench.snapshots.generate import Drawing, generate_images
from fsgan_bench.snapshots.imports import import_cell, read_import
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.tables.rendering import markdown_text
from fsgan_bench.tables.scores import tables

Bring = Callable[[Import], str]

PAIRED = {"correspondence", "structure"}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def task(adapted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task folder of the finished cells, to be written to."""
    root = tmp_path_factory.mktemp("elsewhere")
    return Path(shutil.copytree(adapted, root / "tiny" / adapted.name))


@pytest.fixture(scope="module")
def bring(task: Path, suite: Path) -> Bring:
    """Imports, without the command's drawing; what it was told comes back."""
    request = TaskRequest(
        suite=str(suite),
        target="sketches",
        shots=4,
        root=task.parent.parent.resolve(),
        allow_weak_classifier=True,
    )

    def bring(what: Import) -> str:
        said: list[str] = []
        task = load_task(request)
        import_cell(task, read_import(task, what, said.append), said.append)
        return " ".join(said)

    return bring


def only(task: Path, method: str) -> CellFiles:
    (folder,) = (task / method).iterdir()
    return CellFiles(folder)


def values(files: CellFiles) -> dict[tuple[int, str], float]:
    return {(score.iteration, score.metric): score.value for score in read_scores(files)}


@pytest.fixture(scope="module")
def checkpoints(task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CDC's training script leaves: ``{'g_ema': ...}`` in a .pt every few iterations."""
    folder = tmp_path_factory.mktemp("checkpoints") / "their_cdc"
    folder.mkdir()
    ours = only(task, "cdc")
    for iteration in (2, 6):
        generator = load_networks(ours.snapshot(iteration))[0]
        torch.save({"g_ema": generator.state_dict()}, folder / f"{iteration:06d}.pt")
    return folder


@pytest.fixture(scope="module")
def imported(task: Path, suite: Path, checkpoints: Path) -> CellFiles:
    where = ("--suite", suite, "--target", "sketches", "--out", task.parent.parent)
    what = ("--name", "Their CDC", "--generator", *sorted(checkpoints.iterdir()))
    done = command("evaluate", *where, "--allow-weak-classifier", "--json", *what)
    assert done.exit_code == 0, done.output
    assert "iteration 0 is the source" in done.stderr
    files = only(task, "imported-their-cdc")
    scores = json.loads(done.stdout)
    assert [score["value"] for score in scores] == [score.value for score in read_scores(files)]
    return files


def test_checkpoints_in_cdcs_layout_score_as_our_own(task: Path, imported: CellFiles) -> None:
    ours, theirs = values(only(task, "cdc")), values(imported)
    assert theirs.keys() == ours.keys()
    assert {iteration for iteration, _ in theirs} == {0, 2, 6}
    for key, value in ours.items():
        assert theirs[key] == pytest.approx(value, rel=1e-6, abs=1e-6), key


def test_they_are_drawn_beside_our_own_and_marked(task: Path, imported: CellFiles) -> None:
    [results] = load(task)
    labels = {variant.label for variant in variants(results)}
    assert {"CDC", "MineGAN", "Their CDC (elsewhere)"} <= labels
    assert "Their CDC (elsewhere)" in [row.label for row in tables(results)[0].rows]
    (note,) = elsewhere(results)
    assert "Their CDC (2 checkpoints)" in note
    assert "Their CDC (elsewhere)" in (task / "figures" / "table.md").read_text()
    assert (task / "figures" / "grid_imported-their-cdc.png").stat().st_size > 1000
    (comparison,) = comparisons([results])[0]
    assert "Their CDC (elsewhere)" in [method.label for method in comparison.methods]


def test_an_imported_cell_is_a_cell(
    imported: CellFiles, bring: Bring, checkpoints: Path, suite: Path
) -> None:
    record = read_cell(imported)
    assert record.provenance.model_dump()["kind"] == "imported"
    assert record.cell.imported is not None
    assert set(record.cell.imported.files) == {"000002.pt", "000006.pt"}
    moved = checkpoints.rename(checkpoints.with_name("moved"))
    try:
        verified = command("verify", imported.folder, "--suite", suite)
        assert verified.exit_code == 0, verified.output
        scored = command("score", imported.folder, "--suite", suite, "--metrics", "nn_lpips")
        assert "score(s) added at 3 snapshot(s)" in scored.output, scored.output
    finally:
        moved.rename(checkpoints)
    before = imported.scores.stat().st_mtime_ns
    (again,) = find_checkpoints([checkpoints], "Their CDC")
    assert "is there already" in bring(again)
    assert imported.scores.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="give another --name or --seed"):
        bring(Import("Their CDC", {6: checkpoints / "000006.pt"}))


def test_a_folder_of_images_scores_as_the_cell_that_made_it(
    task: Path, bring: Bring, suite: Path, tmp_path: Path
) -> None:
    ours = only(task, "cdc")
    out = tmp_path / "drawn"
    generate_images(Drawing((ours.folder,), out, other=ours.folder, suite=str(suite)))
    said = bring(Import("A diffusion model", {0: out}, images=True))
    assert "nobody knows the latents" in said and "fewer" not in said
    theirs = only(task, "imported-a-diffusion-model")
    last = {name: value for (at, name), value in values(ours).items() if at == 6}
    scored = {name: value for (_, name), value in values(theirs).items()}
    assert set(scored) == set(last) - PAIRED
    for name, value in scored.items():
        assert value == pytest.approx(last[name], rel=1e-6, abs=1e-6), name
    shutil.rmtree(out)
    verified = command("verify", theirs.folder, "--suite", suite)
    assert verified.exit_code == 0, verified.output
    [results] = load(task)
    (row,) = (row for row in tables(results)[0].rows if row.label.startswith("A diffusion"))
    assert row.entries["intra_lpips_lite0_at_90"].is_number is False
    found, notes = comparisons([results])
    assert "CDC" in [method.label for each in found for method in each.methods]
    assert any("A diffusion model (elsewhere), as one snapshot is no" in note for note in notes)


@pytest.mark.parametrize(
    ("option", "said"),
    [("--images", "The image set gone does not exist."), ("--generator", "There is no model at")],
)
def test_what_is_not_there_prepares_nothing(
    option: str, said: str, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask = ["evaluate", "--suite", str(suite), "--target", "sketches", option, "gone"]
    result = CliRunner().invoke(main, ask)
    assert result.exit_code == 2
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_fewer_images_are_said_beside_the_number(task: Path, bring: Bring, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 48, 32, 3), dtype=np.uint8)
    noise[8] = noise[7]
    for number, image in enumerate(noise):
        save_png(image, tmp_path / "few" / f"{number}.png")
    said = bring(Import("few", {0: tmp_path / "few"}, images=True))
    assert "9 images, fewer than the 40 of the probe batch" in said
    assert {score.n for score in read_scores(only(task, "imported-few"))} == {9}
    [results] = load(task)
    assert " (n = 9)" in markdown_text(tables(results))


def test_other_weights_are_not_taken_for_the_sources_children(
    task: Path, bring: Bring, tmp_path: Path
) -> None:
    generator = load_networks(only(task, "cdc").snapshot(6))[0]
    for noise in generator.fixed_noise():
        noise.add_(1.0)
    torch.save({"g_ema": generator.state_dict()}, tmp_path / "final.pt")
    (final,) = find_checkpoints([tmp_path / "final.pt"], None, seed=3)
    assert "nobody knows whether it was adapted from it" in bring(final)
    scores = values(only(task, "imported-final"))
    assert {iteration for iteration, _ in scores} == {0}
    assert not {name for _, name in scores} & PAIRED


def test_names_tell_trajectories_from_rows(tmp_path: Path) -> None:
    names = ["cdc-000500.pt", "cdc-001000.pt", "final.pt", "stylegan-256.pt", "run/000250.pt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_checkpoints([tmp_path, tmp_path / "run"], None)
    assert {each.title: list(each.files) for each in found} == {
        "cdc": [500, 1000],
        "run": [250],
        "final": [0],
        "stylegan-256": [0],
    }


def test_real_images_alone_say_what_is_perfect(
    suite: Path, images_suite: Path, tmp_path: Path
) -> None:
    done = command("evaluate", "--suite", images_suite, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    scores = {score["metric"]: score for score in json.loads(done.output)}
    assert {"intra_lpips", "fd_lite0"} <= set(scores)
    for score in scores.values():
        assert score["value"] > 0 and score["error"] > 0 and score["n"] > 10
    assert scores["intra_lpips_cdc2021"]["error"] == scores["intra_lpips"]["error"]
    assert list(tmp_path.iterdir()) == []
    table = command("evaluate", "--suite", images_suite, "--out", tmp_path)
    assert "divisions of" in table.output and "no bound for runs" in table.output
    run = command("run", "--suite", images_suite, "--target", "dots", "--methods", "none")
    assert run.exit_code == 2 and "names no source" in run.output


@pytest.fixture(scope="module")
def images_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of real images alone, without a source model."""
    folder = tmp_path_factory.mktemp("images")
    images: Images = np.random.default_rng(1).integers(0, 256, (100, 4, 4, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        picture = Image.fromarray(image).resize((32, 32))
        save_png(np.asarray(picture), folder / "real" / f"{number:03d}.png")
    (folder / "few").mkdir()
    for number in range(4):
        (folder / "real" / f"{number:03d}.png").rename(folder / "few" / f"{number}.png")
    text = """
name = "dots"
base = "paper"
resolution = 32
lpips_backbone = "lite0"
frechet_backbone = "lite0"
frechet_samples = 40
probe_size = 40
reference_size = 40
classifier_size = 32
default_shots = 4
[targets.dots]
few_shot = "few"
real = "real"
"""
    (folder / "dots.toml").write_text(text)
    return folder / "dots.toml"


def test_two_imports_of_one_title_and_seed_do_not_become_one_root(
    imported: CellFiles, tmp_path: Path
) -> None:
    """Figures would take them for one."""
    task = imported.folder.parent.parent
    roots = [tmp_path / name for name in ("one", "two")]
    for root in roots:
        place = root / task.parent.name / task.name
        shutil.copytree(task, place, ignore=shutil.ignore_patterns("cdc", "figures"))
    other = only(roots[1] / task.parent.name / task.name, "imported-their-cdc")
    document = json.loads(other.cell.read_text())
    document["cell"]["imported"]["files"]["000002.pt"] = "0" * 64
    document["hash"] = cell_hash(document["cell"])
    other.cell.write_text(json.dumps(document))
    other.folder.rename(other.folder.with_name(f"seed0-{document['hash'][:8]}"))
    done = command("merge", *roots, "--out", tmp_path / "merged")
    assert done.exit_code == 1 and "has its title and seed too" in done.output
    assert len(list((tmp_path / "merged").rglob("imported-their-cdc/*/cell.json"))) == 1
