"""What the Python functions refuse; what they do is in the notebook, see test_notebook.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fsgan_bench as fb
from fsgan_bench.api import recorded_call
from fsgan_bench.driver.request import RunRequest


def test_an_unknown_option_of_a_run_is_one_sentence() -> None:
    with pytest.raises(fb.UserError, match=r"no setting 'iteration';.*mean 'iterations'\?"):
        fb.run("tgan", "sketches", iteration=3)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((4, 32, 32, 3), "32 x 32 pixels large; the suite 'avatars' scores 64 x 64"),
        ((1, 64, 64, 3), "at least two images"),
        ((4, 64, 64), "uint8 array"),
    ],
)
def test_images_that_cannot_be_scored(shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(fb.UserError, match=says):
        fb.score_images(np.zeros(shape, np.uint8), "sketches")


def test_copies_in_a_folder_are_scored_as_they_are(
    tmp_path: Path, suite: Path, image_cache: Path
) -> None:
    """A generator that draws one image has no diversity; dropping copies would hide it."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    images = np.repeat(image[None], 4, axis=0)
    for number in range(4):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    from_folder, from_array = (
        fb.score_images(source, "sketches", suite=suite, allow_weak_classifier=True).set_index(
            "metric"
        )
        for source in (tmp_path, images)
    )
    assert from_folder.loc["intra_lpips", "value"] == pytest.approx(0, abs=1e-5)
    assert from_folder["n"].tolist() == from_array["n"].tolist() == [4] * len(from_folder)
    assert from_folder["value"].tolist() == from_array["value"].tolist()


def test_every_name_is_there() -> None:
    assert [name for name in fb.__all__ if not hasattr(fb, name)] == []


def test_a_folder_of_data_may_be_text(tmp_path: Path) -> None:
    with pytest.raises(fb.UserError, match="nowhere"):
        fb.run("tgan", "babies", suite="ffhq", data=str(tmp_path / "nowhere"), out=tmp_path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"settings": "tgan.x=1"}, "tgan has no settings|no setting 'x'"),
        ({"plugins": "mine.py"}, r"There is no plugin file mine\.py"),
        ({"plugins": Path("mine.py")}, r"There is no plugin file mine\.py"),
    ],
)
def test_one_of_several_needs_no_list(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(fb.UserError, match=says):
        fb.run("tgan", "sketches", out=tmp_path, **given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seeds": -1}, "--seeds must be 0 to 999,999,999, not -1"),
        ({"seeds": (1, 1)}, "--seeds names a seed twice"),
        ({"iterations": 0}, "--iterations must be 1 to 10,000,000, not 0"),
        ({"accumulate": 0}, "--accumulate must be 1 to 1,024, not 0"),
        ({"jobs": 1.5}, "--jobs must be 1 to 1,024, not 1.5"),
        ({"keep_snapshots": "each"}, "must be one of none, last, scored, all, not each"),
        ({"precision": "fp8"}, "must be one of fp32, .*, not fp8"),
        ({"cell_timeout": float("nan")}, "must be at least 1 second, not nan"),
        ({"detach": True}, "the cells of --executor local end with the run"),
    ],
)
def test_what_no_run_can_have_is_one_sentence(
    given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(fb.UserError, match=says):
        fb.run("tgan", "sketches", out=tmp_path, **given)
    assert not list(tmp_path.iterdir())


def test_the_recorded_call_asks_for_the_same(tmp_path: Path) -> None:
    request = RunRequest(
        "dcl", ("ink",), seeds=(0, 1), settings=("dcl.lambda2=0",), iterations=600, out=tmp_path
    )
    assert recorded_call(request) == (
        "fsgan_bench.run('dcl', ['ink'], seeds=[0, 1], iterations=600, settings=['dcl.lambda2=0'], "
        f"out={str(tmp_path)!r})"
    )
