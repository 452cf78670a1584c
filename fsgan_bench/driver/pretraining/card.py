"""What a source model's card says: scores beside those of real images, and how it adapts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fsgan_bench.data.images import Images, save_grid, to_uint8
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.manifold import Manifolds
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.method import Method
from fsgan_bench.training.recipe import Recipe
from fsgan_bench.training.session import Session

MOMENTS = (50, 100, 200, 400)
"""Iterations of adaptation at which the card shows what became of the source's faces."""


class Standard:
    """What generated images are held to: real ones that nothing was trained on.

    Args:
        held_out: real images, uint8 [N, R, R, 3].
        others: N other real images, for what real images score; None if there are no more.
    """

    def __init__(self, held_out: Images, others: Images | None) -> None:
        self._backbone = load_backbone("lite0")
        self._real = self._backbone.pooled(held_out)
        self._others = None if others is None else self._backbone.pooled(others)
        self.reference = FrechetReference(self._real)

    def distance(self, fakes: Images) -> float:
        """Frechet distance of ``fakes`` on ``lite0``."""
        return self.reference.distance(self._backbone.pooled(fakes))

    def scores(self, fakes: Images) -> dict[str, dict[str, float]]:
        """Scores of ``fakes`` and, if there are others, of real images in their place."""
        sets = {"model": self._backbone.pooled(fakes)}
        if self._others is not None:
            sets["real_images"] = self._others
        return {name: self._score(features) for name, features in sets.items()}

    def _score(self, features: torch.Tensor) -> dict[str, float]:
        manifolds = Manifolds(self._real, features)
        return {
            "fd_lite0": self.reference.distance(features),
            "precision": float(manifolds.precision().mean()),
            "recall": float(manifolds.recall().mean()),
            "density": float(manifolds.density().mean()),
            "coverage": float(manifolds.coverage().mean()),
        }


class _Plain(Method):
    """Plain fine-tuning, which TGAN is."""

    name = "plain"
    title = "TGAN"
    version = "1"
    paper = "Wang et al. 2018, Transferring GANs: generating images from limited data"


def save_adaptation(
    path: Path,
    generator: Generator,
    discriminator: Discriminator,
    few_shot: Images,
    *,
    recipe: Recipe | None = None,
    moments: Sequence[int] = MOMENTS,
    faces: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Save a grid of what plain fine-tuning makes of a pair: faces that change, or texture.

    From the top: the few-shot images, the source's faces, and the same latents at each of the
    ``moments``, drawn by the weights of that moment.

    Args:
        path: PNG file.
        generator, discriminator: the pair, which stays as it is.
        few_shot: images to adapt to, uint8 [M, R, R, 3].
        recipe: hyperparameters; the published ones by default.
        moments: iterations, ascending.
        faces: images a row.
        seed: of the training and of the latents shown.
        device: ``cpu`` or ``cuda``.
    """
    session = Session(
        _Plain(),
        generator,
        discriminator,
        few_shot,
        recipe=recipe or Recipe(),
        seed=seed,
        iterations=max(moments),
        device=device,
    )
    session.prepare()
    z = session.normal("shown", faces, session.architecture.style_dim)
    blank = np.full((max(0, faces - len(few_shot)), *few_shot.shape[1:]), 255, np.uint8)
    rows = [np.concatenate([few_shot[:faces], blank]), _faces(session, z)]
    for moment in moments:
        while session.iteration < moment:
            session.method.step(session)
            session.iteration += 1
        rows.append(_faces(session, z))
    save_grid(np.concatenate(rows), path, columns=faces)


def save_comparison(fakes: Images, real: Images, path: Path, most: int = 48) -> None:
    """Save a grid: up to ``most`` generated images on the left, as many real ones on the right."""
    count = min(len(fakes), len(real), most)
    columns = min(8, count)
    rows = count // columns
    shape = (rows, columns, *fakes.shape[1:])
    halves = [images[: rows * columns].reshape(shape) for images in (fakes, real)]
    gap = np.full_like(halves[0][:, :1], 255)
    tiles = np.concatenate([halves[0], gap, halves[1]], axis=1)
    save_grid(tiles.reshape(-1, *fakes.shape[1:]), path, columns=2 * columns + 1)


@torch.no_grad()
def _faces(session: Session, z: torch.Tensor) -> Images:
    modules: dict[str, Any] = dict(session.generator_side.items())
    return to_uint8(session.method.sample(modules, z))
