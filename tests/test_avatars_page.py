"""What the page of the suite avatars says of the source is what its card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsgan_bench.suites.model import AVATARS, Budget

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "avatars.md").read_text(encoding="utf-8")
CARD = json.loads((ROOT / "fsgan_bench" / "assets" / "avatars.json").read_text(encoding="utf-8"))
ROWS = {"model": "the source", "real_images": "2,000 other real images"}


@pytest.mark.parametrize("name", ROWS)
def test_the_source_beside_real_images(name: str) -> None:
    scores = CARD[name]
    cells = [f"{scores['fd_lite0']:.0f}"]
    cells += [f"{scores[key]:.2f}" for key in ("precision", "recall", "density", "coverage")]
    assert f"| {ROWS[name]} | {' | '.join(cells)} |" in PAGE


def test_a_model_that_draws_faces_is_near_to_real_ones() -> None:
    assert CARD["data"]["held_out_images"] == 2000
    assert CARD["model"]["fd_lite0"] < 3.5 * CARD["real_images"]["fd_lite0"]


@pytest.mark.parametrize("name", AVATARS.budgets)
def test_the_budgets(name: str) -> None:
    budget: Budget = AVATARS.budgets[name]
    assert f"`{name}`, {budget.iterations:,} iterations and {budget.snapshots} snapshots" in PAGE
