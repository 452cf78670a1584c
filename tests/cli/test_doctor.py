"""``doctor`` and ``cache``: what a bug report needs, and what is kept between runs."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fsgan_bench import __version__
from fsgan_bench.cli.main import main


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with drawn images in two files, and a pace."""
    folder = tmp_path / "cache"
    for name, size in (("avatars/a/1.npy", 2000), ("avatars/a/2.npy", 500), ("pace.json", 10)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(folder))
    return folder


def test_what_a_bug_report_needs(kept: Path) -> None:
    code, text = run("doctor")
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition("  ")
        lines.setdefault(word, []).append(rest.strip())
    assert code == 0
    assert lines["fsgan-bench"] == [__version__]
    assert f"torch {metadata.version('torch')}" in lines["packages"][0]
    assert ("none" in lines["accelerator"][0]) is not torch.cuda.is_available()
    assert any(line.startswith("lite0: found at ") for line in lines["weights"])
    assert any(line.startswith("avatars: source model /") for line in lines["suite"])
    assert {"tgan", "dcl"} <= set(lines["methods"][0].split(", "))
    assert lines["cache"] == [f"{kept}: 3 file(s), 2.5 kB"]
    assert "broken" not in lines


def test_a_broken_package_is_named(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("bad", "no_such_module:Bad", "fsgan_bench.methods")
    real = metadata.entry_points

    def with_bad(**selected: str) -> object:
        if selected.get("group") == "fsgan_bench.methods":
            return [*real(**selected), point]
        return real(**selected)

    monkeypatch.setattr(metadata, "entry_points", with_bad)
    code, text = run("doctor")
    assert code == 0
    assert "No module named 'no_such_module'" in text


def test_the_cache_is_shown_and_emptied(kept: Path) -> None:
    code, text = run("cache")
    assert code == 0 and str(kept) in text
    assert [line.split() for line in text.splitlines() if "avatars" in line] == [
        ["avatars", "2", "2.5", "kB"]
    ]
    assert run("cache", "--empty", "avatars")[0] == 0
    assert not (kept / "avatars").exists() and (kept / "pace.json").exists()
    assert run("cache", "--empty", "all")[0] == 0
    assert list(kept.iterdir()) == []
    assert "It is empty." in run("cache")[1]


def test_an_unknown_kind_is_refused(kept: Path) -> None:
    code, text = run("cache", "--empty", "avatar")
    assert code == 2 and "Did you mean 'avatars'?" in text
    assert (kept / "avatars").exists()
