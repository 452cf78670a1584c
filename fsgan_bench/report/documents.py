"""What the page says beside scores: cards, provenance, failures and the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsgan_bench.analysis import verdict
from fsgan_bench.analysis.document import to_json
from fsgan_bench.errors import UserError, printable
from fsgan_bench.results.commands import commands
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import DONE, FAILED, UNFINISHED, TaskResults
from fsgan_bench.system.json_files import numbered_lines, read_json, read_text

_SOURCE_FACTS = ("name", "title", "origin", "licence", "iteration", "fd_lite0")
_HELD_OUT = ("accuracy", "auc", "accuracy_vs_source", "auc_vs_source", "brier", "ece")


def cards(results: TaskResults) -> list[dict[str, Any]]:
    """The cards of a task's source and of its classifier."""
    source = results.task.source
    facts = _facts(source.card, *_SOURCE_FACTS) | {"hash": source.hash}
    content: Mapping[str, Any] = {"hash": source.hash, **source.card}
    found = [{"title": "Source generator", "facts": facts, "content": content}]
    if results.files.classifier.exists():
        card = read_json(results.files.classifier)
        held_out = card.get("held_out")
        facts = _facts(card, "name", "backbone")
        facts |= _facts(held_out, *_HELD_OUT) if isinstance(held_out, dict) else {}
        found.append({"title": "Realisticness classifier", "facts": facts, "content": card})
    return found


def _facts(card: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of a card's entries that are words or numbers."""
    known = {name: card.get(name) for name in names}
    return {
        name.replace("_", " "): value
        for name, value in known.items()
        if isinstance(value, (str, int, float)) and value == value
    }


def provenance(results: TaskResults) -> dict[str, Any]:
    """Where a task's cells come from: what all have in common, and each cell."""
    task = results.task
    hashes = {
        **task.made_with,
        "reference images": task.reference_hash,
        "probe batch": task.probe_hash,
    }
    given = commands(results.folder.parent.parent)
    made: dict[str, list[str]] = {}
    cells = []
    for cell in results.cells.itertuples(index=False):
        record = read_cell(CellFiles(Path(str(cell.folder))))
        origin = record.provenance.model_dump(exclude={"form"})
        if record.hash in given:
            origin["command"] = given[record.hash]
        made.setdefault(json.dumps(origin, sort_keys=True), []).append(_name(cell))
        cells.append(
            {
                "name": _name(cell),
                "status": str(cell.status),
                "hash": str(cell.hash),
                "training": _seconds(cell.training_seconds),
                "scoring": _seconds(cell.scoring_seconds),
                "paper": record.cell.paper,
                "specification": record.cell.stored,
            }
        )
    return {
        "hashes": {name: value for name, value in hashes.items() if value},
        "made": [{"cells": names, "content": json.loads(text)} for text, names in made.items()],
        "cells": cells,
    }


def troubles(results: TaskResults) -> list[dict[str, Any]]:
    """What failed, is unfinished or outdated, and why; and what else cells have to say."""
    found = []
    for cell in results.cells.itertuples(index=False):
        files = CellFiles(Path(str(cell.folder)))
        trace = ""
        if cell.status == FAILED:
            trace = printable(read_text(files.failed).strip().partition("\n")[2].strip())
        said = []
        if files.notes.exists():
            for _, line in numbered_lines(files.notes, whole=False):
                said.append(f"iteration {line.get('iteration')}: {line.get('note')}")
        if cell.status != DONE or said:
            found.append(
                {
                    "name": _name(cell),
                    "status": str(cell.status).lower(),
                    "reason": str(cell.reason),
                    "trace": trace,
                    "said": [printable(text) for text in said],
                }
            )
    return found


def count(tasks: Sequence[TaskResults]) -> dict[str, int]:
    """How many cells there are of each status."""
    statuses = [str(status) for results in tasks for status in results.cells["status"]]
    names = {DONE: "finished", FAILED: "failed", UNFINISHED: "unfinished"}
    return {names.get(status, status): statuses.count(status) for status in dict.fromkeys(statuses)}


def verdict_document(tasks: Sequence[TaskResults]) -> dict[str, Any]:
    """The verdict on the paper's observations, or why there is none."""
    try:
        result = verdict.verdict(tasks)
    except UserError as error:
        return {"observations": [], "sections": [], "why": str(error)}
    return {
        "observations": [
            {"name": each["name"], "statement": each["statement"], "verdict": each["verdict"]}
            for each in to_json(result)["observations"]
        ],
        "sections": [
            {
                "heading": section.heading,
                "paragraphs": section.paragraphs,
                "rows": [
                    [{"text": text.strip("*"), "best": text.startswith("**")} for text in row]
                    for row in section.rows
                ],
            }
            for section in verdict.sections(result)
        ],
    }


def _name(cell: Any) -> str:
    return f"{cell.label}, seed {cell.seed}"


def _seconds(value: Any) -> float | None:
    return round(float(value), 1) if float(value) == float(value) else None
