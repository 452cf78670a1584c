"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import cloup

from fsgan_bench import __version__
from fsgan_bench.cli.cache import cache
from fsgan_bench.cli.check import check
from fsgan_bench.cli.compare import compare
from fsgan_bench.cli.convert import convert
from fsgan_bench.cli.data import data
from fsgan_bench.cli.doctor import doctor
from fsgan_bench.cli.evaluate import evaluate
from fsgan_bench.cli.export import export
from fsgan_bench.cli.generate import generate
from fsgan_bench.cli.listing import list_
from fsgan_bench.cli.merge import merge
from fsgan_bench.cli.new_method import new_method
from fsgan_bench.cli.options import GIVEN, PATH
from fsgan_bench.cli.pack import pack
from fsgan_bench.cli.pretrain import pretrain
from fsgan_bench.cli.report import report
from fsgan_bench.cli.reproduce import reproduce
from fsgan_bench.cli.run import run
from fsgan_bench.cli.score import score
from fsgan_bench.cli.status import status
from fsgan_bench.cli.track import track
from fsgan_bench.cli.verdict import verdict
from fsgan_bench.cli.verify import verify
from fsgan_bench.cli.weights import weights
from fsgan_bench.errors import UserError, check_folder, printable

F = TypeVar("F", bound=Callable[..., Any])

# Threads that spin while they wait lose most of their time on a machine that does other work too;
# OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk may do to a command at any time: it is full, over quota, read-only or broken."""


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _unwinding() -> Iterator[None]:
    """End by SIGTERM as by Ctrl-C, so that no process and no file stays behind; exit code 143."""

    def end(number: int, _frame: object) -> None:
        raise _Terminated

    before = signal.getsignal(signal.SIGTERM)
    ours = threading.current_thread() is threading.main_thread()
    if not ours or before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


class SentenceGroup(cloup.Group):
    """Turns a :class:`UserError` into one sentence and exit code 2, a failing disk into 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # A name that the terminal's encoding lacks is written as escapes, and ends nothing.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with _unwinding():
            return super().main(*args, **kwargs)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        given = list(args)
        context = super().make_context(info_name, args, *more, **extra)
        context.meta[GIVEN] = given
        return context

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            context.exit(2)
        except OSError as error:
            if error.errno in STORAGE:
                click.echo(f"Error: {error}; the same command continues from here.", err=True)
                context.exit(1)
            if error.filename is None:
                raise
            where = printable(str(error.filename))
            click.echo(f"Error: {where} cannot be used: {error.strerror}.", err=True)
            context.exit(2)


@cloup.group(cls=SentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fsgan-bench")
def main() -> None:
    """Compare methods that adapt a pretrained GAN to a few images.

    Every method runs under one driver; every snapshot is scored on one fixed probe batch.
    """


@cloup.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, help="Folder to draw into.  [default: beside each run]")
@click.option(
    "--metrics",
    "names",
    help="Draw these alone, a panel each, as recall,coverage; see fsgan-bench list metrics.",
)
def figures(runs: tuple[Path, ...], out: Path | None, names: str | None) -> None:
    """Redraw figures and tables of RUNS (result folders) from their files alone.

    \b
    Example: fsgan-bench figures results/avatars --metrics recall,coverage
    """
    from fsgan_bench.figures.drawing import draw
    from fsgan_bench.metrics.registry import metric_names

    if out is not None:
        check_folder("--out", out)
    metrics = metric_names(names) if names is not None else []
    for path in draw(list(runs), out, metrics=metrics, say=partial(click.echo, err=True)):
        click.echo(path)


main.section("Adapt and score", run, evaluate, score, reproduce, status)
main.section("Look at results", figures, report, verdict, compare, generate, track)
main.section("Share results", export, merge, pack, verify)
main.section("Bring your own", new_method, check, data, pretrain, convert)
main.section("What there is", list_, weights, cache, doctor)

if __name__ == "__main__":
    main()
