"""Where commands print their tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def make_console() -> Console:
    """A console that writes plain lines of any length where there is no terminal.

    Text is shown as it is: titles and paths come from files, and neither markup nor control
    characters in them may steer the terminal.
    """
    from rich.console import Console
    from rich.text import Text

    from fsgan_bench.errors import printable

    class PlainText(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **{**options, "markup": False})

    console = PlainText(markup=False, emoji=False)
    return console if console.is_terminal else PlainText(width=160, markup=False, emoji=False)


PATIENCE = 5.0
"""Seconds after which a plan is said to be made: most bad input is found before."""


@contextmanager
def planning(console: Console) -> Iterator[None]:
    """Say that a plan is made while it is; where there is no terminal, once it takes a while."""
    what = (
        "planning: the first time images are drawn and an iteration of each method is timed, "
        "which takes minutes"
    )
    if console.is_terminal:
        with console.status(what):
            yield
        return
    late = threading.Timer(PATIENCE, lambda: click.echo(what, err=True))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


@contextmanager
def preparing(console: Console, target: str) -> Iterator[None]:
    """Say that a target is prepared while it is, which takes minutes the first time."""
    what = f"preparing {target}: images, classifier, reference lines"
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        click.echo(what, err=True)
        yield
