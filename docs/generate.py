"""What the site takes from the code and from ``results/reference/``: tables, figures, curves.

``python docs/generate.py`` writes the tables of the pages in ``results/reference/``, of
``docs/faithfulness.md`` and of ``docs/suite-file.md`` again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from method_pages import documented, record, score, settings, standing
from metric_pages import disagreement, facts

from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.results.convergence import plateau
from fsgan_bench.results.reader import load_results
from fsgan_bench.suites.model import AVATARS, PAPER
from fsgan_bench.training.recipe import Recipe

DOCS = Path(__file__).parent
REFERENCE = DOCS.parent / "results" / "reference" / "avatars"
ABLATION = REFERENCE.parent / "ablation" / "avatars"
SHOTS = 10
TARGETS = ("sketches", "watercolours", "sunglasses", "ink")
METHODS = ("tgan", "bsa", "freezed", "minegan", "ewc", "cdc", "dcl")
LINES = ("source", "real", "ideal")
TABLES = {
    "final": {"realisticness": "p_t", "intra_lpips": "intra-LPIPS"},
    "kept": {"correspondence": "to the ideal", "structure": "structure"},
    "survives": {
        "retention_coarse": "coarse",
        "retention_middle": "middle",
        "retention_fine": "fine",
    },
}
"""The columns of each table in the page of the reference results, by the name in its marks."""

SETTINGS = {
    "realisticness": "p_t",
    "intra_lpips": "intra-LPIPS",
    "fd_lite0": "Fréchet distance",
    "structure": "structure",
}
"""The columns of the tables of DCL's settings and of its losses alone."""


def main(out: Path) -> None:
    """Write what the pages include, with the pictures, below ``out``."""
    for folder in ("methods", "metrics"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    scores = compared(load_results(REFERENCE))
    texts = {"results": _results(out), "metrics/facts": facts()}
    texts["metrics/disagreement"] = disagreement(scores, REFERENCE, out / "metrics")
    for name, entry in method_entries().items():
        method = entry.load()
        texts[f"methods/{name}-settings"] = settings(method.Config)
        texts[f"methods/{name}-record"] = record(method)
        texts[f"methods/{name}"] = standing(scores, name, out / "methods")
    for path, text in texts.items():
        (out / f"{path}.md").write_text(text, encoding="utf-8")


def compared(scores: pd.DataFrame) -> pd.DataFrame:
    """What compares methods: finished cells with ``SHOTS`` images, and no ablations.

    Of a method's settings on a target, those with the most seeds.
    """
    done = scores[scores["status"].isin(("", "DONE")) & (scores["shots"] == SHOTS)]
    seeds = done.groupby(["target", "method", "variant"])["seed"].nunique()
    kept = seeds.groupby(["target", "method"]).idxmax()
    keys = pd.MultiIndex.from_frame(done[["target", "method", "variant"]])
    of_those: pd.DataFrame = done.loc[keys.isin(kept)]
    return of_those


def quoting_pages() -> dict[Path, str]:
    """The pages that quote tables, with these made again."""
    scores = compared(load_results(REFERENCE))
    quoted = {
        REFERENCE.parent / "README.md": {
            **{name: _table(scores, columns) for name, columns in TABLES.items()},
            "ablation": _settings(load_results(ABLATION)),
            "judges": _judges(),
            "longer": _longer(),
            "extras": _settings(
                pd.concat([_kept("extras"), scores[scores["target"] == "watercolours"]])
            ),
        },
        DOCS / "suite-file.md": {"recipe": _recipe()},
        DOCS / "faithfulness.md": {"settings": _settings(_kept("settings"))},
    }
    return {page: _filled(page.read_text(encoding="utf-8"), by) for page, by in quoted.items()}


def _longer() -> str:
    """The middle and the end of the longer runs, and how many of their seeds have settled."""
    scores = _kept("longer")
    methods = scores[scores["kind"] == "method"]
    rows = [["", "p_t at 600", "at 1,200", "intra-LPIPS at 600", "at 1,200", "settled seeds"]]
    for name in METHODS:
        ours = methods[methods["method"] == name].sort_values("iteration")
        if ours.empty:
            continue
        shown = [
            score(part["value"].agg(["mean", "std"]))
            for metric in ("realisticness", "intra_lpips")
            for at in (600, 1200)
            for part in [ours[(ours["metric"] == metric) & (ours["iteration"] == at)]]
        ]
        quality = ours[ours["metric"] == "realisticness"].groupby("seed")
        settled = [plateau(each["iteration"], each["value"], each["stderr"]) for _, each in quality]
        title = method_entries()[name].load().title
        rows.append([title, *shown, f"{settled.count('yes')} of {len(settled)}"])
    return _rows(rows)


def _recipe() -> str:
    """What a suite file's recipe may say, with the values of the two bases."""
    told = documented(Recipe)
    rows = [["key", "in `avatars`", "in `paper`", "what it is"]]
    for name, words in told.items():
        values = (getattr(suite.recipe, name) for suite in (AVATARS, PAPER))
        shown = [f"`{str(v).lower()}`" if isinstance(v, bool) else f"{v:g}" for v in values]
        rows.append([f"`{name}`", *shown, words])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|---|---|---|", *lines[1:], ""])


def _judges() -> str:
    """The classifier ablation's table."""
    figures = ABLATION / "watercolours-10shot" / "figures"
    lines = (figures / "classifier_ablation.md").read_text(encoding="utf-8").splitlines()
    return "\n".join([*(line for line in lines if line[:1] == "|"), ""])


def _kept(name: str) -> pd.DataFrame:
    return load_results(REFERENCE.parent / name)


def _filled(text: str, made: Mapping[str, str]) -> str:
    """A page with tables made again, each between its marks."""
    for name, table in made.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n\n")
        _, end, after = rest.partition("\n<!-- end -->")
        assert mark and end, f"the page lacks the marks of {name!r}"
        text = before + mark + table + end + after
    return text


def _settings(scores: pd.DataFrame) -> str:
    """The last snapshots of a method in several settings, a row each."""
    ends = scores[(scores["kind"] == "method") & scores["metric"].isin(SETTINGS)]
    last = ends[ends["iteration"] == ends["iteration"].max()]
    found = last.groupby(["label", "metric"])["value"].agg(["mean", "std"])
    rows = [["", *SETTINGS.values()]]
    for label in found.index.unique("label"):
        rows.append([label, *(score(found.loc[(label, metric)]) for metric in SETTINGS)])
    return _rows(rows)


def _rows(rows: list[list[str]]) -> str:
    """A table in Markdown, with a line break at its end."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:], ""])


def _table(scores: pd.DataFrame, columns: dict[str, str]) -> str:
    """The last snapshots, a row a method and a reference line, columns for each target."""
    ends = scores[scores["metric"].isin(columns)].dropna(subset=["value"])
    last = ends[ends["kind"] == "method"]
    last = last[last["iteration"] == last.groupby("target")["iteration"].transform("max")]
    targets = [target for target in TARGETS if target in set(last["target"])]
    means = pd.concat([last, ends[ends["kind"] == "reference"]]).groupby(
        ["method", "target", "metric"]
    )["value"]
    found = means.agg(["mean", "std"])
    shown = [
        (target, metric)
        for target in targets
        for metric in columns
        if (METHODS[0], target, metric) in found.index
    ]
    heads = [f"{target}: {columns[metric]}" for target, metric in shown]
    rows = [["", *heads]]
    entries = method_entries()
    titles = {name: entries[name].load().title for name in METHODS}
    for name in (*titles, *LINES):
        keys = [(name, *place) for place in shown]
        if any(key in found.index for key in keys):
            cells = [score(found.loc[key]) if key in found.index else "" for key in keys]
            rows.append([titles.get(name, f"*{name}*"), *cells])
    return _rows(rows)


def _results(out: Path) -> str:
    """The page of the reference results, with its figures beside it and the tables of each task."""
    text = (REFERENCE.parent / "README.md").read_text(encoding="utf-8")
    roots = (
        REFERENCE,
        *(REFERENCE.parent / name for name in ("ablation", "extras", "longer", "recipe")),
    )
    drawn = [f for root in roots for f in sorted(root.rglob("figures/**/*"))]
    for figure in (file for file in drawn if file.suffix in (".png", ".webp")):
        relative = figure.relative_to(REFERENCE.parent)
        place = out / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(figure, place)
        text = text.replace(f"]({relative})", f"](_generated/{relative})")
    source = "https://github.com/fsgan-bench/fsgan-bench/blob/main/results/reference"
    for file in (f for f in drawn if f.suffix == ".md"):
        relative = file.relative_to(REFERENCE.parent)
        text = text.replace(f"]({relative})", f"]({source}/{relative})")
    text = text.replace("](../../docs/", "](")
    return text.partition("\n")[2]


if __name__ == "__main__":
    for page, text in quoting_pages().items():
        page.write_text(text, encoding="utf-8")
