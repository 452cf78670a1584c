"""Fuzz readers of files, guided by coverage: ``python tests/fuzz/fuzz.py [READER ...]``.

Needs atheris. What breaks a reader is written to ``READER-crash-*``; keep it in
``tests/fuzz/corpus/READER`` once it is mended.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

# Not all of torch, which takes half a minute to instrument, but what reads its files.
with atheris.instrument_imports(include=["PIL", "zipfile"]):
    import zipfile  # noqa: F401

    import PIL.Image

    PIL.Image.init()
import torch

with atheris.instrument_imports(include=["fsgan_bench", "PIL", "tomllib", "torch"]):
    importlib.reload(torch._weights_only_unpickler)
    import readers

CORPUS = Path(__file__).parent / "corpus"
MEMORY = Path("/dev/shm")
"""Where the files that are read stand: an execution is ten times as fast as on a disk."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz readers of files, one after the other.")
    parser.add_argument("names", nargs="*", metavar="READER", help="by default all")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--seed", type=int, default=0, help="0 for another one every time")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for what is found")
    options = parser.parse_args()
    tempfile.tempdir = str(MEMORY) if os.access(MEMORY, os.W_OK) else None
    warnings.simplefilter("ignore")
    seeds = readers.seeds()
    broken = []
    for name in options.names or readers.READERS:
        sys.stderr.write(f"=== {name}\n")
        sys.stderr.flush()
        limits = [
            *(f"-max_total_time={options.seconds}", f"-seed={options.seed}"),
            *(f"-max_len={readers.MAX_BYTES}", "-timeout=30", "-rss_limit_mb=4096"),
            *("-print_final_stats=1", f"-artifact_prefix={options.out / name}-"),
        ]
        with tempfile.TemporaryDirectory() as found:
            for index, content in enumerate(seeds[name]):
                (Path(found) / f"seed{index}").write_bytes(content)
            # What is new goes to the first folder; the corpus is only read.
            folders = [found, *([str(CORPUS / name)] if (CORPUS / name).is_dir() else [])]
            process = os.fork()
            if process == 0:
                # libFuzzer ends this process, and writes what it found while that exits.
                atheris.Setup([sys.argv[0], *limits, *folders], readers.READERS[name])
                atheris.Fuzz()
            _, status = os.waitpid(process, 0)
        if status:
            broken.append(name)
    sys.exit(f"broken: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
