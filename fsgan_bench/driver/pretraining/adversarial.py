"""Training a source model: plain StyleGAN2 on a folder or a built-in domain."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fsgan_bench.data.images import Images, save_grid
from fsgan_bench.driver.pretraining.card import save_comparison
from fsgan_bench.driver.pretraining.runs import (
    Say,
    progress_line,
    recover_run,
    run_card,
    sample_images,
)
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import Source, save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.system.files import write_json
from fsgan_bench.system.provenance import commit
from fsgan_bench.system.states import save_state
from fsgan_bench.training.method import Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session
from fsgan_bench.training.streams import Streams


class Pretraining(Method):
    """Plain StyleGAN2 training: the base method on many images, from random weights."""

    name = "pretraining"
    title = "Pretraining"
    version = "1"
    paper = "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN"


@dataclass(frozen=True)
class PretrainConfig:
    """What decides a pretraining run.

    Attributes:
        architecture: shape of the pair.
        recipe: hyperparameters of the training.
        iterations: length of the run.
        seed: seed of the initial weights and of every draw.
        evaluate_every: iterations between evaluations (sample grid, Frechet distance, saved pair).
        save_every: iterations between saved training states.
        samples: generated images for the Frechet distance.
        init: SHA-256 of the pair that the run starts from; None for random weights.
    """

    architecture: Architecture
    recipe: Recipe
    iterations: int
    seed: int = 0
    evaluate_every: int = 500
    save_every: int = 100
    samples: int = 2000
    init: str | None = None


def pretrain(
    images: Images,
    held_out: Images,
    config: PretrainConfig,
    out: Path,
    *,
    init: Source | None = None,
    device: str = "cpu",
    say: Say = print,
) -> Path:
    """Train a pair on ``images`` and keep the best by Frechet distance to ``held_out``.

    A run that was interrupted continues from ``out/state.pt`` to the same weights, bit for bit.

    Args:
        images: training images, uint8 [N, R, R, 3].
        held_out: images that are not trained on, uint8 [M, R, R, 3].
        config: all hyperparameters.
        out: folder for ``state.pt``, ``grids/``, ``best.safetensors`` with ``best.json``,
            its card, and ``best.png``, its images beside real ones.
        init: pair to start from in place of random weights; ``config.init`` is its hash.
        device: ``cpu`` or ``cuda``.
        say: receives progress lines.

    Returns:
        Path of the best pair.

    Raises:
        UserError: ``out`` holds a run with another config or other images.
    """
    from fsgan_bench.features.networks import load_backbone
    from fsgan_bench.metrics.frechet import FrechetReference

    backbone = load_backbone("lite0")
    reference = FrechetReference(backbone.pooled(held_out))
    card = run_card(asdict(config), images, held_out, free=("iterations", "save_every"))
    session = _new_session(images, config, init, device)
    state_path, best_path = out / "state.pt", out / "best.safetensors"
    records: list[dict[str, float]] = []
    if state := recover_run(out, card["fingerprint"], say):
        session.load_state_dict(state["session"])
        records = state["records"]
        say(f"continuing at iteration {session.iteration}")
    probe = torch.randn(
        config.samples, config.architecture.style_dim, generator=Streams(config.seed)["probe"]
    )
    began, first = time.monotonic(), session.iteration
    while session.iteration < config.iterations:
        losses = session.method.step(session)
        session.iteration += 1
        done = session.iteration
        if done % config.evaluate_every == 0 or done == config.iterations:
            fakes = sample(session, probe)
            distance = reference.distance(backbone.pooled(fakes))
            best = min((record["fd_lite0"] for record in records), default=float("inf"))
            records.append({"iteration": done, "fd_lite0": distance})
            save_grid(fakes[:64], out / "grids" / f"{done:06d}.png", columns=8)
            say(f"iteration {done}: fd_lite0 {distance:.3f}")
            if distance < best:
                now = card | {"iteration": done, "fd_lite0": distance, "commit": commit()}
                averaged: Any = session.averaged["generator"]
                save_source(best_path, averaged, session.discriminator, now)
                write_json(out / "best.json", now | {"history": records})
                save_comparison(fakes, held_out, out / "best.png")
        if done % config.save_every == 0 or done == config.iterations:
            pace = (time.monotonic() - began) / (done - first)
            say(progress_line("iteration", done, config.iterations, pace, losses))
            state = {
                "fingerprint": card["fingerprint"],
                "session": session.state_dict(),
                "records": records,
            }
            save_state(state_path, state)
    return best_path


def sample(session: Session, z: torch.Tensor) -> Images:
    """Images of the averaged generator for ``z``, uint8 [N, R, R, 3]."""
    modules: Mapping[str, Any] = dict(session.averaged.items())
    return sample_images(lambda part: session.method.sample(modules, part), z, session.device)


def _new_session(
    images: Images, config: PretrainConfig, init: Source | None, device: str
) -> Session:
    if init is None:
        with Streams(config.seed).initialising("networks"):
            networks = Generator(config.architecture), Discriminator(config.architecture)
    else:
        networks = init.pair
    return Session(
        Pretraining(),
        *networks,
        images,
        recipe=config.recipe,
        seed=config.seed,
        iterations=config.iterations,
        device=device,
    )
