"""A short fuzzing run, guided by coverage, on every reader; ``make fuzz`` is the long one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import readers

FOLDER = Path(__file__).parent
PROGRAM = """
import atheris
import fuzz
import readers

@atheris.instrument_func
def planted(data):
    # Blind mutations find four right bytes once in 2**32.
    if data[:1] == b"F":
        if data[1:2] == b"U":
            if data[2:3] == b"Z":
                if data[3:4] == b"Z":
                    raise KeyError("planted")

def seeds(known=readers.seeds()):
    return {**known, "planted": [b"...."]}

readers.READERS = {**readers.READERS, "planted": planted}
readers.seeds = seeds
fuzz.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has wheels for Linux on x86-64 and Python up to 3.14 only",
)
def test_every_reader_withstands_a_second_of_fuzzing(tmp_path: Path) -> None:
    """And what is planted is found, so a fault in a reader would be."""
    corpus = sorted(FOLDER.joinpath("corpus").rglob("*"))
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--seconds", "1", "--seed", "1", "--out", str(tmp_path)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )
    said = process.stderr
    assert process.returncode == 1 and said.endswith("broken: planted\n"), said[-5000:]
    (found,) = tmp_path.iterdir()
    assert found.name.startswith("planted-crash-") and found.read_bytes()[:4] == b"FUZZ"
    assert said.count("=== ") == len(readers.READERS) + 1
    assert said.count("stat::number_of_executed_units") == len(readers.READERS) + 1, said[-5000:]
    assert sorted(FOLDER.joinpath("corpus").rglob("*")) == corpus
