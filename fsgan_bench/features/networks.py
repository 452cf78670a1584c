"""Backbones by name: ``lite0``, LPIPS's ``vgg``, ``alex`` and ``squeeze``, and two Inceptions."""

from __future__ import annotations

from functools import cache

from fsgan_bench.errors import UserError, suggest
from fsgan_bench.features.backbone import Backbone, Features
from fsgan_bench.features.inception import Inception, InceptionLegacy
from fsgan_bench.features.lite0 import Lite0
from fsgan_bench.features.lpips import LPIPS_NAMES, LpipsNetwork

__all__ = ["BACKBONES", "Backbone", "Features", "load_backbone"]

BACKBONES: tuple[str, ...] = ("lite0", *LPIPS_NAMES, "inception", "inception_legacy")


def load_backbone(name: str, device: str = "cpu") -> Backbone:
    """The backbone ``name`` with its published weights, made once per process and device.

    Nothing is downloaded. Raises UserError for an unknown name, or when a file of weights is
    missing or not the published one (see ``weights``).
    """
    return _load(name, device)


@cache
def _load(name: str, device: str) -> Backbone:
    if name == "lite0":
        return Lite0(device)
    if name == "inception":
        return Inception(device=device)
    if name == "inception_legacy":
        return InceptionLegacy(device=device)
    for lpips_name in LPIPS_NAMES:
        if name == lpips_name:
            return LpipsNetwork(lpips_name, device=device)
    raise UserError(
        f"There is no backbone '{name}'; choose from {', '.join(BACKBONES)}."
        f"{suggest(name, BACKBONES)}"
    )
