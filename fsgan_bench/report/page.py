"""The page: one HTML file with its data, pictures, style and scripts, and no request to a network.

Nothing that comes from a file becomes part of the HTML: it travels as JSON, and the scripts put it
into the page as text. The page's policy lets no script run but those that are in it now.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from fsgan_bench import __version__
from fsgan_bench.report import documents, task
from fsgan_bench.report.sprites import Encoder, Sprite
from fsgan_bench.results.reader import TaskResults
from fsgan_bench.system.files import write_text
from fsgan_bench.system.json_files import without_nan

_ASSETS = resources.files("fsgan_bench") / "assets" / "report"
_STYLES = ("uPlot.min.css", "report.css")
_LIBRARY = "uPlot.iife.min.js"
_SCRIPTS = (
    *("dom.js", "state.js", "looks.js", "curves.js", "path.js", "grid.js", "latent.js"),
    *("tables.js", "documents.js", "main.js"),
)


def write_page(tasks: Sequence[TaskResults], path: Path) -> Path:
    """Write the page of these tasks to ``path``, atomically; UserError for a damaged file."""
    write_text(path, make(tasks))
    return path


def make(tasks: Sequence[TaskResults], encoder: Encoder | None = None, going: str = "") -> str:
    """The page of these tasks.

    ``going`` says until when a run that goes on has been followed; then there is no verdict yet.
    Raises UserError for a damaged file of a run.
    """
    named = list(zip(task.names(tasks), tasks, strict=True))
    sprites, losses = (encoder or Encoder()).encode(
        [sheet for name, results in named for sheet in task.sheets(results, name)]
    )
    content = {
        "version": __version__,
        "going": going,
        "counts": documents.count(tasks),
        "imageNotes": losses,
        "sprites": {
            sprite.name: {"id": f"sprite-{number}", "iterations": sprite.iterations}
            for number, sprite in enumerate(sprites)
        },
        "tasks": [
            task.task_document(results, name)
            | {
                "cards": documents.cards(results),
                "provenance": documents.provenance(results),
                "troubles": documents.troubles(results),
            }
            for name, results in named
        ],
        "verdict": None if going else documents.verdict_document(tasks),
    }
    return page(_title(tasks), content, sprites)


def page(title: str, content: dict[str, Any], sprites: Sequence[Sprite]) -> str:
    """The HTML of a page with this content."""
    style = "\n".join(map(_asset, _STYLES))
    licence = _asset("uPlot.LICENSE").replace("*/", "* /")
    library = f"/*\n{licence}*/\n{_asset(_LIBRARY)}"
    script = '"use strict";\n' + "\n".join(map(_asset, _SCRIPTS))
    policy = (
        f"default-src 'none'; img-src blob: data:; style-src {_digest(style)}; "
        f"script-src {_digest(library)} {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    pictures = "\n".join(
        f'<script type="text/plain" id="sprite-{number}">'
        f"{base64.b64encode(sprite.webp).decode('ascii')}</script>"
        for number, sprite in enumerate(sprites)
    )
    # In JSON "<" can as well be written as its code, and then it cannot end the element.
    data = json.dumps(without_nan(content), separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        policy=policy,
        style=style,
        data=data,
        pictures=pictures,
        library=library,
        script=script,
    )


def _title(tasks: Sequence[TaskResults]) -> str:
    targets = ", ".join(
        dict.fromkeys(results.task.target_title or results.task.target for results in tasks)
    )
    return f"{targets}: few-shot adaptation"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """A script or style that the page's policy allows."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
