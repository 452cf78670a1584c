"""Image sets from a folder or from an NVIDIA dataset zip, by one function."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from fsgan_bench.data.images import SUFFIXES, Images, content_hash, load_folder, to_square
from fsgan_bench.errors import UserError

MAX_ENTRY_BYTES = 64 * 2**20
NAMED = 5


def load_images(path: str | os.PathLike[str], size: int) -> Images:
    """The images of a folder or of a ``.zip``, sorted by name, as uint8 [N, size, size, 3].

    Each is turned upright, flattened on white, cropped to its largest centred square and resized
    with a Lanczos filter. A zip's images may lie in subfolders; its ``dataset.json`` is not read.

    Raises:
        UserError: there is nothing at ``path``, it holds no image, or some files are damaged,
            repeat each other, or would unpack outside the archive or to more than 64 MiB.
    """
    source = Path(path)
    if source.suffix.lower() == ".zip" and source.is_file():
        return _load_zip(source, size)
    return load_folder(source, size)


def _load_zip(path: Path, size: int) -> Images:
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_entries(path, archive, size)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} cannot be read as a zip archive: {error}.") from error


def _read_entries(path: Path, archive: zipfile.ZipFile, size: int) -> Images:
    entries = [e for e in archive.infolist() if _is_image(e.filename) and not e.is_dir()]
    if not entries:
        raise UserError(f"The archive {path} holds no image ({', '.join(SUFFIXES)}).")
    images, bad, seen = [], [], dict[str, str]()
    for entry in sorted(entries, key=lambda entry: entry.filename):
        name = entry.filename
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            bad.append(f"{name!r} (outside the archive)")
        elif entry.file_size > MAX_ENTRY_BYTES:
            bad.append(f"{name!r} (over 64 MiB)")
        else:
            try:
                with Image.open(io.BytesIO(archive.read(entry))) as file:
                    square = to_square(file, size)
            except Exception:  # damaged bytes make decoders and zlib raise almost anything
                bad.append(f"{name!r} (damaged)")
                continue
            first = seen.setdefault(content_hash(square), name)
            if first != name:
                bad.append(f"{name!r} (repeats {first!r})")
            images.append(square)
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise UserError(f"{path} has images that cannot be used: {', '.join(bad[:NAMED])}{more}.")
    return np.stack(images)


def _is_image(name: str) -> bool:
    file = PurePosixPath(name)
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
