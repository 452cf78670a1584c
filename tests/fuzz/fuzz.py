"""Fuzz one reader, guided by coverage: ``python tests/fuzz/fuzz.py READER [SECONDS]``.

Needs the extra ``fuzz`` (atheris). What breaks the reader is written to ``crash-*`` in the folder
that this is called in; keep it in ``tests/fuzz/corpus/READER`` once it is mended.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

INSTRUMENTED = (
    *("fsgan_bench", "PIL", "zipfile", "tomllib"),
    *("torch._weights_only_unpickler", "torch.serialization"),
)

with atheris.instrument_imports(include=list(INSTRUMENTED)):
    import readers

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    reader = readers.READERS[name]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as found:
        for index, content in enumerate(readers.seeds()[name]):
            (Path(found) / f"seed{index}").write_bytes(content)
        options = [
            *(f"-max_total_time={seconds}", f"-max_len={readers.MAX_BYTES}", "-timeout=30"),
            *("-rss_limit_mb=4096", "-print_final_stats=1", found),
        ]
        kept = CORPUS / name
        atheris.Setup([sys.argv[0], *options, *([str(kept)] if kept.is_dir() else [])], reader)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
