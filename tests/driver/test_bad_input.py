"""Bad input that needs a suite of its own; the table is in ``tests/hostile``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator

RUN = ["run", "--target", "sketches", "--methods", "tgan"]


def test_a_source_that_is_missing_is_named(suite: Path, tmp_path: Path) -> None:
    text = suite.read_text().replace("source.safetensors", "gone.safetensors")
    (tmp_path / "suite.toml").write_text(text)
    result = CliRunner().invoke(main, [*RUN, "--suite", str(tmp_path / "suite.toml")])
    assert result.exit_code == 2, result.output
    assert "lacks its source model: there is nothing at" in result.output


def test_a_setting_of_the_wrong_type_is_named(suite: Path) -> None:
    arguments = [
        "run", "--suite", str(suite), "--target", "ink", "--methods", "dcl",
        "--set", "dcl.tau=warm", "--dry-run",
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert "dcl.tau" in result.output and "warm" in result.output


def test_help_and_version_load_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom fsgan_bench.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="nothing can be written there on Linux")
def test_a_root_that_cannot_be_written_is_said_before_the_plan(suite: Path) -> None:
    result = CliRunner().invoke(main, [*RUN, "--suite", str(suite), "--out", "/proc/x"])
    assert result.exit_code == 2 and result.stdout == ""
    assert "Nothing can be written to /proc/x" in result.stderr


def test_missing_weights_stop_a_run_before_any_training(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("FSGAN_BENCH_WEIGHTS", raising=False)
    monkeypatch.setattr("fsgan_bench.features.weights.CLEAN_FID_FOLDER", tmp_path)
    networks = (
        'lpips_backbone = "vgg"\nfrechet_backbone = "inception"\n'
        'classifier = "timm:mobilenetv3_small_050"\n[recipe]'
    )
    text = suite.read_text().replace("[recipe]", networks)
    (suite.parent / "paper.toml").write_text(text)
    out = tmp_path / "results"
    arguments = [*RUN, "--suite", str(suite.parent / "paper.toml"), "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    missing = ("vgg16", "inception", "timm's 'mobilenetv3_small_050'")
    for name in missing:
        assert f"The pretrained weights of {name} are missing: fetch https://" in result.output
    assert result.output.count("are missing") == len(missing)
    arguments[:5] = ["evaluate", "--target", "sketches"]
    evaluated = CliRunner().invoke(main, arguments)
    assert evaluated.exit_code == 2 and evaluated.output.count("are missing") == 2
    assert "Traceback" not in result.output
    assert not out.exists()


def test_a_source_too_small_to_be_scored_is_named(
    suite: Path, networks: tuple[Generator, Discriminator], tmp_path: Path
) -> None:
    save_source(tmp_path / "source.safetensors", *networks, {"title": "16 pixels"})
    (tmp_path / "suite.toml").write_text(suite.read_text())
    arguments = [*RUN, "--suite", str(tmp_path / "suite.toml"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "images of 16 pixels a side, and the feature network 'lite0' needs at least 32" in (
        result.output
    )
    assert not (tmp_path / "out").exists()
