"""``vgg``, ``alex`` and ``squeeze``: calibrated LPIPS on the networks of the package ``lpips``."""

from __future__ import annotations

import re
import warnings
from importlib import metadata
from typing import get_args

import torch
from torch import Tensor, nn

from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone, Features, lpips_vector, weights_digest
from fsgan_bench.features.names import LpipsName
from fsgan_bench.features.weights import backbone_weights, find_weights

LPIPS_NAMES: tuple[LpipsName, ...] = get_args(LpipsName)

HEADS_DIGESTS: dict[LpipsName, str] = {
    "vgg": "9153a204",
    "alex": "718a8b40",
    "squeeze": "68f1b175",
}
"""`weights_digest` of the linear heads of LPIPS 0.1, which the package ``lpips`` carries."""


def build_lpips(name: LpipsName, seed: int | None = None) -> nn.Module:
    """An ``lpips.LPIPS`` module, version 0.1, with its linear heads, in eval mode.

    The trunk carries torchvision's ImageNet weights, or random ones drawn from ``seed`` if one is
    given. Raises UserError when a file is missing or another (see `weights.find`), or when the
    heads are not as published.
    """
    trunk_file, heads_file = backbone_weights([name])
    path = None if seed is not None else find_weights(trunk_file)
    find_weights(heads_file)
    import lpips

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        if seed is not None:
            torch.manual_seed(seed)
        model: nn.Module = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    check_heads(name, model)
    if path is not None:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        trunk: nn.Module = model.get_submodule("net")
        trunk.load_state_dict(
            {key: stored[re.sub(r"^slice\d+", "features", key)] for key in trunk.state_dict()}
        )
    return model.eval().requires_grad_(False)


def check_heads(name: LpipsName, model: nn.Module) -> None:
    """Refuse an ``lpips.LPIPS`` whose linear heads are not those of Zhang et al. 2018.

    The package loads them without asking whether any name fitted, and a head that was not loaded is
    random but gives plausible distances. Raises UserError.
    """
    found = weights_digest(model.get_submodule("lins"))
    if found != HEADS_DIGESTS[name]:
        raise UserError(
            f"The package lpips {metadata.version('lpips')} with torch {torch.__version__} loads "
            f"linear heads for '{name}' that are not the published ones (digest {found}, expected "
            f"{HEADS_DIGESTS[name]}): install versions of the two that fit each other."
        )


class LpipsNetwork(Backbone):
    """The LPIPS of Zhang et al. 2018 with calibrated linear heads; distances equal ``model``'s.

    Input: [-1, 1] at the images' own size. The pooled features are the spatial mean of the last
    layer LPIPS looks at. ``model`` is an ``lpips.LPIPS`` with linear heads; without one,
    `build_lpips` makes it.
    """

    has_lpips = True

    def __init__(
        self,
        name: LpipsName,
        model: nn.Module | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(device)
        self.name = name
        model = build_lpips(name) if model is None else model
        self.version = f"{name}/1 native-size weights-{weights_digest(model)}"
        model = model.to(memory_format=torch.channels_last).to(self.device)
        self._scaling = model.get_submodule("scaling_layer")
        self._trunk = model.get_submodule("net")
        heads = [
            head.get_parameter("model.1.weight") for head in model.get_submodule("lins").children()
        ]
        self._channel_weights = [weight.flatten() for weight in heads]
        self.pooled_dim = len(self._channel_weights[-1])

    def _forward(self, batch: Tensor) -> Features:
        maps = list(self._trunk(self._scaling(batch)))
        return Features(
            lpips=lpips_vector(maps, self._channel_weights), pooled=maps[-1].mean(dim=(2, 3))
        )
