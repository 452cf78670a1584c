"""Generated images as files: a folder or a zip of PNGs, with a manifest of where each is from."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fsgan_bench.data.images import Images, content_hash
from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.system.archives import DAMAGED
from fsgan_bench.system.files import write_atomic

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1

_DATE = (1980, 1, 1, 0, 0, 0)
_LONGEST = 2**28

Write = Callable[[str, bytes], None]


def check_new(option: str, out: Path) -> None:
    """Raise UserError unless ``out`` can be made: nothing is there, and its folder can be."""
    if os.path.lexists(out):
        raise UserError(f"{option} {out} exists already; name a new one.")
    check_folder(option, out.parent)


def write_images(out: Path, batches: Iterable[Images], manifest: Mapping[str, Any]) -> int:
    """Write images as ``000000.png`` and so on, with ``manifest.json``; how many there are.

    ``out`` is a zip if it ends in ``.zip``, else a folder; it appears whole or not at all, and the
    same images give the same bytes. ``manifest`` is extended by the SHA-256 of each image's pixels,
    and of each by what stands under ``each`` for it.
    """
    check_new("--out", out)
    count = 0

    def fill(write: Write) -> None:
        nonlocal count
        each = manifest.get("each", [])
        images = []
        for image in _single(batches):
            name = f"{count:06d}.png"
            write(name, png_bytes(image))
            entry = each[count] if count < len(each) else {}
            images.append({"file": name, **entry, "sha256": content_hash(image)})
            count += 1
        head = {key: value for key, value in manifest.items() if key != "each"}
        document = {"manifest": MANIFEST_VERSION, **head, "images": images}
        write(MANIFEST, (json.dumps(document, indent=1) + "\n").encode())

    if out.suffix.lower() == ".zip":
        write_atomic(out, lambda temporary: _fill_zip(temporary, fill))
    else:
        _fill_folder(out, fill)
    return count


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """One image [H, W, 3] uint8 as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of what :func:`write_images` wrote, None if there is none.

    Raises:
        UserError: it is damaged.
    """
    try:
        if path.is_dir():
            file = path / MANIFEST
            if not file.is_file() or (path / "cell.json").exists():
                return None
            text = file.read_bytes()[:_LONGEST]
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as member:
                text = member.read(_LONGEST)
        else:
            return None
        document: Any = json.loads(text)
    except KeyError:
        return None
    except DAMAGED as error:
        raise UserError(f"The {MANIFEST} in {path} cannot be read: {error}.") from None
    return document if isinstance(document, dict) else None


def _single(batches: Iterable[Images]) -> Iterator[NDArray[np.uint8]]:
    for batch in batches:
        yield from batch


def _fill_zip(path: Path, fill: Callable[[Write], None]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        fill(lambda name, content: archive.writestr(zipfile.ZipInfo(name, _DATE), content))


def _fill_folder(out: Path, fill: Callable[[Write], None]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))

    def write(name: str, content: bytes) -> None:
        (temporary / name).write_bytes(content)

    try:
        fill(write)
        temporary.chmod(0o755)
        temporary.replace(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
