"""What the page of a method says by itself: its settings, its record, and its place in the results.

Settings and their sources are those of the code's docstrings, differences from published code are
rows of ``faithfulness.md``, and the curve is drawn from the reference results.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from fsgan_bench.plugins.settings import described
from fsgan_bench.training.method import Method

RECORD = Path(__file__).with_name("faithfulness.md")
PANELS = ("realisticness", "intra_lpips")
NOTHING = "The reference results hold no finished run of it.\n"
NO_SETTINGS = "It has no settings of its own; the recipe is shared by all methods.\n"


def settings(config: Any) -> str:
    """A row a setting of a method's configuration: its default, what it is and its source."""
    if not is_dataclass(config) or not fields(config):
        return NO_SETTINGS
    told = documented(config)
    lines = ["| setting | default | what it is, and where its value is from |", "|---|---|---|"]
    for field in fields(config):
        lines.append(f"| `{field.name}` | `{field.default!r}` | {told[field.name]} |")
    return "\n".join([*lines, ""])


def documented(config: Any) -> dict[str, str]:
    """What the docstrings of a dataclass say of each attribute, in Markdown."""
    return {n: markdown(words).replace("|", r"\|") for n, words in described(config).items()}


def record(method: type[Method]) -> str:
    """What a method's docstring says, and the rows of ``faithfulness.md`` that are about it."""
    _, _, text = RECORD.read_text(encoding="utf-8").partition("\n## Methods\n")
    head, _, *rows = [line for line in text.partition("\n## ")[0].splitlines() if line]
    ours = [row for row in rows if method.title in row.split(" | ")[0].strip("| ").split(", ")]
    told = markdown(cleandoc(method.__doc__ or ""))
    if not ours:
        return f"{told}\n"
    kept = [line.partition(" | ")[2] for line in (head, *ours)]
    table = ["| " + kept[0], "|---" * 5 + "|", *("| " + row for row in kept[1:])]
    return "\n".join([told, "", *table, ""])


def markdown(text: str) -> str:
    """A docstring's marks of code as those of Markdown."""
    return text.replace("``", "`")


def standing(scores: pd.DataFrame, name: str, out: Path) -> str:
    """A method's last scores by target, and its curves among those of the others."""
    ours = scores[(scores["method"] == name) & scores["metric"].isin(PANELS)]
    if ours.empty:
        return NOTHING
    last = ours[ours["iteration"] == ours.groupby("target")["iteration"].transform("max")]
    means = last.groupby(["target", "metric"])["value"].agg(["mean", "std", "count"])
    lines = ["| target | p_t | intra-LPIPS | seeds |", "|---|---:|---:|---:|"]
    for target in last["target"].unique():
        cells = [means.loc[(target, metric)] for metric in PANELS]
        shown = " | ".join(score(cell) for cell in cells)
        lines.append(f"| {target} | {shown} | {cells[0]['count']:.0f} |")
    _curves(scores, name, out / f"{name}.png")
    picture = f"![{name} among the other methods](../_generated/methods/{name}.png)"
    return "\n".join([picture, "", *lines, ""])


def score(cell: pd.Series) -> str:
    """A mean over seeds with their spread, where there are several."""
    spread = "" if pd.isna(cell["std"]) else f" ± {cell['std']:.2f}"
    return f"{round(cell['mean'], 2) + 0.0:.2f}{spread}"  # no -0.00


def _curves(scores: pd.DataFrame, name: str, path: Path) -> None:
    """Quality and diversity on the first target: this method in colour, the others in grey."""
    target = scores.loc[scores["method"] == name, "target"].iloc[0]
    methods = scores[(scores["target"] == target) & (scores["kind"] == "method")]
    title = methods.loc[methods["method"] == name, "label"].iloc[0]
    names = methods.drop_duplicates("metric").set_index("metric")["title"]
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    for axis, metric in zip(axes, PANELS, strict=True):
        shown = methods[methods["metric"] == metric]
        curves = shown.groupby(["method", "iteration"])["value"].mean().unstack(0)
        for other in curves.columns:
            ours = other == name
            label = title if ours else "other methods"
            colour, order = ("tab:blue", 3) if ours else ("0.8", 2)
            axis.plot(curves.index, curves[other], color=colour, zorder=order, label=label)
        axis.set(title=names[metric], xlabel=f"iterations ({target})")
        axis.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    axes[0].legend(
        [handles[key] for key in sorted(handles, key=lambda k: k != title)],
        sorted(handles, key=lambda k: k != title),
        frameon=False,
        fontsize=8,
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)
