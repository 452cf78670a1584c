"""Bad input: one sentence, exit code 2, no traceback, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli import main

RUN = ["run", "--target", "sketches", "--methods", "tgan"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--target", "sketches", "--methods", "dlc"], "Did you mean 'dcl'?"),
        (["run", "--target", "sketches", "--methods", ","], "--methods names no method"),
        (["run", "--target", "sketchs", "--methods", "all"], "Did you mean 'sketches'?"),
        (["run", "--target", ",", "--methods", "all"], "--target names no target"),
        ([*RUN, "--suite", "avatar"], "Did you mean 'avatars'?"),
        ([*RUN, "--suite", "missing.toml"], "missing.toml cannot be read"),
        ([*RUN, "--budget", "quik"], "Did you mean 'quick'?"),
        ([*RUN, "--set", "tgan.foo=1"], "tgan has no setting 'foo'; it has no settings"),
        ([*RUN, "--set", "cdc.tau=1"], "the method 'cdc' is not in this run"),
        ([*RUN, "--set", "nonsense"], "--set takes METHOD.KEY=VALUE"),
        ([*RUN, "--seeds", "1,1"], "--seeds names a seed twice"),
        ([*RUN, "--seeds", "3-1"], "is not a range"),
        ([*RUN, "--seeds", "x"], "is not a list of seeds"),
        ([*RUN, "--shots", "0"], "--shots"),
        ([*RUN, "--iterations", "-5"], "--iterations"),
        ([*RUN, "--snapshots", "1"], "--snapshots"),
        ([*RUN, "--device", "gpu"], "--device must be cpu or cuda[:N]"),
        ([*RUN, "--precision", "fp8"], "'fp8' is not one of 'fp32', 'bf16', 'fp16'"),
        ([*RUN, "--precision", "fp16"], "--precision fp16 needs a GPU"),
        ([*RUN, "--accumulate", "3"], "does not divide the batch of 4 images"),
        (
            ["run", "--target", "sketches", "--methods", "tgan,dcl", "--accumulate", "2"],
            "--accumulate: micro-batches may change what 'dcl' computes",
        ),
        ([*RUN, "--plugin", "nowhere.py"], "There is no plugin file nowhere.py"),
        (["figures", "nowhere"], "nowhere does not exist"),
        (["list", "methods", "--plugin", "nowhere.py"], "There is no plugin file"),
        (["list", "targets", "--suite", "ffhg"], "Did you mean 'ffhq'?"),
        (["pretrain", "--data", "facs", "--out", "x"], "Did you mean 'faces'?"),
        (["pretrain", "--data", "faces", "--out", "x", "--channels", "8,x"], "--channels"),
        (["pretrain", "--data", "faces", "--out", "x", "--resolution", "48"], "power of two"),
    ],
)
def test_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class Method(:\n", "line 1"),
        ("import nonexistent_package\n", "line 1: ModuleNotFoundError"),
        ("x = 1\n", "defines no method"),
        (
            "from fsgan_bench.method import Method\n\nclass Mine(Method):\n    name = 'mine'\n",
            "lacks the class attribute(s) title, version, paper",
        ),
        (
            "from fsgan_bench.method import Method\n\nclass Mine(Method):\n"
            "    name, title, version, paper = 'tgan', 'T', '1', 'p'\n",
            "'tgan'",
        ),
    ],
)
def test_a_broken_plugin_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(text)
    result = CliRunner().invoke(main, ["list", "methods", "--plugin", str(plugin)])
    assert result.exit_code == 2, result.output
    assert "mine.py" in result.output and sentence in result.output


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
        "import sys\nfrom fsgan_bench.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_missing_weights_stop_a_run_before_any_training(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("FSGAN_BENCH_WEIGHTS", raising=False)
    monkeypatch.setattr("fsgan_bench.metrics.weights.CLEAN_FID_FOLDER", tmp_path)
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
    assert "Traceback" not in result.output
    assert not out.exists()
