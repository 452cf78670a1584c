"""What metrics and classifiers of other packages may give, and what is stored of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.metric import Value
from fsgan_bench.metrics.realisticness import probabilities
from fsgan_bench.metrics.scored import plain

IMAGES: Images = np.zeros((3, 4, 4, 3), np.uint8)


def test_numbers_of_numpy_and_torch_become_json() -> None:
    detail = {"sizes": np.arange(2), "share": np.float32(0.5), "none": float("nan"), "t": [1, None]}
    given = Value(torch.tensor(0.25), np.int64(3), np.float32(0.5), detail, np.ones(3, np.float32))  # type: ignore[arg-type]
    value = plain(given, 3)
    assert (value.value, value.n, value.stderr) == (0.25, 3, 0.5)
    assert value.each is not None and value.each.dtype == np.float64
    stored = {"sizes": [0, 1], "share": 0.5, "none": None, "t": [1, None]}
    assert json.loads(json.dumps(value.detail)) == stored


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (0.5, "it gives float, and a Value is needed"),
        (None, "it gives NoneType"),
        (Value(0.5, 3, each=np.ones(4)), r"one number for each of 3 images, \[3\], not \[4\]"),
        (Value(0.5, 3, each=np.ones((3, 1))), r"not \[3, 1\]"),
        (Value(0.5, 3, detail={"a": {1}}), "detail holds set, which JSON does not know"),
        (Value(0.5, 2.5), "float"),  # type: ignore[arg-type]
        (Value("high", 3), "could not convert"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_value_is_said(given: Any, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        plain(given, 3)


class Says:
    card: Mapping[str, Any] = {"name": "says"}

    def __init__(self, what: Any) -> None:
        self.what = what

    def scores(self, images: Images) -> NDArray[np.float64]:
        return self.what  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "given",
    [[0.0, 0.5, 1.0], torch.tensor([0.0, 0.5, 1 + 1e-7]), np.array([0, 0.5, 1], np.float32)],
)
def test_a_classifier_may_give_any_kind_of_array(given: Any) -> None:
    scores = probabilities(Says(given), IMAGES, {})
    assert scores.dtype == np.float64 and scores.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "given", [[0.5, 0.5], [[0.5]] * 3, [0.5, 0.5, 7.0], [0.5, float("nan"), 0.5], None, "abc", 0.5]
)
def test_a_classifier_that_gives_no_probabilities_is_named(given: Any) -> None:
    with pytest.raises(UserError, match="The classifier 'says' cannot be used: its scores of 3"):
        probabilities(Says(given), IMAGES, {})
