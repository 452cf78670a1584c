from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color, to_rgb
from PIL import Image

from fsgan_bench.errors import UserError
from fsgan_bench.figures import canvas, grids, trajectories
from fsgan_bench.figures.drawing import draw
from fsgan_bench.figures.palette import ARTEFACT, REFERENCES
from fsgan_bench.results import curves
from fsgan_bench.results.looks import installed_look
from fsgan_bench.results.reader import load
from fsgan_bench.results.scales import metric_scales
from fsgan_bench.training.look import Look

SNAPSHOTS = [0, 50, 100, 200, 300, 400]
FONTS = canvas._STYLE["pdf.fonttype"]
CHARTS = ["realisticness", "intra_lpips", "trajectories", "fd_lite0", "quality_diversity"]


@pytest.fixture(autouse=True)
def quick_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embed fonts the quick way: subsetting them takes most of the time of a small drawing."""
    monkeypatch.setitem(canvas._STYLE, "pdf.fonttype", 3)


@pytest.fixture
def printable(quick_fonts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(canvas._STYLE, "pdf.fonttype", FONTS)


def look(method: str) -> Look:
    declared = installed_look(method)
    assert declared is not None
    return declared


def names(files: list[Path]) -> set[str]:
    return {file.name for file in files}


def both(*figures: str) -> set[str]:
    return {f"{figure}.{suffix}" for figure in figures for suffix in ("png", "pdf")}


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.texts]


def legend_labels(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def chart(writer: Any, metric: str) -> Any:
    [results] = load(writer.folder)
    with canvas.style():
        return trajectories.along_iterations(results, metric_scales(results, metric))


def colours(axes: Any) -> list[Any]:
    return [line.get_color() for line in axes.get_lines()]


def test_everything_is_drawn(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=SNAPSHOTS)
    writer.cell("dcl", snapshots=SNAPSHOTS)
    files = draw(writer.folder)
    tables = {"table.md", "table.tex", "table.csv", "selection.csv"}
    assert names(files) == both(*CHARTS, "same_noise_grid", "grid_tgan", "grid_dcl") | tables
    assert all(file.parent == writer.folder / "figures" for file in files)
    for file in files:
        if file.suffix == ".png":
            with Image.open(file) as image:
                assert image.size[0] > 900 and image.convert("L").getextrema()[0] < 100
        if file.suffix == ".pdf":
            assert file.read_bytes().startswith(b"%PDF")


def test_two_roots_with_one_task_are_drawn_side_by_side(writer: Any, tmp_path: Path) -> None:
    writer.task()
    writer.cell("tgan", snapshots=[100])
    roots = [tmp_path / name for name in ("before", "after")]
    for root in roots:
        shutil.copytree(writer.folder, root / "suite" / writer.folder.name)
    files = draw(roots, tmp_path / "out", kinds=["tables"])
    assert len(set(files)) == len(files)
    below = Path("suite") / writer.folder.name / "table.md"
    assert {tmp_path / "out" / name / below for name in ("before", "after")} < set(files)


def save_two(writer: Any, folder: Path) -> list[Path]:
    [results] = load(writer.folder)
    with canvas.style():
        plot = trajectories.along_iterations(results, metric_scales(results, "intra_lpips"))
        grid = grids.snapshot_grid(results, curves.variants(results)[0])
        assert grid is not None
        return canvas.save_figure(plot, folder, "plot") + canvas.save_figure(grid, folder, "grid")


@pytest.mark.usefixtures("printable")
def test_same_bytes_twice_whatever_the_users_settings(writer: Any, tmp_path: Path) -> None:
    writer.task()
    writer.cell("tgan", snapshots=SNAPSHOTS)
    first = save_two(writer, tmp_path / "first")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        second = save_two(writer, tmp_path / "second")
        assert matplotlib.rcParams["font.size"] == 20
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    pdf = first[1].read_bytes()
    assert b"/Type3" not in pdf and b"CreationDate" not in pdf
    with Image.open(first[0]) as image:
        assert "Software" not in image.info


def test_one_snapshot_only(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=[100])
    assert both("trajectories", "quality_diversity", "grid_tgan") <= names(draw(writer.folder))
    [label, *_] = legend_labels(chart(writer, "realisticness"))
    assert label == "TGAN ‡"


@pytest.mark.parametrize("seeds", [1, 3])
def test_band_is_the_standard_error_or_the_spread_over_seeds(writer: Any, seeds: int) -> None:
    writer.task()
    for seed in range(seeds):
        writer.cell("tgan", seed, snapshots=SNAPSHOTS)
    [results] = load(writer.folder)
    [scale] = metric_scales(results, "intra_lpips")
    [variant] = curves.variants(results)
    curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
    assert curve is not None
    scores = results.scores[results.scores["metric"] == "intra_lpips"]
    by_iteration = scores.groupby("iteration")["value"]
    assert np.allclose(curve.values, by_iteration.mean())
    expected = by_iteration.std(ddof=1) if seeds > 1 else np.full(len(SNAPSHOTS), 0.009)
    assert np.allclose(curve.spread, expected)
    figure = chart(writer, "intra_lpips")
    [band] = figure.axes[0].collections
    top = band.get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(np.max(curve.values + curve.spread))
    says = "standard deviation over seeds" if seeds > 1 else "standard error of the one seed"
    assert any(says in text for text in texts(figure))


def test_lines_in_their_colours_and_order(writer: Any) -> None:
    writer.task()
    for method in ("dcl", "ewc", "tgan"):
        writer.cell(method, snapshots=SNAPSHOTS)
    figure = chart(writer, "realisticness")
    drawn = [look("tgan"), look("ewc"), look("dcl"), *REFERENCES.values()]
    assert colours(figure.axes[0]) == [each.colour for each in drawn]
    assert figure.axes[0].get_ylim()[0] <= 0 and figure.axes[0].get_ylim()[1] >= 1
    labels = [label.rstrip(" †‡") for label in legend_labels(figure)]
    assert labels[:3] == ["TGAN", "EWC", "DCL"]


def test_references_that_are_not_known_are_not_drawn(writer: Any) -> None:
    writer.task(ideal=False)
    writer.cell("tgan", snapshots=SNAPSHOTS)
    figure = chart(writer, "realisticness")
    assert REFERENCES["ideal"].colour not in colours(figure.axes[0])
    assert "ideal adaptation" not in legend_labels(figure)
    [results] = load(writer.folder)
    assert [row.label for row in grids._reference_rows(results, ("source", "ideal"))] == [
        "source generator"
    ]


def test_diversity_beyond_real_images_is_shaded(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=SNAPSHOTS)
    figure = chart(writer, "intra_lpips")
    [patch] = figure.axes[0].patches
    assert same_color(patch.get_facecolor(), ARTEFACT)
    assert patch.get_y() == pytest.approx(0.502)
    assert "beyond real images: artefact" in legend_labels(figure)
    assert figure.axes[0].get_ylabel() == "intra-LPIPS (lite0, uncalibrated)"
    assert not chart(writer, "realisticness").axes[0].patches


def test_failed_and_unfinished_methods_are_named(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=SNAPSHOTS)
    writer.cell("tgan", 1, status="FAILED", reason="out of memory", snapshots=SNAPSHOTS)
    writer.cell("ewc", status="FAILED", reason="the loss costs $5 or $6")
    writer.cell("cdc", status="unfinished")
    writer.cell("bsa", scores=lambda *_: {})
    figure = chart(writer, "realisticness")
    note = " ".join(text for text in texts(figure))
    assert "TGAN (seed 1) failed: out of memory" in note
    assert "EWC failed: the loss costs $5 or $6" in note
    assert "CDC unfinished" in note and "BSA not scored" in note
    assert look("ewc").colour not in colours(figure.axes[0])


def test_what_has_not_converged_carries_a_dagger(writer: Any) -> None:
    writer.task()
    rising = {i: 0.05 + 0.0006 * i for i in range(0, 1001, 100)}
    writer.cell(
        "dcl",
        snapshots=list(rising),
        scores=lambda _, iteration, __: {"realisticness": rising[iteration]},
    )
    figure = chart(writer, "realisticness")
    assert legend_labels(figure)[0] == "DCL †"
    assert any(text.startswith("† not converged") for text in texts(figure))


def test_one_scale_an_axis(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", snapshots=SNAPSHOTS)
    writer.cell("bsa", snapshots=SNAPSHOTS, backbone="vgg")
    writer.cell("cdc", snapshots=SNAPSHOTS, version="2")
    figure = chart(writer, "intra_lpips")
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "intra-LPIPS (lite0, uncalibrated, version 1)",
        "intra-LPIPS (lite0, uncalibrated, version 2)",
        "intra-LPIPS (vgg)",
    ]
    assert [colours(axes)[0] for axes in figure.axes] == [
        look(method).colour for method in ("tgan", "cdc", "bsa")
    ]
    [results] = load(writer.folder)
    quality, diversity = (
        metric_scales(results, metric) for metric in ("realisticness", "intra_lpips")
    )
    assert [
        (one.backbone, one.version) for one, _ in curves.pairs(results, quality, diversity)
    ] == [
        ("lite0", "1"),
        ("lite0", "2"),
        ("vgg", "1"),
    ]


def test_same_noise_stays_in_its_column(writer: Any) -> None:
    writer.task()
    cell = writer.cell("tgan", snapshots=[0, 100])
    [results] = load(writer.folder)
    figure = grids.same_noise_grid(results)
    assert figure is not None
    agg: Any = FigureCanvasAgg(figure)
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())[..., :3]
    last = grids.read_strip(cell / "grids" / "000100.png", 16)
    source = grids.read_strip(writer.folder / "strips" / "source.png", 16)
    bar = np.round(255 * np.array(to_rgb(look("tgan").colour))).astype(int)
    rows, left = np.nonzero((pixels == bar).all(-1))
    row = int(rows.mean())
    for images, middle in ((last, row), (source, row - 2 * (grids._TILE + grids._GAP))):
        for i in range(grids.COLUMNS):
            start = left.max() + 9 + i * (grids._TILE + grids._GAP)
            for corner in (20, grids._TILE - 20):
                seen = pixels[middle - 20, start + corner].astype(int)
                truth = images[i][4, 16 * corner // grids._TILE].astype(int)
                assert np.abs(seen - truth).max() <= 2


def test_few_shots_leave_the_rest_of_their_row_white(writer: Any) -> None:
    writer.shots = 3
    writer.task()
    writer.cell("tgan", snapshots=[0])
    [results] = load(writer.folder)
    [row] = grids._few_shot_row(results)
    assert len(row.images) == 3 and row.apart


def test_strips_are_checked(writer: Any, tmp_path: Path) -> None:
    strip = tmp_path / "strip.png"
    Image.new("RGB", (100, 32)).save(strip)
    with pytest.raises(UserError, match="is 100 x 32 pixels large"):
        grids.read_strip(strip, 16)
    strip.write_text("no image")
    with pytest.raises(UserError, match="cannot be read"):
        grids.read_strip(strip, 16)


def test_evenly_chosen_snapshots() -> None:
    assert grids.evenly(5, 8) == [0, 1, 2, 3, 4]
    assert grids.evenly(15, 8) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert grids.evenly(9, 1) == [8]
    assert grids.evenly(1, 8) == [0]
    assert grids.evenly(0, 8) == [] == grids.evenly(0, 1)


def test_a_task_whose_runs_are_all_unfinished_hinders_no_other(
    writer: Any, task_writer: Any
) -> None:
    writer.task()
    writer.cell("tgan")
    other = task_writer(writer.folder.parent, "ink")
    other.task()
    other.cell("tgan", status="FAILED", reason="out of memory")
    said: list[str] = []
    written = draw([writer.folder, other.folder], say=said.append)
    assert written and all(writer.folder in path.parents for path in written)
    assert said == [f"There is no finished and scored run to draw in {other.folder}: 1 failed."]


def test_nothing_finished_is_an_error(writer: Any) -> None:
    writer.task()
    writer.cell("tgan", status="unfinished", snapshots=[0])
    writer.cell("ewc", status="FAILED", reason="nan", snapshots=[0])
    with pytest.raises(UserError, match=r"no finished and scored run.*1 failed, 1 unfinished"):
        draw(writer.folder)


def test_seeds_configurations_failures_and_no_ideal_together(writer: Any) -> None:
    writer.task(ideal=False)
    for seed in range(3):
        writer.cell("tgan", seed, snapshots=SNAPSHOTS)
    for weight in (0.0, 2.0):
        writer.cell("dcl", snapshots=[0, 100], config={"lambda1": weight})
    writer.cell("ewc", status="FAILED", reason="nan", snapshots=[0])
    writer.cell("cdc", status="unfinished", snapshots=[0])
    files = names(draw(writer.folder))
    assert files >= both(*CHARTS, "same_noise_grid", "grid_tgan")
    assert sum(file.startswith("grid_dcl-") for file in files) == 4
    assert not files & both("grid_ewc", "grid_cdc")
    assert "EWC failed: nan" in (writer.folder / "figures" / "table.md").read_text()


def test_several_tasks_into_one_folder(writer: Any, tmp_path: Path) -> None:
    other = type(writer)(tmp_path / "runs", target="ink", shots=5)
    for one in (writer, other):
        one.task()
        cell = one.cell("tgan", snapshots=[0], scores=lambda *_: {"fd_lite0": 20.0})
        shutil.rmtree(cell / "grids")
    files = draw(tmp_path / "runs", tmp_path / "out")
    assert {str(file.parent.relative_to(tmp_path / "out")) for file in files} == {
        "avatars/ink-5shot",
        "avatars/sketches-10shot",
    }


def test_drawing_needs_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, fsgan_bench.figures.drawing;"
        "print([m for m in ('torch', 'matplotlib.pyplot') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


WITHOUT = ["realisticness is left out: the target has no images to train a classifier with."]


def test_a_task_without_realisticness_is_drawn_without_it(writer: Any) -> None:
    writer.task(references=(), classifier_hash=None, notes=WITHOUT)
    writer.cell("tgan", snapshots=SNAPSHOTS, scores=lambda *_: {"intra_lpips": 0.4})
    written = names(draw(writer.folder))
    charts = both("intra_lpips", "trajectories", "same_noise_grid", "grid_tgan")
    assert written == charts | {"table.md", "table.tex", "table.csv"}
    table = (writer.folder / "figures" / "table.md").read_text()
    assert WITHOUT[0] in table
    assert "p_t" not in table.replace(WITHOUT[0], "")
    assert "| TGAN | **0.400 ± 0.009** |" in table
    [axes] = chart(writer, "intra_lpips").axes
    figure = axes.figure
    assert legend_labels(figure)[0] == "TGAN"
    assert any(WITHOUT[0] in " ".join(text.split()) for text in texts(figure))


def test_the_suites_protocol_is_drawn(writer: Any) -> None:
    def both_protocols(method: str, iteration: int, seed: int) -> dict[str, float]:
        return {"realisticness": 0.5, "intra_lpips": 0.4, "intra_lpips_cdc2021": 0.7}

    writer.task(lpips_protocol="cdc2021")
    writer.cell("tgan", snapshots=SNAPSHOTS, scores=both_protocols, backbone="vgg")
    draw(writer.folder)
    table = (writer.folder / "figures" / "table.md").read_text()
    assert "intra-LPIPS (vgg, cdc2021) ↑" in table
    assert "0.700" in table and "0.400" not in table


def test_fid_is_named_with_its_network(writer: Any) -> None:
    writer.task()
    for backbone, metric in (("inception", "fid"), ("inception_legacy", "fid_legacy")):
        scores = {metric: 20.0}
        writer.cell(f"m{metric}", snapshots=[0], scores=lambda *_, s=scores: s, backbone=backbone)
    written = names(draw(writer.folder))
    assert both("fid", "fid_legacy") <= written
    table = (writer.folder / "figures" / "table.md").read_text()
    assert "FID (inception) ↓" in table and "FID (inception_legacy) ↓" in table
