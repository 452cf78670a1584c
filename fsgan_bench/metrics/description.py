"""What a reader must know of a metric to show its values; stored with each score.

Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

SCORE_SCHEMA = 2
"""Version of the form of a stored score; 1 had no description."""

MetricKind: TypeAlias = Literal["quality", "diversity", "correspondence", "distance", "further"]
"""What a metric is drawn and tabulated with, in this order in tables."""

KINDS: tuple[MetricKind, ...] = get_args(MetricKind)

Limits: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True)
class MetricDescription:
    """A metric on a backbone, as figures and tables show it.

    Attributes:
        name: the metric's own; that under which scores are stored may hold the backbone too.
        title: what it is called; ``p_t`` in it is set as a formula.
        short: what a narrow column is called.
        details: what follows the title in brackets: the backbone, and what else tells it from
            others of the same title.
        unit: of its values, empty for a pure number.
        higher_is_better: which end is better; None if neither is.
        kind: what it is drawn and tabulated with.
        limits: lowest and highest value it can have; None where there is no limit.
        capped: whether more than real images have is artefact and no merit.
        tabulated: whether the table of final scores has it.
        selects: whether the table of model selection has a row for the snapshot that is best by it.
    """

    name: str
    title: str
    short: str
    details: str = ""
    unit: str = ""
    higher_is_better: bool | None = None
    kind: MetricKind = "further"
    limits: Limits = (None, None)
    capped: bool = False
    tabulated: bool = True
    selects: bool = False

    @property
    def direction(self) -> str:
        """``higher`` or ``lower``, whichever is better; empty if neither is."""
        return {True: "higher", False: "lower", None: ""}[self.higher_is_better]

    @property
    def arrow(self) -> str:
        """Which way is better, as in a heading."""
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]


def unknown(metric: str, backbone: str) -> MetricDescription:
    """Of a metric that is not installed here and was stored without a description."""
    return MetricDescription(name=metric, title=metric, short=metric, details=backbone)
