"""How the site is built: ``make docs``; offline, with warnings as errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import Element, SkipNode
from latex2mathml.converter import convert

import fsgan_bench

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "fsgan-bench"
author = copyright = "The fsgan-bench authors"
release = fsgan_bench.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_generated"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Class attributes", "params_style")]
suppress_warnings = ["misc.highlighting_failure"]  # of mermaid, which GitHub draws

html_theme = "furo"
html_title = "fsgan-bench"
html_math_renderer = "mathml"


REPOSITORY = "https://github.com/fsgan-bench/fsgan-bench/blob/main/"
OUTSIDE = re.compile(r"\]\(\.\./(?=baselines|examples|fsgan_bench|classifiers|results|benchmarks)")


def _link_outside(_app: Any, _page: str, source: list[str]) -> None:
    """Links out of the folder of documents lead to the repository."""
    source[0] = OUTSIDE.sub(f"]({REPOSITORY}", source[0])


def _inline(visitor: Any, node: Element) -> None:
    visitor.body.append(convert(node.astext()))
    raise SkipNode


def _block(visitor: Any, node: Element) -> None:
    visitor.body.append(f"<div>{convert(node.astext(), display='block')}</div>")
    raise SkipNode


def setup(app: Any) -> None:
    """Formulas become MathML, which browsers draw: no page asks a network for anything."""
    from generate import main

    app.connect("source-read", _link_outside)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    main(HERE / "_generated")
