"""``fsgan-bench new-method``: a file, or a package, to write a method in."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

import click
import cloup

from fsgan_bench.cli.options import PATH
from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.plugins.method_files import RESERVED
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.system.files import write_text


@cloup.command(name="new-method")
@click.argument("name")
@click.option("--package", is_flag=True, help="An installable package with entry point and test.")
@click.option(
    "--out", type=PATH, help="File, or folder of the package.  [default: NAME.py, fsgan-bench-NAME]"
)
def new_method(name: str, package: bool, out: Path | None) -> None:
    """Write a plugin file for a method NAME, which works as it stands and passes 'check'.

    \b
    Example: fsgan-bench new-method mine
    """
    values = _values(name)
    if out is None:
        out = Path(values["distribution"] if package else f"{name}.py")
    if out.exists():
        raise UserError(f"{out} exists already; choose another --out.")
    check_folder("--out", out.parent)
    if not package and out.suffix != ".py":
        raise UserError(f"--out {out}: the name of a plugin file ends in .py.")
    module = f"{values['package']}/"
    files = {
        f"{module}{name}.py": "method.py",
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"tests/test_{name}.py": "test_method.py",
    }
    if package:
        for path, template in files.items():
            write_text(out / path, _filled(template, values))
        write_text(out / module / "__init__.py", f'"""{values["title"]} for fsgan-bench."""\n')
        write_text(out / module / "py.typed", "")
        click.echo(f"{out}: pip install -e {out}, then fsgan-bench check {name}")
    else:
        write_text(out, _filled("method.py", values))
        click.echo(f"{out}: fsgan-bench check {name} --plugin {out}")


def _values(name: str) -> dict[str, str]:
    words = [word.capitalize() for word in name.split("_") if word]
    cls = "".join(words)
    fits = re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) and name not in RESERVED
    if not fits or keyword.iskeyword(name) or keyword.iskeyword(cls):
        raise UserError(
            f"'{name}' cannot be a method's name: it takes lower-case letters, digits and _, "
            "starts with a letter, has at most 40 characters and is no word of Python's nor "
            f"{' nor '.join(RESERVED)}."
        )
    if taken := method_entries().get(name):
        raise UserError(f"The method name '{name}' is already taken by {taken.origin}.")
    return {
        "name": name,
        "cls": cls,
        "title": " ".join(words),
        "package": f"fsgan_bench_{name}",
        "distribution": f"fsgan-bench-{name.replace('_', '-')}",
    }


def _filled(template: str, values: dict[str, str]) -> str:
    text = resources.files("fsgan_bench") / "assets" / "new_method" / f"{template}.txt"
    return Template(text.read_text(encoding="utf-8")).substitute(values)
