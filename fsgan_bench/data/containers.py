"""What image sets come in: folders, zip archives and LMDBs, each as a list of named byte strings.

Nothing here decodes an image, and nothing is ever written.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fsgan_bench.errors import UserError
from fsgan_bench.system.paths import exists

if TYPE_CHECKING:
    from lmdb import Environment, Transaction

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

OTHER_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".jp2", ".tif", ".tiff")
"""Images all the same: named as unusable, where files with any other suffix are passed over."""

MAX_ENTRY_BYTES = 64 * 2**20
"""What an entry of an archive may unpack to."""

MAX_RESOLUTION_DIGITS = 5
MAX_LENGTH_DIGITS = 7


class Unusable(Exception):
    """One entry that cannot be used; the message says why in a few words."""


@dataclass(frozen=True)
class Entry:
    """An image of a set, not decoded. ``read`` gives its bytes or raises Unusable."""

    name: str
    read: Callable[[], bytes]


@contextlib.contextmanager
def open_entries(path: Path, size: int) -> Iterator[list[Entry]]:
    """The entries of an image set, sorted by name; they can be read while it is open.

    * Folder: its own PNG, JPEG and WebP files or, where it has none, those of its subfolders.
      Hidden files are passed over; linked subfolders are not followed.
    * ``.zip``: the same files anywhere in the archive; its ``dataset.json`` is not read.
    * Folder with a ``data.mdb``: an LMDB as ``prepare_data.py`` of rosinality's StyleGAN2 and of
      CDC writes it, in the resolution that fits ``size`` best: ``size`` itself, else the smallest
      larger one, else the largest.

    Raises:
        UserError: there is nothing at ``path``, it holds no image, or it is damaged as a whole.
    """
    with contextlib.ExitStack() as stack:
        try:
            entries = _entries(path, size, stack)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from error
        if not entries:
            raise UserError(f"{path} holds no image ({', '.join(SUFFIXES)}).")
        yield entries


def _entries(path: Path, size: int, stack: contextlib.ExitStack) -> list[Entry]:
    """The entries of ``path``, and on ``stack`` what closes it."""
    if not exists(path):
        raise UserError(f"The image set {path} does not exist.")
    if path.is_dir():
        if (path / "data.mdb").exists():
            return _lmdb_entries(path, size, stack)
        return _files(path, path.iterdir()) or _files(path, _below(path))
    if path.suffix.lower() == ".zip":
        return _zip_entries(path, stack)
    raise UserError(f"{path} is a file; a folder of images, a .zip or an LMDB is needed.")


def _below(path: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _files(root: Path, paths: Iterable[Path]) -> list[Entry]:
    entries = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if _is_image(name) and not path.is_dir():
            read = functools.partial(_read_file, path)
            entries.append(Entry(name, _only_known_formats(name, read)))
    return sorted(entries, key=lambda entry: entry.name)


def _read_file(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("not a regular file")
        return path.read_bytes()
    except FileNotFoundError:
        raise Unusable("a link to nothing" if path.is_symlink() else "gone") from None
    except OSError as error:
        raise Unusable(error.strerror or "unreadable") from error


def _zip_entries(path: Path, stack: contextlib.ExitStack) -> list[Entry]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a zip archive: {error}.") from error
    infos = [i for i in archive.infolist() if _is_image(i.filename) and not i.is_dir()]
    infos.sort(key=lambda info: info.filename)
    return [Entry(info.filename, _zip_reader(archive, info)) for info in infos]


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    name = info.filename
    if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
        return _refusing("outside the archive")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return _refusing("neither stored nor deflated")
    if info.file_size > MAX_ENTRY_BYTES:
        return _refusing(f"over {MAX_ENTRY_BYTES // 2**20} MiB")
    return _only_known_formats(name, functools.partial(_read_zip_entry, archive, info))


def _read_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(MAX_ENTRY_BYTES)  # ends at the declared size, whatever follows
    except RuntimeError:  # zipfile's word for a password
        raise Unusable("encrypted") from None
    except Exception:  # damaged bytes make zipfile and zlib raise almost anything
        raise Unusable("damaged") from None


def _lmdb_entries(path: Path, size: int, stack: contextlib.ExitStack) -> list[Entry]:
    try:
        import lmdb
    except ImportError:
        raise UserError(
            f"{path} is an LMDB, and its reader is missing: pip install 'fsgan-bench[lmdb]'"
        ) from None
    try:
        environment = stack.enter_context(
            lmdb.open(str(path), create=False, readonly=True, lock=False, readahead=False)
        )
        _check_whole(path, environment)
        transaction = stack.enter_context(environment.begin())
        stored = _lmdb_resolutions(transaction)
        length = bytes(transaction.get(b"length") or b"")
    except lmdb.Error as error:
        raise UserError(f"{path} cannot be read as an LMDB: {error}.") from error
    if not stored or not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        raise UserError(
            f"The LMDB {path} lacks {'a length' if stored else 'images'}: it should hold the keys "
            f"'length' and, say, '{size}-00000' that prepare_data.py writes when it has finished."
        )
    best = min((side for side in stored if side >= size), default=stored[-1])
    names = [f"{best}-{index:05d}" for index in range(int(length))]
    return [Entry(n, functools.partial(_read_lmdb_value, transaction, n)) for n in names]


def _check_whole(path: Path, environment: Environment) -> None:
    """Refuse a file that is cut short: touching a page past its end would kill the process."""
    pages = environment.info()["last_pgno"] + 1
    if (path / "data.mdb").stat().st_size < pages * environment.stat()["psize"]:
        raise UserError(f"{path / 'data.mdb'} is cut short; copy it again.")


def _lmdb_resolutions(transaction: Transaction) -> list[int]:
    """The resolutions that there are images of, ascending, without visiting every key."""
    found = set[int]()
    cursor = transaction.cursor()
    there = cursor.first()
    while there:
        side, dash, _ = bytes(cursor.key()).partition(b"-")
        if dash and side.isdigit() and len(side) <= MAX_RESOLUTION_DIGITS:
            found.add(int(side))
            there = cursor.set_range(side + b".")  # '.' sorts right after '-'
        else:
            there = cursor.next()
    return sorted(found)


def _read_lmdb_value(transaction: Transaction, name: str) -> bytes:
    import lmdb

    try:
        value = transaction.get(name.encode())
    except lmdb.Error:
        raise Unusable("on a damaged page") from None
    if value is None:
        raise Unusable("missing")
    return bytes(value)


def _is_image(name: str) -> bool:
    file = PurePosixPath(name)
    return file.suffix.lower() in SUFFIXES + OTHER_SUFFIXES and not file.name.startswith(".")


def _only_known_formats(name: str, read: Callable[[], bytes]) -> Callable[[], bytes]:
    suffix = PurePosixPath(name).suffix.lower()
    return _refusing("save it as PNG") if suffix in OTHER_SUFFIXES else read


def _refusing(reason: str) -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise Unusable(reason)

    return refuse
