"""The defaults of the seven methods, each with where it comes from, and who is rehearsed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from fsgan_bench.contract.trial import ARCHITECTURE, RECIPE
from fsgan_bench.driver.memory import rehearse
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.cell import Cell

METHODS = {name: entry.load() for name, entry in method_entries().items() if not entry.third_party}

# Of Ojha et al. 2021's code: the anchors' period and noise, and 32x32 maps at 256x256.
RELAXED_REALISM = {
    "patch_features": "published",
    "patch_head": "published",
    "anchor_every": 4,
    "anchor_noise": 0.1,
    "patch_downscales": (8,),
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "tgan": {},
    # As the few-shot literature applies it; the weights of the supervised objective are ours.
    "bsa": {
        "objective": "adversarial",
        "perceptual_backbone": "lite0",
        "perceptual_weight": 1.0,
        "latent_weight": 0.1,
        # Of Noguchi & Harada 2019's code: noise, draws, and a rate that falls to a fifth.
        "latent_noise": 0.01,
        "prior_draws": 10,
        "learning_rate": 0.03,
        "decay": 0.2,
        "decay_every": 3000,
    },
    # ``feature_loc=3`` of Mo et al. 2020's code at 256x256.
    "freezed": {"trains_from": 16},
    # Wang et al. 2020's code mines for 1,000 iterations at 256x256; the share is ours.
    "minegan": {"mining_fraction": 0.2},
    # The strength is Li et al. 2020's; samples and reduction are ours.
    "ewc": {"strength": 5e8, "fisher_samples": 200, "reduction": "mean"},
    # Ojha et al. 2021.
    "cdc": {**RELAXED_REALISM, "distance_weight": 1000.0, "distance_batch": 4},
    # Zhao et al. 2022, Eq. 6 and 8; whose weights Eq. 7 moves and ``max_real`` are ours.
    "dcl": {
        **RELAXED_REALISM,
        "lambda1": 2.0,
        "lambda2": 0.5,
        "tau": 0.07,
        "discriminator_cl_updates": "generator",
        # The features are those of the authors' model file; one layer a batch is ours.
        "discriminator_features": "published",
        "layers_drawn": "batch",
        "max_real": 10,
    },
}


def test_every_method_is_listed() -> None:
    assert METHODS.keys() == DEFAULTS.keys()


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_the_published_ones(name: str) -> None:
    assert asdict(METHODS[name].Config()) == DEFAULTS[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_its_memory_is_predicted_by_rehearsing_itself(name: str) -> None:
    """On a device other than the CPU, and within the operations that a set-up may take."""
    method = METHODS[name]
    small = {"patch_downscales": (2,)} if "patch_downscales" in DEFAULTS[name] else {}
    cell = Cell(
        *("suite", "target", 4, name, method.title, method.paper, method.version, None),
        *(asdict(build_config(method, small)), 0, 450, (0, 450), RECIPE, "", ""),
    )
    assert rehearse(cell, method, ARCHITECTURE, 4).own
