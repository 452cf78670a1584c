"""``fsgan-bench check``: does a method keep to the contract?"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cloup

from fsgan_bench.cli.options import PLUGIN, show_broken
from fsgan_bench.errors import UserError


@cloup.command()
@click.argument("methods", nargs=-1, required=True, metavar="METHOD...")
@PLUGIN
def check(methods: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Check that each METHOD ('all': the built-in ones) keeps to the contract, in seconds.

    Trains each on tiny networks with its ``tiny`` settings: what changes is what is declared, the
    source stays as it is, the same seed gives the same bytes, a resumed training equals one that
    was never stopped, and a snapshot gives its images back and changes nothing.

    \b
    Example: fsgan-bench check mine --plugin mine.py
    """
    import torch

    from fsgan_bench.contract.run import check_method
    from fsgan_bench.plugins.methods import find_methods, load_methods, method_names

    # Tiny networks are slower on several threads.
    torch.set_num_threads(1)
    entries, broken = find_methods(plugins)
    names = method_names(",".join(methods), entries)
    if not names:
        raise UserError("'none' is no method to check; try 'all'.")
    chosen = load_methods(names, entries, broken)
    show_broken(broken)
    failed = bool(broken)
    for name, method in chosen.items():
        for outcome in check_method(method):
            verdict = "ok" if outcome.problem is None else f"FAILED: {outcome.problem}"
            click.echo(f"{name}: {outcome.check}: {verdict} ({outcome.seconds:.1f} s)")
            failed |= outcome.problem is not None
    sys.exit(1 if failed else 0)
