"""What somebody downloads runs no code, leaves no folder and steers no terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import world
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.data.cache import cached_images
from fsgan_bench.data.images import save_png
from fsgan_bench.errors import UserError, check_name, printable
from fsgan_bench.results.reader import load
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.system.files import write_text
from fsgan_bench.system.states import load_state
from fsgan_bench.tables import rendering
from fsgan_bench.tables.scores import tables

NASTY = "a|b\n$c_{d}$ [red]e[/red] \x1b[31mf\x1b]0;g\x07 <b>h</b> `i` *j* ![k](l)"


def bombs(path: Path) -> dict[str, Callable[[Path], object]]:
    """Ways to write a file that makes the folder ``path`` when its pickle is obeyed."""
    bomb = world.Bomb(path)
    array = np.empty(1, dtype=object)
    array[0] = bomb
    return {
        "zip.pt": lambda file: torch.save({"g_ema": {"w": bomb}}, file),
        "legacy.pt": lambda file: torch.save(bomb, file, _use_new_zipfile_serialization=False),
        "pickle.pt": lambda file: file.write_bytes(pickle.dumps(bomb)),
        "nvidia.pkl": lambda file: file.write_bytes(pickle.dumps({"G_ema": bomb})),
        "array.npy": lambda file: np.save(file, array, allow_pickle=True),
        "arrays.npz": lambda file: np.savez(file, array),
    }


READERS: dict[str, Callable[[Path], object]] = {
    "networks": load_networks,
    "state": load_state,
    "cache": lambda file: cached_images(file, (1, 1, 1, 3), lambda: np.zeros((1, 1, 1, 3), "u1")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", list(bombs(Path())))
def test_no_code_in_a_file_is_run(kind: str, reader: str, tmp_path: Path) -> None:
    exploded, file = tmp_path / "exploded", tmp_path / kind
    bombs(exploded)[kind](file)
    try:
        READERS[reader](file)
    except Exception as error:
        assert not isinstance(error, NotImplementedError)
    assert not exploded.exists()
    if kind.endswith((".pt", ".pkl")):
        kept = tmp_path / f"again-{kind}"
        bombs(exploded)[kind](kept)
        torch_or_pickle(kept)
        assert exploded.exists(), "the bomb is a dud"


def torch_or_pickle(file: Path) -> None:
    """Do what no reader may do."""
    ways: tuple[Callable[[], object], ...] = (
        lambda: torch.load(file, weights_only=False),
        lambda: pickle.loads(file.read_bytes()),
    )
    for obey in ways:
        with contextlib.suppress(Exception):
            obey()


SOURCES = [
    path
    for package in ("fsgan_bench", "baselines", "classifiers")
    for path in (Path(__file__).parents[2] / package).rglob("*.py")
]


@pytest.mark.parametrize(
    ("call", "must"),
    [
        ("torch.load(", "weights_only=True"),
        ("np.load(", "allow_pickle=False"),
        ("pickle.load", None),
        ("yaml", None),
        (" eval(", None),
        (" exec(", None),
        ("shell=True", None),
        ("extractall(", None),
        (".extract(", None),
        ("mktemp(", None),
    ],
)
def test_no_reader_can_be_made_to_run_code(call: str, must: str | None) -> None:
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for index, line in enumerate(lines):
            if call in line:
                assert must and must in "".join(lines[index : index + 3]), f"{path}: {line}"


def test_titles_from_a_file_are_text_and_nothing_else(tmp_path: Path) -> None:
    """Of a run that somebody else made: Markdown, a terminal and figures show them as they are."""
    task = {**world.TASK, "source_title": NASTY, "target_title": NASTY, "notes": [NASTY]}
    cell = {**world.CELL, "title": NASTY}
    world.write_run(tmp_path, task=task, cell=cell)
    (table,) = tables(load(tmp_path)[0])
    markdown = rendering.markdown_text([table])
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    columns = len(table.columns) + 1
    assert [len(cells(line)) for line in rows] == [columns] * len(rows)
    assert "\x1b" not in markdown and "\x07" not in markdown
    assert r"\<b\>h" in markdown and r"!\[k\](l)" in markdown and r"\`i\` \*j\*" in markdown
    lines = rendering.plain_lines(table)
    assert not any("\x1b" in line or "\n" in line for line in lines)
    result = CliRunner().invoke(main, ["figures", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output


def cells(line: str) -> list[str]:
    return re.sub(r"\\.", "", line).strip("|").split("|")


def test_titles_of_a_suite_file_steer_no_terminal(tmp_path: Path) -> None:
    title = json.dumps(NASTY)
    world.build(tmp_path / "world")
    text = world.SUITE + f"title = {title}\n"
    own = world.OWN + f'title = {title}\n[targets.t]\ntitle = {title}\nfew_shot = "x"\n'
    for name, content in {"one": text, "own": own}.items():
        file = tmp_path / "world" / "suites" / f"{name}.toml"
        file.write_text(content)
        for command in (["list", "targets"], ["data", "status"], ["weights"]):
            result = CliRunner().invoke(main, [*command, "--suite", str(file)])
            assert result.exit_code == 0, result.output
            assert "\x1b" not in result.output and "\x07" not in result.output
    result = CliRunner().invoke(main, ["list", "targets", "--suite", str(file)])
    assert "[red]e" in result.output.replace("\n", "")


def test_names_of_folders_stay_inside() -> None:
    for name in ("..", ".", "", "a/b", "/a", "a\\b", "a\0b", "~", "-a", "a\n", "A", "é", "a" * 65):
        with pytest.raises(UserError, match="cannot be the name of a target"):
            check_name("target", name)
    assert check_name("target", "afhq-cat_2") == "afhq-cat_2"


def test_control_characters_become_escapes() -> None:
    assert printable("é \x1b[31m\u202e\x9b\n") == "é \\x1b[31m\\u202e\\x9b\n"


def test_a_link_in_a_results_folder_is_not_followed_out_of_it(tmp_path: Path) -> None:
    world.write_run(tmp_path / "secret")
    inside = tmp_path / "shared"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "secret")
    result = CliRunner().invoke(main, ["figures", str(inside)])
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "secret" / "s" / "t-4shot" / "figures").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_files_under_way_are_private(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from fsgan_bench.system.files import write_atomic\n"
        "os.umask(0)\n"
        "def write(p):\n    p.write_text('x'); print(oct(p.stat().st_mode & 0o777))\n"
        "write_atomic(Path(sys.argv[1]), write)\n"
    )
    file = tmp_path / "file"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0o600"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    write_text(tmp_path / "text", "x")
    save_png(np.zeros((8, 8, 3), dtype=np.uint8), tmp_path / "image.png")
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
