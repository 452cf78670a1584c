"""What image sets come in: folders, zip archives and LMDBs, each as a list of named byte strings.

Nothing here decodes an image, and nothing is ever written. What is passed over is counted.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from fsgan_bench.data.entries import Contents, Entry, Unusable, images, refusing, some
from fsgan_bench.data.lmdb_sets import is_lmdb, lmdb_contents
from fsgan_bench.data.signatures import (
    HEAD,
    RAW_SUFFIXES,
    READABLE_SUFFIXES,
    hidden_part,
    is_companion,
    kind_of,
    named_as_image,
    suffix_of,
    what_else,
)
from fsgan_bench.errors import UserError
from fsgan_bench.system.paths import exists

MAX_ENTRY_BYTES = 64 * 2**20
"""What an entry of an archive may unpack to."""


@contextlib.contextmanager
def open_entries(path: Path, size: int) -> Iterator[Contents]:
    """The entries of an image set, which can be read while it is open.

    * Folder: the images in it and below it, loose ones and those of class folders alike; linked
      folders are followed, each once.
    * Zip: the same anywhere in the archive; its ``dataset.json`` is not read.
    * Folder with a ``data.mdb``, or such a file: an LMDB, see ``lmdb_sets.lmdb_contents``.

    An image is what is named like one or begins like one, whatever its suffix. Hidden files, and
    what lies in hidden folders or in folders of an operating system's own, is passed over and
    counted in a note; so is what is neither an image nor a usual companion of images.

    Raises:
        UserError: there is nothing at ``path``, it holds no image, or it is damaged as a whole.
    """
    with contextlib.ExitStack() as stack:
        try:
            contents = _contents(path, size, stack)
        except OSError as error:
            where = error.filename or path
            raise UserError(f"{where} cannot be read: {error.strerror or error}.") from error
        if not contents.entries:
            why = f" {' '.join(contents.notes)}" if contents.notes else ""
            known = ", ".join(READABLE_SUFFIXES[:8])
            raise UserError(f"{path} holds no image ({known} and others).{why}")
        yield contents


def _contents(path: Path, size: int, stack: contextlib.ExitStack) -> Contents:
    """What is at ``path``, and on ``stack`` what closes it."""
    if not exists(path):
        raise UserError(f"The image set {path} does not exist.")
    if is_lmdb(path):
        return lmdb_contents(path, size, stack)
    if path.is_dir():
        return _folder_contents(path)
    if path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path)):
        return _zip_contents(path, stack)
    what = "a file"
    if path.is_file():
        with path.open("rb") as file:
            if kind_of(file.read(HEAD)):
                what = "a file, a single image"
            elif tarfile.is_tarfile(path):
                what = "a file, a tar archive, to be unpacked"
    raise UserError(f"{path} is {what}; a folder of images, a .zip or an LMDB is needed.")


@dataclass
class _Sorter:
    """Takes names one by one and keeps what is an image; counts the others."""

    entries: list[Entry] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, name: str, read: Callable[[], bytes], head: Callable[[], bytes]) -> None:
        """Keep an entry if it is named like an image or its first bytes, ``head``, are one's."""
        if part := hidden_part(name):
            if named_as_image(name):
                self.hidden[part] = self.hidden.get(part, 0) + 1
        elif suffix_of(name) in RAW_SUFFIXES:
            self.entries.append(Entry(name, refusing("a camera raw file; save it as PNG")))
        elif named_as_image(name) or _begins_like_an_image(head):
            self.entries.append(Entry(name, read))
        elif not is_companion(name):
            self.others.append(name)

    def contents(self) -> Contents:
        if self.hidden:
            count = sum(self.hidden.values())
            where = some(sorted(self.hidden))
            self.notes.append(
                f"Passed over as hidden or a system's own: {images(count)} ({where})."
            )
        if self.others:
            many = len(self.others)
            self.notes.append(
                f"Passed over as no image: {many} file{'s' * (many > 1)} ({some(self.others)})."
            )
        return Contents(sorted(self.entries, key=lambda entry: entry.name), tuple(self.notes))


def _begins_like_an_image(head: Callable[[], bytes]) -> bool:
    with contextlib.suppress(Unusable):
        return kind_of(head()) is not None
    return False


def _folder_contents(root: Path) -> Contents:
    sorter = _Sorter()
    loose = below = 0
    databases: list[str] = []
    for path in _files(root, sorter.notes):
        name = path.relative_to(root).as_posix()
        before = len(sorter.entries)
        sorter.take(name, functools.partial(_read_file, path), functools.partial(_head, path))
        if len(sorter.entries) > before:
            loose, below = (loose, below + 1) if "/" in name else (loose + 1, below)
        elif path.name == "data.mdb":
            databases.append(path.parent.name)
    if loose and below:
        sorter.notes.append(f"Read: {images(loose)} at the top and {below:,} in subfolders.")
    if databases:
        sorter.notes.append(f"An LMDB in it is a set of its own: {some(databases)}.")
    return sorter.contents()


def _files(root: Path, notes: list[str]) -> Iterator[Path]:
    """All that is no folder below ``root``; links to folders are followed, each folder once."""

    def fail(error: OSError) -> None:
        raise error

    first = root.stat()
    seen = {(first.st_dev, first.st_ino)}
    again = []
    for folder, folders, names in os.walk(root, followlinks=True, onerror=fail):
        base = Path(folder)
        kept = []
        # Real folders before links, so that a folder goes by its own name.
        for name in sorted(folders, key=lambda name: ((base / name).is_symlink(), name)):
            path = base / name
            inside = path.relative_to(root).as_posix()
            if hidden_part(inside):
                if not path.is_symlink():
                    yield from (Path(at, n) for at, _, files in os.walk(path) for n in files)
                continue
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                again.append(inside)
                continue
            seen.add((status.st_dev, status.st_ino))
            kept.append(name)
        folders[:] = kept
        yield from (base / name for name in sorted(names))
    if again:
        notes.append(f"Passed over as a link to a folder that is read already: {some(again)}.")


def _read_file(path: Path, most: int = -1) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("not a regular file")
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        raise Unusable("a link to nothing" if path.is_symlink() else "gone") from None
    except OSError as error:
        raise Unusable(error.strerror or "unreadable") from error


def _head(path: Path) -> bytes:
    return _read_file(path, HEAD)


def _zip_contents(path: Path, stack: contextlib.ExitStack) -> Contents:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        with path.open("rb") as file:
            head = file.read(HEAD)
        why = what_else(head) if head.strip() and not head.startswith(b"PK") else str(error)
        raise UserError(f"{path} cannot be read as a zip archive: {why}.") from error
    sorter = _Sorter()
    for info in archive.infolist():
        # Archives made on Windows may have backslashes between folders.
        name = info.filename.replace("\\", "/")
        if name.endswith("/"):
            continue
        if not hidden_part(name) and (problem := _zip_problem(name, info)):
            if named_as_image(name):
                sorter.entries.append(Entry(name, refusing(problem)))
            continue
        read = functools.partial(_read_zip_entry, archive, info)
        sorter.take(name, read, functools.partial(read, HEAD))
    return sorter.contents()


def _zip_problem(name: str, info: zipfile.ZipInfo) -> str | None:
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        return "outside the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "neither stored nor deflated"
    if info.file_size > MAX_ENTRY_BYTES:
        return f"over {MAX_ENTRY_BYTES // 2**20} MiB"
    return None


def _read_zip_entry(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int = MAX_ENTRY_BYTES
) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(most)  # ends at the declared size, whatever follows
    except RuntimeError:  # zipfile's word for a password
        raise Unusable("encrypted") from None
    except Exception:  # damaged bytes make zipfile and zlib raise almost anything
        raise Unusable("damaged") from None
