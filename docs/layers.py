"""Draws the layers of docs/architecture.md from the imports; ``make architecture`` runs it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import grimp

PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- drawn by docs/layers.py -->\n", "<!-- end of the drawing -->\n"
TOPS = ("baselines", "classifiers")


def imports() -> dict[str, set[str]]:
    """The folders of fsgan_bench, and the two packages beside it, that each imports from."""
    graph = grimp.build_graph("fsgan_bench", *TOPS)
    folders = sorted(graph.find_children("fsgan_bench") - {"fsgan_bench.__main__"})
    found: dict[str, set[str]] = {folder.removeprefix("fsgan_bench."): set() for folder in folders}
    found |= {top: set() for top in TOPS}
    for name in (*folders, *TOPS):
        for module in {name, *graph.find_descendants(name)}:
            for imported in graph.find_modules_directly_imported_by(module):
                top, _, rest = imported.partition(".")
                folder = top if top in TOPS else rest.partition(".")[0]
                if folder and folder != name.removeprefix("fsgan_bench."):
                    found[name.removeprefix("fsgan_bench.")].add(folder)
    return found


def reached(folder: str, arrows: dict[str, set[str]]) -> set[str]:
    """Every folder that arrows lead to from ``folder``."""
    below: set[str] = set()
    waiting = [folder]
    while waiting:
        new = arrows[waiting.pop()] - below
        below |= new
        waiting += new
    return below


def shortest(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that a longer way stands for (the transitive reduction)."""
    below = {folder: reached(folder, arrows) for folder in arrows}
    return {
        folder: {end for end in ends if not any(end in below[other] for other in ends - {end})}
        for folder, ends in arrows.items()
    }


def sentence(folder: str) -> str:
    """What a folder says of itself: the first paragraph of its docstring."""
    name = folder if folder in TOPS else f"fsgan_bench.{folder}"
    words = (importlib.import_module(name).__doc__ or "").strip().split("\n\n")[0]
    return re.sub(r"``?(.+?)``?", r"`\1`", " ".join(words.split()))


def drawing() -> str:
    """The Mermaid graph of the folders, the highest first, and the table of what each is for."""
    arrows = imports()
    below = {folder: reached(folder, arrows) for folder in arrows}
    floors = sorted(arrows, key=lambda folder: (-len(below[folder]), folder))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {folder}" for folder in floors]
    for folder in floors:
        lines += [f"    {folder} --> {below}" for below in sorted(shortest(arrows)[folder])]
    lines += ["```", "", "| folder | what is in it |", "|---|---|"]
    lines += [f"| `{folder}` | {sentence(folder)} |" for folder in floors]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with the drawing of today."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{drawing()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    text = page()
    changed = text != PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE}: {'drawn again' if changed else 'as it was'}\n")
