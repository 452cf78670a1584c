"""A mapping network that is written down: what the codes of ``z`` mean needs no search.

Layer 1 holds two units for each border between two sectors, whose difference is a step across it.
Layer 2 takes differences of steps: one unit a value, near 1 in its sector and near 0 elsewhere.
Layer 3 adds, for a colour that belongs to a part, a unit that is on where both are. Later layers
pass this on, and the last one is fitted to ``w`` by least squares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from fsgan_bench.driver.pretraining.codes import Codes, Embeddings
from fsgan_bench.stylegan2.ops import SQRT2, EqualLinear

LEAK = 0.2
STEEPNESS = 40.0
"""Slope of a step: at the usual length of a pair of coordinates it is a fiftieth of a turn wide."""

SAMPLES = 16_384
RIDGE = 1e-6
FEWEST_LAYERS = 4


@torch.no_grad()
def write_mapping(
    style: nn.Sequential, codes: Codes, embeddings: Embeddings, generator: torch.Generator
) -> Tensor | None:
    """Set the weights of a mapping network to what the codes mean.

    A leaky ReLU ends the network, so it gives ``w`` plus an offset that makes nearly all of it
    positive; :func:`take_back` lets a synthesis network expect that.

    Args:
        style: the mapping network, with random weights; units that are not needed keep theirs.
        codes, embeddings: what it is to compute.
        generator: draws the latents of the least squares.

    Returns:
        The offset [style_dim]; None where the network is too small and was left alone.
    """
    layers = [cast(EqualLinear, layer) for layer in list(style)[1:]]
    width = layers[0].weight.shape[0]
    chosen = _chosen(codes, embeddings, width)
    if len(layers) < FEWEST_LAYERS or len(chosen) < 2:
        return None
    places = _write_sectors(layers[1], codes, _write_steps(layers[0], codes, chosen))
    used = _write_carried(layers[2], codes, places, width)
    for index, layer in enumerate(layers[3:-1]):
        _pass_on(layer, used, offset=1.0 if index == 0 else 0.0)
    return _fit_last(style, layers[-1], codes, embeddings, generator)


@torch.no_grad()
def take_back(weights: Mapping[str, Tensor], offset: Tensor, scale: float) -> dict[str, Tensor]:
    """Weights of a generator for which ``(w + offset) * scale`` has the effect that ``w`` had."""
    changed = dict(weights)
    for name, weight in weights.items():
        if name.endswith(".modulation.weight"):
            bias = name.removesuffix("weight") + "bias"
            effect = weight @ offset.to(weight.device) / math.sqrt(weight.shape[1])
            changed[bias] = weights[bias] - effect
            changed[name] = weight / scale
    return changed


@torch.no_grad()
def shrink_w(style: nn.Sequential, scale: float) -> None:
    """Multiply what a mapping network gives by ``scale``; its last leaky ReLU lets it pass."""
    last = cast(EqualLinear, style[-1])
    last.weight.mul_(scale)
    last.bias.mul_(scale)


def _chosen(codes: Codes, embeddings: Embeddings, width: int) -> list[int]:
    """Attributes that there are units for, those that move ``w`` most first."""
    moved = []
    for index, attribute in enumerate(codes.attributes):
        spread = float(embeddings.of(index).detach().var(dim=0).sum())
        share = 1.0
        if attribute.carrier is not None:
            carrier = codes.attributes[attribute.carrier]
            share = sum(carrier.frequencies[value] for value in attribute.carried_by)
        moved.append(spread * share)
    chosen: list[int] = []
    for index in sorted(range(len(moved)), key=lambda index: -moved[index]):
        needed = sum(len(codes.ends[other]) for other in [*chosen, index])
        carried = sum(
            len(codes.ends[other])
            for other in [*chosen, index]
            if codes.attributes[other].carrier is not None
        )
        if 2 * needed <= width and needed + carried <= width:
            chosen.append(index)
    return chosen


def _assign(layer: EqualLinear, weight: Tensor, bias: Tensor, rows: int) -> None:
    """Let the first ``rows`` units of a layer compute ``weight @ x + bias``."""
    layer.weight[:rows] = weight[:rows] / layer.weight_gain
    layer.bias[:rows] = bias[:rows] / layer.bias_gain


def _write_steps(layer: EqualLinear, codes: Codes, chosen: list[int]) -> dict[int, int]:
    """Two units a border; returns the first unit of each attribute."""
    width = layer.weight.shape[0]
    weight, bias = torch.zeros(width, layer.weight.shape[1]), torch.zeros(width)
    unit, places = 0, {}
    for index in chosen:
        places[index] = unit
        for end in codes.ends[index]:
            angle = (float(end) - 0.5) * 2 * math.pi
            weight[unit : unit + 2, 2 * index] = STEEPNESS * math.cos(angle)
            weight[unit : unit + 2, 2 * index + 1] = -STEEPNESS * math.sin(angle)
            bias[unit], bias[unit + 1] = 0.5, -0.5
            unit += 2
    _assign(layer, weight, bias, unit)
    return places


def _write_sectors(layer: EqualLinear, codes: Codes, steps: dict[int, int]) -> dict[int, int]:
    """One unit a value, in the order of the attribute's values; returns the first of each."""
    width = layer.weight.shape[0]
    weight = torch.zeros(width, width)
    gain = 1 / (SQRT2 * (1 - LEAK)) / SQRT2
    unit, places = 0, {}
    for index, first in steps.items():
        count = len(codes.ends[index])
        for sector, value in enumerate(codes.order[index].tolist()):
            low, high = first + 2 * ((sector - 1) % count), first + 2 * sector
            row = weight[unit + value]
            row[low] += gain
            row[low + 1] -= gain
            row[high] -= gain
            row[high + 1] += gain
        places[index] = unit
        unit += count
    _assign(layer, weight, torch.zeros(width), unit)
    return places


def _write_carried(layer: EqualLinear, codes: Codes, places: dict[int, int], width: int) -> int:
    """Pass the values on, and add units for colours and the parts that show them together."""
    weight, bias = torch.zeros(width, width), torch.zeros(width)
    unit = sum(len(codes.ends[index]) for index in places)
    weight[:unit, :unit] = torch.eye(unit)
    for index, first in places.items():
        carrier = codes.attributes[index].carrier
        if carrier is None or carrier not in places:
            continue
        shown = [places[carrier] + value for value in codes.attributes[index].carried_by]
        for value in range(len(codes.ends[index])):
            weight[unit, first + value] = 1.0
            weight[unit, shown] = 1.0
            bias[unit] = -1.0
            unit += 1
    _assign(layer, weight / SQRT2, bias / SQRT2, unit)
    return unit


def _pass_on(layer: EqualLinear, used: int, offset: float) -> None:
    width = layer.weight.shape[0]
    weight = torch.zeros(width, width)
    weight[:used, :used] = torch.eye(used) / SQRT2
    _assign(layer, weight, torch.full((width,), offset / SQRT2), used)


def _fit_last(
    style: nn.Sequential,
    last: EqualLinear,
    codes: Codes,
    embeddings: Embeddings,
    generator: torch.Generator,
) -> Tensor:
    z = torch.randn(SAMPLES, last.weight.shape[1], generator=generator)
    w = embeddings(codes.decode(z))
    offset: Tensor = 2.5 * w.std(dim=0) - w.mean(dim=0)
    wanted = (w + offset) / SQRT2
    wanted = torch.where(wanted < 0, wanted / LEAK, wanted)
    hidden = torch.cat([style[:-1](z), torch.ones(SAMPLES, 1)], dim=1).double()
    square = hidden.T @ hidden
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    solution = torch.linalg.solve(square, hidden.T @ wanted.double()).float()
    _assign(last, solution[:-1].T, solution[-1], last.weight.shape[0])
    return offset
