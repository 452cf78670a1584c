"""Names of backbones and protocols, for modules that load no torch."""

from __future__ import annotations

from typing import Literal

LpipsName = Literal["vgg", "alex", "squeeze"]
LpipsBackbone = Literal["lite0", LpipsName]
FrechetBackbone = Literal[LpipsBackbone, "inception", "inception_legacy"]
IntraProtocol = Literal["exact", "cdc2021"]
