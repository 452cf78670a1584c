"""What the Python functions refuse; what they do is in the notebook, see test_notebook.py."""

from __future__ import annotations

import numpy as np
import pytest

import fsgan_bench as fb


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


def test_every_name_is_there() -> None:
    assert [name for name in fb.__all__ if not hasattr(fb, name)] == []
