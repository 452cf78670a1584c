"""Bad input: one sentence, exit code 2, no traceback, nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bad_input
import pytest
import world


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with bad_input.bad_files() as built:
        yield built


@pytest.mark.parametrize("case", bad_input.CASES, ids=lambda case: ascii(case.command)[:80])
def test_one_sentence_and_exit_code_2(case: bad_input.Case, folder: Path) -> None:
    row = bad_input.run_case(case, folder)
    assert not row.problems, row


def test_there_are_enough_of_them() -> None:
    assert len(bad_input.CASES) >= 100
    assert len({case.command for case in bad_input.CASES}) == len(bad_input.CASES)


@pytest.mark.parametrize(
    "command",
    [
        "run --methods tgan --target t --shots 2 --suite 'W/my suites/größe.toml' --dry-run",
        "run --methods tgan --target ink --suite W/suites/good.toml --seeds 0-2,7 --dry-run",
        "run --methods dcl --target ink --suite W/suites/good.toml --set dcl.tau=0.5 --dry-run",
        "run --methods all,tgan --target ink,ink --suite W/suites/good.toml --dry-run",
        "convert W/good.safetensors 'out/größe und länge.pt'",
        "data init out/new.toml --source W/good.safetensors --target 'a=W/images/Bilder groß'",
        "data status --suite 'W/my suites/größe.toml'",
        "list targets --suite 'W/my suites/größe.toml'",
        "figures W/results/good --out 'out/mit Leerzeichen'",
        "new-method mine --out 'out/meine Methoden/mine.py'",
    ],
)
def test_good_input(command: str, folder: Path, tmp_path: Path) -> None:
    """Spaces, umlauts and images of any shape are no bad input."""
    images = folder / "images" / "Bilder groß"
    if not images.exists():
        images.mkdir()
        for index, (width, height) in enumerate([(40, 17), (17, 40), (16, 16)]):
            (images / f"ein Bild {index}.png").write_bytes(world.png(width, height, index))
        (folder / "my suites").mkdir()
        text = world.OWN + '[targets.t]\nfew_shot = "../images/Bilder groß"\n'
        (folder / "my suites" / "größe.toml").write_text(text, encoding="utf-8")
    row = bad_input.invoke(command, folder, tmp_path)
    assert row.exit_code == 0, row.output
