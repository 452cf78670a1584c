"""``fsgan-bench cache``: what is kept between runs, and the way to be rid of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import cloup

from fsgan_bench.cli.console import make_console
from fsgan_bench.errors import UserError, look_up


@cloup.command()
@click.option("--empty", metavar="KIND", help="Delete what is listed under KIND; 'all' for all.")
def cache(empty: str | None) -> None:
    """Show what is kept between runs: drawn images, features, classifiers, paces.

    All of it is made again when it is needed. The folder is ~/.cache/fsgan-bench, or
    $FSGAN_BENCH_CACHE.

    \b
    Example: fsgan-bench cache --empty avatars
    """
    from rich.filesize import decimal
    from rich.table import Table

    from fsgan_bench.data.cache import cache_dir

    folder = cache_dir()
    kinds = {path.name: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    if empty is not None:
        chosen = kinds if empty == "all" else {empty: look_up_kind(empty, kinds, folder)}
        freed = sum(_size(path)[1] for path in chosen.values())
        for path in chosen.values():
            _delete(path)
        click.echo(f"Deleted {', '.join(chosen) or 'nothing'} in {folder}: {decimal(freed)}.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "files", "size"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for name, path in kinds.items():
        files, size = _size(path)
        table.add_row(name, f"{files:,}", decimal(size))
    console = make_console()
    console.print(f"{folder}", highlight=False, soft_wrap=True)
    console.print(table if kinds else "It is empty.", highlight=False)


def look_up_kind(name: str, kinds: dict[str, Path], folder: Path) -> Path:
    """The entry of the cache called ``name``; UserError with a suggestion if there is none."""
    if not kinds:
        raise UserError(f"--empty {name}: the cache {folder} is empty already.")
    return look_up("kind of cache", name, kinds)


def _size(path: Path) -> tuple[int, int]:
    """Files and bytes at or below ``path``."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
