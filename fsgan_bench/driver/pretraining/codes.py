"""From attributes to ``w`` and from ``z`` to attributes.

``w`` is the sum of one learnt embedding an attribute value. ``z`` is N(0, I): two of its
coordinates belong to each attribute, and their angle picks the value, on a ring whose sectors are
as wide as the value is frequent and whose neighbours have embeddings close to each other. The
length of the pair and all other coordinates are free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fsgan_bench.data.attributes import ABSENT, Attribute


class Embeddings(nn.Module):
    """One vector an attribute value; values [N, attributes] -> ``w`` [N, style_dim], their sum."""

    def __init__(
        self, attributes: Sequence[Attribute], style_dim: int, deviation: float = 0.5
    ) -> None:
        super().__init__()
        counts = [len(attribute.values) for attribute in attributes]
        self.offsets = [sum(counts[:i]) for i in range(len(counts))]
        self.counts = counts
        self.weight = nn.Parameter(deviation * torch.randn(sum(counts), style_dim))

    def forward(self, values: Tensor) -> Tensor:
        offsets = torch.tensor(self.offsets, device=values.device)
        rows = self.weight[(values.clamp(min=0) + offsets)]
        return (rows * (values != ABSENT)[:, :, None]).sum(dim=1)

    def of(self, attribute: int) -> Tensor:
        """The embeddings [values, style_dim] of one attribute."""
        return self.weight[self.offsets[attribute] :][: self.counts[attribute]]


@dataclass(frozen=True)
class Codes:
    """The rings of all attributes.

    Attributes:
        attributes: what ``z`` decides, two coordinates each, from the first on.
        order: values in the order of their sectors, by attribute.
        ends: where the sectors end, in turns, by attribute.
    """

    attributes: tuple[Attribute, ...]
    order: list[Tensor]
    ends: list[Tensor]

    @classmethod
    def from_embeddings(cls, attributes: tuple[Attribute, ...], embeddings: Embeddings) -> Codes:
        """Rings whose neighbours look alike: a greedy tour through an attribute's embeddings."""
        order, ends = [], []
        for index, attribute in enumerate(attributes):
            tour = torch.tensor(_tour(embeddings.of(index).detach()))
            order.append(tour)
            ends.append(torch.tensor(attribute.frequencies)[tour].cumsum(0))
        return cls(attributes, order, ends)

    @classmethod
    def in_order(cls, attributes: tuple[Attribute, ...]) -> Codes:
        """Rings on which the values stand as the attribute lists them."""
        order = [torch.arange(len(attribute.values)) for attribute in attributes]
        ends = [torch.tensor(attribute.frequencies).cumsum(0) for attribute in attributes]
        return cls(attributes, order, ends)

    def decode(self, z: Tensor) -> Tensor:
        """Values [N, attributes] that ``z`` [N, style_dim] stands for."""
        columns: list[Tensor] = []
        for index, attribute in enumerate(self.attributes):
            turn = torch.atan2(z[:, 2 * index], z[:, 2 * index + 1]) / (2 * math.pi) + 0.5
            sector = torch.bucketize(turn, self.ends[index][:-1], right=True)
            value = self.order[index][sector]
            if attribute.carrier is not None:
                carried = torch.tensor(sorted(attribute.carried_by))
                value = torch.where(torch.isin(columns[attribute.carrier], carried), value, ABSENT)
            columns.append(value)
        return torch.stack(columns, dim=1)

    def encode(self, values: Tensor, style_dim: int, generator: torch.Generator) -> Tensor:
        """Draw ``z`` [N, style_dim] from N(0, I) given that it decodes to ``values``."""
        count = len(values)
        z = torch.randn(count, style_dim, generator=generator)
        inside = torch.rand(count, len(self.attributes), generator=generator)
        for index in range(len(self.attributes)):
            pair = z[:, 2 * index : 2 * index + 2]
            radius = pair.norm(dim=1)
            ends = self.ends[index]
            widths = torch.diff(ends, prepend=ends.new_zeros(1))
            sector = torch.argsort(self.order[index])[values[:, index].clamp(min=0)]
            # Keep off the borders, where rounding decides.
            turn = ends[sector] - widths[sector] * (1e-4 + (1 - 2e-4) * inside[:, index])
            angle = (turn - 0.5) * 2 * math.pi
            coded = torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1)
            present = values[:, index] != ABSENT
            z[:, 2 * index : 2 * index + 2] = torch.where(present[:, None], coded, pair)
        return z


def _tour(points: Tensor) -> list[int]:
    """A way through all points [N, D] that goes on to the nearest one left each time."""
    distances = torch.cdist(points, points)
    tour, left = [0], set(range(1, len(points)))
    while left:
        tour.append(min(left, key=lambda point: float(distances[tour[-1], point])))
        left.remove(tour[-1])
    return tour
