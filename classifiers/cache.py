"""Trained classifiers on disk: one safetensors file each, checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from classifiers.base import Parameters
from fsgan_bench.data.cache import cache_dir
from fsgan_bench.system.files import write_atomic, write_json


def folder_of(digest: str) -> Path:
    """Where the classifier with this hash is kept."""
    return cache_dir() / "classifiers" / digest


def load(digest: str) -> tuple[Parameters, dict[str, Any]] | None:
    """Parameters and card of the classifier with this hash; None if missing or damaged."""
    try:
        with safe_open(folder_of(digest) / "classifier.safetensors", framework="np") as file:
            record = json.loads(file.metadata()["record"])
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card: dict[str, Any] = record["card"]
        intact = record["checksum"] == _checksum(parameters, card)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return (parameters, card) if intact else None


def save(digest: str, parameters: Parameters, card: dict[str, Any]) -> None:
    """Keep a classifier. A folder that cannot be written to only costs the time to train again.

    ``card.json`` beside the parameters is a copy for people.
    """
    whole = {name: values.copy(order="C") for name, values in parameters.items()}
    record = json.dumps({"card": card, "checksum": _checksum(whole, card)})
    with contextlib.suppress(OSError):
        folder = folder_of(digest)
        write_atomic(
            folder / "classifier.safetensors",
            lambda path: save_file(whole, path, metadata={"record": record}),
        )
        write_json(folder / "card.json", card)


def _checksum(parameters: Parameters, card: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for name in sorted(parameters):
        values = parameters[name]
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
