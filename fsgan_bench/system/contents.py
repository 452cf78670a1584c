"""What a file is that was taken for another, by its first bytes."""

from __future__ import annotations

import re

_KNOWN: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), kind)
    for pattern, kind in (
        (rb"version https://git-lfs", "a Git LFS pointer; git lfs pull fetches the file"),
        (rb"\s*(<!doctype html|<html|<head)", "a web page, as a failed download leaves one"),
        (rb"\s*<(\?xml|svg)", "an SVG or XML text"),
        (rb"%PDF", "a PDF"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
        (rb"PK\x03\x04", "a zip archive"),
        (rb"\x1f\x8b", "gzipped data"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"\0\x05\x16\x07", "a macOS resource file"),
        (rb"....ftyp", "a video"),
        (rb"\0{16}", "nothing but zeros"),
    )
)


def known_content(head: bytes) -> str | None:
    """What begins with ``head``, in a few words; None if that is not known."""
    return next((kind for pattern, kind in _KNOWN if pattern.match(head)), None)
