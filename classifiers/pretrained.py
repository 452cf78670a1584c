"""timm networks with pretrained weights that are already on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fsgan_bench.errors import UserError, suggest
from fsgan_bench.features.lite0 import build_lite0
from fsgan_bench.features.weights import WEIGHTS, Weights, find_weights

SHIPPED = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class InputFormat:
    """What a network wants to see: channels minus ``mean`` over ``std`` for values in [0, 1].

    ``size`` (height, width) is None for a network that takes images at their own size.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None

    def prepare(self, batch: Tensor) -> Tensor:
        """Network input for images [N, 3, H, W] in [-1, 1]."""
        if self.size is not None and batch.shape[2:] != self.size:
            batch = functional.interpolate(
                batch, size=self.size, mode="bicubic", antialias=True, align_corners=False
            ).clamp(-1, 1)
        mean = batch.new_tensor(self.mean)[:, None, None]
        std = batch.new_tensor(self.std)[:, None, None]
        return ((batch + 1) / 2 - mean) / std


def pretrained_network(name: str) -> tuple[nn.Module, InputFormat]:
    """The timm network ``name`` with pretrained weights and a new head of one logit.

    Nothing is downloaded (see `model_weights`). The head is zero. Raises UserError for an unknown
    name, for missing weights and for a network without a linear head.
    """
    import timm

    config = _config(name)
    size = tuple(config.input_size[1:]) if config.fixed_input_size else None
    input_format = InputFormat(tuple(config.mean), tuple(config.std), size)
    network: Any
    with torch.random.fork_rng(devices=[]):
        if config.architecture == SHIPPED:
            network = build_lite0()
            network.reset_classifier(1)
        else:
            file = str(find_weights(model_weights(name)))
            network = timm.create_model(
                name, pretrained=True, num_classes=1, pretrained_cfg_overlay={"file": file}
            )
    if not isinstance(network.get_classifier(), nn.Linear):
        raise UserError(f"timm's '{name}' has no linear head, which the classifier needs.")
    with torch.no_grad():
        for parameter in head_of(network).parameters():
            parameter.zero_()
    return network, input_format


def model_weights(name: str) -> Weights:
    """The weights of the timm network ``name``.

    ``tf_efficientnet_lite0`` takes those of the backbone ``lite0``; any other takes a file whose
    hash is not known here. Raises UserError for a name that is unknown or has no weights.
    """
    config = _config(name)
    if config.architecture == SHIPPED:
        return WEIGHTS["lite0"]
    return Weights(
        name=f"timm's '{name}'",
        file=f"{config.architecture}.{config.tag}.safetensors",
        size=None,
        sha256=None,
        url=f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors",
    )


def head_of(network: nn.Module) -> nn.Linear:
    """The last layer of a timm network."""
    timm_network: Any = network
    head: nn.Linear = timm_network.get_classifier()
    return head


def head_input(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """What the head of a timm network sees: [N, 3, H, W] -> [N, d]."""
    timm_network: Any = network

    def features(batch: Tensor) -> Tensor:
        seen: Tensor = timm_network.forward_head(
            timm_network.forward_features(batch), pre_logits=True
        )
        return seen

    return features


def _config(name: str) -> Any:
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model '{name}'.{suggest(name, timm.list_models())}")
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        known = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise UserError(
            f"timm has no weights '{name}'; it has {', '.join(known)}.{suggest(name, known)}"
        ) from None
    if config is None or not config.hf_hub_id:
        raise UserError(f"timm has no pretrained weights for '{name}'.")
    return config
