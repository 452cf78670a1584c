"""What a file is, by its first bytes and never by its name alone."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fsgan_bench.system.contents import known_content

HEAD = 64
"""First bytes of a file that its kind is read from."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""Pillow's decoders that a file may call for, whatever its suffix; none of them runs a program."""

READABLE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
)
OTHER_SUFFIXES = (
    *(".avif", ".avifs", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx"),
    *(".exr", ".hdr", ".psd", ".xcf", ".dds"),
)
"""Pictures all the same: named as unusable, where other files are passed over."""

RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2")
"""Camera raw files, many of them a TIFF whose first picture is a small preview."""

_COMPANIONS = (
    *(".cfg", ".csv", ".html", ".ini", ".json", ".jsonl", ".lock", ".log", ".md", ".py", ".rst"),
    *(".rtf", ".tsv", ".txt", ".url", ".xml", ".yml"),
)
_COMPANION_NAMES = ("thumbs.db", "ehthumbs.db", "license", "licence", "readme", "makefile")

_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"RIFF....WEBP", "WEBP"),
        (rb"GIF8[79]a", "GIF"),
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "BMP"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"P[1-6]\s+(#|\d)", "PPM"),
        (rb"....ftypavi[fs]", "AVIF"),
        (rb"....ftyp(he[iv][cxms]|mif1|msf1)", "HEIC"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"8BPS", "Photoshop"),
        (rb"v/1\x01", "OpenEXR"),
    )
)


def kind_of(head: bytes) -> str | None:
    """What sort of picture begins with ``head``: a name of ``FORMATS`` or another; None if none."""
    return next((kind for pattern, kind in _SIGNATURES if pattern.match(head)), None)


def what_else(head: bytes) -> str:
    """Why a file that begins with ``head`` cannot be read as a picture, in a few words."""
    kind = kind_of(head)
    if kind is not None and kind not in FORMATS:
        return f"{'an' if kind[0] in 'AO' else 'a'} {kind} image; save it as PNG"
    other = known_content(head)
    return "no image" if other is None else f"no image but {other}"


def suffix_of(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def formats_of(name: str) -> tuple[str, ...]:
    """The decoders that a file may call for. A TGA has no signature, so its suffix is believed."""
    return (*FORMATS, "TGA") if suffix_of(name) == ".tga" else FORMATS


def named_as_image(name: str) -> bool:
    return suffix_of(name) in READABLE_SUFFIXES + OTHER_SUFFIXES + RAW_SUFFIXES


def is_companion(name: str) -> bool:
    """Whether a file is of a kind that lies beside images and that nobody takes for one."""
    file = PurePosixPath(name)
    return suffix_of(name) in _COMPANIONS or file.name.lower() in _COMPANION_NAMES


_SYSTEM_FOLDERS = (
    *("__macosx", "__pycache__", "@eadir", "@__thumb", "#recycle", "@recycle", "$recycle.bin"),
    *("system volume information", "lost+found", "recycler"),
)


def hidden_part(name: str) -> str | None:
    """The first part of a path that is hidden or a folder of some system's own; None if none."""
    for part in PurePosixPath(name).parts:
        if (part.startswith(".") and part not in (".", "..")) or part.lower() in _SYSTEM_FOLDERS:
            return part
    return None
