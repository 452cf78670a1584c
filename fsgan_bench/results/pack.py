"""A zip of what a reader needs to check a claim, and reading such a zip."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from fsgan_bench import __version__
from fsgan_bench.errors import UserError
from fsgan_bench.results.commands import RUNS, commands_of
from fsgan_bench.results.folders import find_cells, read_cell, read_task
from fsgan_bench.results.layout import CellFiles, TaskFiles, task_folder
from fsgan_bench.results.merge import is_result, manifest_without
from fsgan_bench.system.archives import DAMAGED
from fsgan_bench.system.files import file_hash, write_atomic
from fsgan_bench.system.json_files import read_json

PACK = "pack.json"
PACK_VERSION = 1

_DATE = (1980, 1, 1, 0, 0, 0)
_MOST_TIMES, _LEAST_ROOM = 200, 2**28
"""A zip may unpack to so many times its size, or to so many bytes."""

_README = """What a reader needs to check these results, written by fsgan-bench {version}.

    fsgan-bench verify {name}

checks every file against its checksum in {about} or in the manifest.json beside it, and what
it was made from against the suite and its images. Unzipped, the folder is a results root:
`fsgan-bench figures`, `verdict`, `export` and `merge` take it.

{weights}
"""
_WITHOUT = (
    "Snapshots are not in it; each cell's manifest.json lists their SHA-256 under left_out. Put\n"
    "in place, verify checks them, and scores one of them again."
)
_WITH = "Snapshots are in it: verify scores one of each task again, and generate draws from them."


def pack_runs(
    runs: Sequence[Path],
    out: Path,
    weights: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Write the finished cells at or below ``runs`` to the zip ``out``; how many there are.

    The same results give the same bytes; ``out`` appears whole or not at all.

    Args:
        runs: results folders.
        out: the new zip.
        weights: whether snapshots (samplers, or imported images) are packed too.
        say: receives a sentence for whatever is passed over.

    Raises:
        UserError: ``out`` exists or is no ``.zip``, or runs cannot be read or none is finished.
    """
    if out.suffix.lower() != ".zip":
        raise UserError(f"--out {out}: a pack ends in .zip.")
    if out.exists():
        raise UserError(f"--out {out} exists already; name a new file.")
    content = _Content()
    packed: dict[str, str] = {}
    listed: set[str] = set()
    found = find_cells(runs, references=True)
    for folder, cells in found.items():
        shared = TaskFiles(folder)
        task = read_task(shared)
        root = task_folder(Path(), task.suite, task.target, task.shots).as_posix()
        content.add(root, _shared(shared))
        for files in map(CellFiles, cells):
            if not files.done.exists():
                say(f"{files.folder} is not finished and was passed over.")
                continue
            place = f"{root}/{files.folder.parent.name}/{files.folder.name}"
            content.add(place, _cell(files, weights))
            packed[place] = read_cell(files).hash
            manifest = files.read_manifest()
            listed |= {f"{place}/{name}" for name in (manifest.sha256 if manifest else ())}
    if not packed:
        raise UserError(f"There is no finished run in {', '.join(map(str, runs))}.")
    lines = commands_of((folder.parent.parent for folder in found), packed.values())
    if lines:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        content.items[RUNS] = text.encode()
    about = {
        "pack": PACK_VERSION,
        "fsgan_bench": __version__,
        "weights": weights,
        "cells": sorted(packed.values()),
        "sha256": {
            name: _hash(item) for name, item in sorted(content.items.items()) if name not in listed
        },
    }
    content.items[PACK] = (json.dumps(about, indent=2) + "\n").encode()
    text = _README.format(
        version=__version__, name=out.name, about=PACK, weights=_WITH if weights else _WITHOUT
    )
    content.items["README.md"] = text.encode()
    write_atomic(out, lambda path: _fill(path, content.items))
    return len(packed)


def verify_pack(folder: Path) -> list[str]:
    """What of an unpacked pack is not as it was packed, a clause each; [] of any other folder.

    Raises:
        UserError: its list of checksums cannot be read.
    """
    file = folder / PACK
    sums = read_json(file).get("sha256") if file.exists() else {}
    if sums is None:
        return []
    if not isinstance(sums, dict):
        raise UserError(f"{file} must have a table of checksums as 'sha256'.")
    missing = [f"{name} is missing" for name in sums if not (folder / name).is_file()]
    changed = [
        f"{name} has been changed: its checksum is another"
        for name, expected in sums.items()
        if (folder / name).is_file() and file_hash(folder / name) != expected
    ]
    return missing + changed


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """``path`` itself, or for a zip a temporary folder with its files.

    Raises:
        UserError: the zip is damaged, no pack, or holds names or sizes that it should not.
    """
    if not path.is_file() or path.suffix.lower() != ".zip":
        yield path
        return
    folder = Path(tempfile.mkdtemp(prefix="fsgan-bench-pack-"))
    try:
        _extract(path, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if PACK not in {info.filename for info in infos}:
                raise UserError(f"{path} is no pack of fsgan-bench: it holds no {PACK}.")
            room = max(_LEAST_ROOM, _MOST_TIMES * path.stat().st_size)
            if sum(info.file_size for info in infos) > room:
                raise UserError(f"{path} unpacks to more than {room:,} bytes and is not read.")
            for info in infos:
                name = PurePosixPath(info.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in info.filename:
                    raise UserError(f"{path} names {info.filename!r}, outside of itself.")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read as a pack: {error}.") from None


class _Content:
    """What goes into a pack, by its place there."""

    def __init__(self) -> None:
        self.items: dict[str, bytes | Path] = {}

    def add(self, place: str, found: Iterable[tuple[str, bytes | Path]]) -> None:
        """Add files; raise UserError if others are at their place already."""
        for name, item in found:
            before = self.items.setdefault(f"{place}/{name}", item)
            if before != item and _bytes(before) != _bytes(item):
                raise UserError(
                    f"{place}/{name} is not the same in all of these folders; fsgan-bench merge "
                    "makes one root of them, which can be packed."
                )


def _hash(item: bytes | Path) -> str:
    return hashlib.sha256(item).hexdigest() if isinstance(item, bytes) else file_hash(item)


def _bytes(item: bytes | Path) -> bytes:
    return item if isinstance(item, bytes) else item.read_bytes()


def _shared(files: TaskFiles) -> Iterator[tuple[str, Path]]:
    """All files of a task but its cells, by their place in it."""
    cells = {cell.parent for cell in files.cells()}
    for path in sorted(files.folder.rglob("*")):
        name = path.relative_to(files.folder)
        inside = any(cell in path.parents for cell in cells)
        if path.is_file() and not inside and is_result(path):
            yield name.as_posix(), path


def _cell(files: CellFiles, weights: bool) -> Iterator[tuple[str, bytes | Path]]:
    """A cell's files by their place in it; the manifest says which are left out."""
    folder = files.snapshot(0).parent.name
    manifest = files.read_manifest()
    stored = sorted(path for path in files.folder.rglob("*") if path.is_file() and is_result(path))
    if weights:
        stored += sorted((files.folder / folder).glob("*"))
    for path in dict.fromkeys(stored):
        name = path.relative_to(files.folder).as_posix()
        if (weights or not name.startswith(f"{folder}/")) and path != files.manifest:
            yield name, path
    if manifest is not None:
        sums = {**manifest.left_out, **manifest.sha256}
        present = {n for n in sums if (files.folder / n).is_file() and is_result(Path(n))}
        gone = {n for n in sums if n not in present or not (weights or n.split("/")[0] != folder)}
        document = manifest_without(manifest, gone)
        yield files.manifest.name, (json.dumps(document, indent=2) + "\n").encode()


def _fill(path: Path, content: dict[str, bytes | Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(content):
            item = content[name]
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            if isinstance(item, bytes):
                archive.writestr(info, item)
            else:
                with item.open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
