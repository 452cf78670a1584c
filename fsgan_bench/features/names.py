"""Names of backbones and protocols, for modules that load no torch."""

from __future__ import annotations

from typing import Literal

LpipsName = Literal["vgg", "alex", "squeeze"]
LpipsBackbone = Literal["lite0", LpipsName]
FrechetBackbone = Literal[LpipsBackbone, "inception", "inception_legacy"]
IntraProtocol = Literal["exact", "cdc2021"]
ReferenceSet = Literal["held-out", "all"]


INCEPTIONS: tuple[FrechetBackbone, ...] = ("inception", "inception_legacy")
"""Backbones on which a Frechet distance is FID."""


def frechet_name(backbone: str) -> str:
    """What a Frechet distance on ``backbone`` is stored as.

    ``fid`` on ``inception`` (clean-fid's resize), ``fid_legacy`` on ``inception_legacy``
    (pytorch-fid's), ``fd_`` and the backbone's name on any other.
    """
    return {"inception": "fid", "inception_legacy": "fid_legacy"}.get(backbone, f"fd_{backbone}")


UNCALIBRATED: tuple[LpipsBackbone, ...] = ("lite0",)
"""Backbones whose LPIPS is not fitted to human judgements, so that it is on a scale of its own."""
