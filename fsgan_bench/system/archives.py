"""What reading a zip or a .npz raises where the file is damaged."""

from __future__ import annotations

import zipfile
import zlib

DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError),
    *(RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error),
)
"""Names, sizes, encodings and encryption may all be damaged, and each has an error of its own."""
