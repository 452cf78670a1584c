"""``fsgan-bench data init``: a suite file of one's own, written if it can be run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main
from fsgan_bench.data.targets import FileImages
from fsgan_bench.stylegan2.checkpoint import load_source, save_source
from fsgan_bench.suites.file import get_suite


@pytest.fixture
def home(download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the download in it, which is the current one."""
    shutil.copytree(download, tmp_path / "download")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "init", *arguments])


SOURCE = ("--source", "download/checkpoints/source_ffhq.pt")
SKETCHES = ("--target", "download/raw_data/sketches")


def test_it_writes_a_suite_that_runs(home: Path) -> None:
    result = init(
        *("suites/My Suite.toml", *SOURCE, *SKETCHES),
        *("--target", "babies=download/processed_data/babies"),
        *("--real", "babies=download/ffhq/babies/real"),
        *("--source-images", "download/ffhq/source-images"),
    )
    assert result.exit_code == 0, result.output
    assert "generator and discriminator at 32x32" in result.output
    assert "sketches: 10 few-shot, 0 real images" in result.output
    assert "babies: 10 few-shot, 240 real images" in result.output
    suite = get_suite("suites/My Suite.toml")
    assert suite.name == "my-suite" and list(suite.targets) == ["sketches", "babies"]
    babies = suite.target("babies").images
    assert isinstance(babies, FileImages) and list(babies.rejected) == ["source"]
    assert "Missing weights inception_legacy, vgg16" in result.output
    without = (
        "Missing real images of sketches: no Frechet distance (FID), no realisticness, no line of "
        "real images. The suite names none."
    )
    assert without in result.output
    status = CliRunner().invoke(main, ["data", "status", "--suite", "suites/My Suite.toml"])
    assert without in status.output and "real images" in status.output.splitlines()[2]
    text = (home / "suites" / "My Suite.toml").read_text()
    assert "../download" in text
    networks = 'lpips_backbone = "lite0"\nfrechet_backbone = "lite0"\n'
    (home / "suites" / "My Suite.toml").write_text(networks + text)
    plan = CliRunner().invoke(
        main,
        [
            *("run", "--suite", "suites/My Suite.toml", "--methods", "tgan"),
            *("--target", "sketches", "--iterations", "2", "--dry-run"),
        ],
    )
    assert plan.exit_code == 0, plan.output
    assert "1 to run" in plan.output


def test_a_source_without_a_raw_generator_starts_from_its_average(home: Path) -> None:
    assert init("both.toml", *SOURCE, *SKETCHES).exit_code == 0
    assert not get_suite("both.toml").recipe.start_from_average
    source = load_source(home / SOURCE[1])
    save_source(home / "average.safetensors", *source.pair, {})
    result = init("average.toml", "--source", "average.safetensors", *SKETCHES)
    assert result.exit_code == 0, result.output
    assert get_suite("average.toml").recipe.start_from_average


def test_a_pool_smaller_than_ten_sets_the_shots(
    home: Path, image_folder: Callable[[Path, int], None]
) -> None:
    image_folder(home / "six", 6)
    assert init("my.toml", *SOURCE, "--target", "six").exit_code == 0
    assert get_suite("my.toml").default_shots == 6


def test_a_generator_alone_gets_a_suite_whose_source_can_be_scored(
    home: Path, lone_generator: Callable[[Path], None]
) -> None:
    lone_generator(home / "alone.pt")
    result = init("my.toml", "--source", "alone.pt", *SKETCHES)
    assert result.exit_code == 0, result.output
    assert "alone.pt, a generator alone at 32x32" in result.output
    assert "Missing discriminator of the source model: no method runs." in result.output
    assert "run --suite my.toml --methods none --target sketches" in result.output
    assert get_suite("my.toml").source.found is not None


def test_a_lone_real_set_belongs_to_the_only_target(home: Path) -> None:
    result = init("my.toml", *SOURCE, *SKETCHES, "--real", "download/ffhq/babies/real")
    assert result.exit_code == 0, result.output
    images = get_suite("my.toml").target("sketches").images
    assert isinstance(images, FileImages) and images.real is not None
    assert images.real.found is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("my.txt", *SOURCE, *SKETCHES), "must end in .toml"),
        (("there.toml", *SOURCE, *SKETCHES), "there.toml exists already"),
        (("my.toml", "--source", "gone.pt", *SKETCHES), "There is no model at gone.pt"),
        (("my.toml", *SOURCE, "--target", "gone"), "gone does not exist"),
        (("my.toml", *SOURCE, "--target", "empty"), "empty holds no image"),
        (("my.toml", *SOURCE, *SKETCHES, *SKETCHES), "--target gives 'sketches' twice"),
        (("my.toml", *SOURCE, *SKETCHES, "--real", "sketchs=x"), "Did you mean 'sketches'?"),
        (("my.toml", *SOURCE, "--target", "Bad Name=empty"), "cannot be the name of a target"),
        (("my.toml", *SOURCE, *SKETCHES, "--source-images", "gone"), "gone does not exist"),
        (
            (
                "my.toml",
                *SOURCE,
                *SKETCHES,
                "--source-images",
                "download/raw_data/sketches/.",
            ),
            "holds the images of a target too",
        ),
    ],
)
def test_what_cannot_be_run_is_one_sentence_and_no_file(
    arguments: tuple[str, ...], sentence: str, home: Path
) -> None:
    (home / "empty").mkdir()
    (home / "there.toml").write_text("kept")
    before = sorted(home.iterdir())
    result = init(*arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.output and "Traceback" not in result.output
    assert sorted(home.iterdir()) == before
    assert (home / "there.toml").read_text() == "kept"


def test_real_images_are_counted_at_the_shots_of_the_suite(home: Path) -> None:
    """Where few-shot and real images are one set, each shot is one real image less."""
    both = "babies=download/ffhq/babies/real"
    result = init("mine.toml", *SOURCE, "--target", both, "--real", both)
    assert result.exit_code == 0, result.output
    pool = int(re.findall(r"babies: (\d+) few-shot", result.output)[0])
    assert f"babies: {pool} few-shot, {pool - 10} real images" in result.output


def test_a_suite_behind_a_linked_folder_finds_its_files(home: Path) -> None:
    (home / "elsewhere" / "deep").mkdir(parents=True)
    (home / "linked").symlink_to(home / "elsewhere" / "deep")
    result = init("linked/mine.toml", *SOURCE, *SKETCHES)
    assert result.exit_code == 0, result.output
    assert get_suite("linked/mine.toml").source.found is not None


def test_weights_of_further_distances_are_listed(home: Path) -> None:
    assert init("mine.toml", *SOURCE, *SKETCHES).exit_code == 0
    file = home / "mine.toml"
    file.write_text('frechet_also = ["inception"]\n' + file.read_text())
    listed = CliRunner().invoke(main, ["weights", "--suite", "mine.toml"])
    assert listed.exit_code == 0 and re.search(r"^\s*inception ", listed.output, re.MULTILINE)
