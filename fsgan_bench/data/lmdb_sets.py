"""LMDBs of images: as ``prepare_data.py`` writes them, and any that hold an encoded image a key."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsgan_bench.data.entries import Contents, Unusable, as_entries
from fsgan_bench.data.signatures import FORMATS, HEAD, kind_of
from fsgan_bench.errors import UserError

if TYPE_CHECKING:
    from lmdb import Environment, Transaction

MAX_RESOLUTION_DIGITS = 5
MAX_LENGTH_DIGITS = 7
INDEX_DIGITS = 5
DATA = "data.mdb"


def is_lmdb(path: Path) -> bool:
    """Whether there is an LMDB at ``path``: a folder with a ``data.mdb``, or such a file."""
    if path.is_dir():
        return (path / DATA).exists()
    return path.name == DATA or (path.suffix.lower() in (".mdb", ".lmdb") and path.is_file())


def lmdb_contents(path: Path, size: int, stack: contextlib.ExitStack) -> Contents:
    """The images of an LMDB, in one of two layouts.

    * ``prepare_data.py`` of rosinality's StyleGAN2 and of CDC: keys such as ``256-00000``, and
      ``length``. The resolutions that are complete count, or all if none is; of them, the one that
      fits ``size`` best: ``size`` itself, else the smallest larger one, else the largest.
    * LSUN's exports, BasicSR's and others: one encoded image a key, whatever the keys are.

    Raises:
        UserError: it is damaged, cut short or unfinished, or its reader is not installed.
    """
    try:
        import lmdb
    except ImportError:
        raise UserError(
            f"{path} is an LMDB, and its reader is missing: pip install 'fsgan-bench[lmdb]'"
        ) from None
    file = path / DATA if path.is_dir() else path
    try:
        environment = stack.enter_context(
            lmdb.open(
                str(file),
                subdir=False,
                create=False,
                readonly=True,
                lock=False,
                readahead=False,
            )
        )
        _check_whole(file, environment)
        transaction = stack.enter_context(environment.begin(buffers=True))
        counts = _resolutions(transaction)
        if counts:
            return _prepared(path, size, transaction, counts)
        return _one_a_key(path, size, transaction)
    except lmdb.Error as error:
        raise UserError(f"{path} cannot be read as an LMDB: {error}.") from error


def _check_whole(file: Path, environment: Environment) -> None:
    """Refuse a file that is cut short: touching a page past its end would kill the process."""
    pages = environment.info()["last_pgno"] + 1
    if file.stat().st_size < pages * environment.stat()["psize"]:
        raise UserError(f"{file} is cut short; copy it again.")


def _prepared(path: Path, size: int, transaction: Transaction, counts: dict[int, int]) -> Contents:
    length = bytes(transaction.get(b"length") or b"")
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        raise UserError(
            f"The LMDB {path} lacks a length: beside keys such as '{max(counts)}-00000' it should "
            "hold the key 'length' that prepare_data.py writes when it has finished."
        )
    total = int(length)
    stored = sorted(counts)
    complete = [side for side in stored if counts[side] >= total] or stored
    best = _best(complete, size)
    notes = []
    if best != (wanted := _best(stored, size)):
        notes.append(
            f"Taken from the LMDB: {best}x{best} px, as it has only {counts[wanted]:,} of "
            f"{total:,} images at {wanted}x{wanted}."
        )
    names = [f"{best}-{index:05d}" for index in range(total)]
    return Contents(as_entries(names, lambda name: _read(transaction, name)), tuple(notes))


def _best(sides: list[int], size: int) -> int:
    return min((side for side in sides if side >= size), default=sides[-1])


def _resolutions(transaction: Transaction) -> dict[int, int]:
    """How many keys of ``prepare_data.py``'s there are of each resolution."""
    found: dict[int, int] = {}
    for key in transaction.cursor().iternext(keys=True, values=False):
        side, dash, index = bytes(key).partition(b"-")
        if dash and len(side) <= MAX_RESOLUTION_DIGITS and side.isdigit() and _is_index(index):
            found[int(side)] = found.get(int(side), 0) + 1
    return found


def _is_index(text: bytes) -> bool:
    return text.isdigit() and len(text) >= INDEX_DIGITS


def _one_a_key(path: Path, size: int, transaction: Transaction) -> Contents:
    keys = {}
    others = 0
    for key, value in transaction.cursor().iternext(keys=True, values=True):
        if kind_of(bytes(value[:HEAD])) in FORMATS:
            keys[bytes(key).decode("utf-8", "backslashreplace")] = bytes(key)
        else:
            others += 1
    if not keys:
        raise UserError(
            f"The LMDB {path} lacks images: it should hold an encoded image a key, or the keys "
            f"'length' and, say, '{size}-00000' that prepare_data.py writes when it has finished."
        )
    entries = as_entries(sorted(keys), lambda name: _read(transaction, keys[name]))
    note = f"Passed over in the LMDB as no image: {others:,} key{'s' * (others > 1)}."
    return Contents(entries, (note,) if others else ())


def _read(transaction: Transaction, key: str | bytes) -> bytes:
    import lmdb

    try:
        value: Any = transaction.get(key.encode() if isinstance(key, str) else key)
    except lmdb.Error:
        raise Unusable("on a damaged page") from None
    if value is None:
        raise Unusable("missing")
    return bytes(value)
