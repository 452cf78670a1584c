"""The check of what a method samples, the part of its contract that scores depend on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from fsgan_bench.contract.trial import ARCHITECTURE, Bench, latents, samples, train
from fsgan_bench.contract.violation import Violation, require
from fsgan_bench.stylegan2.checkpoint import save_modules
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.training.method import check_sample

LARGEST_VALUE = 10.0
"""Of a sample. The tiny networks draw up to 4; images in [0, 255], or of ten times the range that
the scores take, are beyond it."""

SMALLEST_SPREAD = 2 / 255
"""Standard deviation of samples: a level of 8 bits, below which rounding leaves nothing to see."""

LARGEST_ROUNDING = 1e-4
"""Between samples drawn alone and together. Convolutions round differently, by 2e-6, and an
eightieth of a level of 8 bits changes no score."""


def check_sampler(bench: Bench) -> None:
    """Samples are images in about [-1, 1], a function of weights and latent that a file keeps."""
    session = bench.start()
    fresh = samples(session)
    train(session, 3)
    images = samples(session)
    _check_images(images)
    z = latents()
    require(torch.equal(images, samples(session, z)), "sample gives others for the same latents")
    require(torch.equal(z, latents()), "sample changes the latents that it is given")
    alone = torch.cat([samples(session, row) for row in z.split(1)])
    apart = float((images - alone).abs().max())
    require(
        apart < LARGEST_ROUNDING,
        f"a sample depends on those beside it: alone it differs by up to {apart:.2g}",
    )
    require(not torch.equal(images, fresh), "three iterations of training change no sample")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshot.safetensors"
        save_modules(path, session.averaged, {})
        tensors, _ = read_tensors(path)
    another = bench.start(seed=1, setup=False)
    another.averaged.load_state_dict(tensors)
    hint = "; sample must use nothing but the modules it is given"
    same = torch.equal(samples(another), images)
    require(same, f"a stored snapshot gives other images{hint}")


def _check_images(images: torch.Tensor) -> None:
    """Raise Violation unless they are float32 [3, 3, R, R], finite, visible and about in range."""
    wanted = (3, 3, ARCHITECTURE.resolution, ARCHITECTURE.resolution)
    try:
        check_sample(images, wanted)
    except ValueError as error:
        raise Violation(str(error)) from error
    require(bool(images.isfinite().all()), "sample gives values that are not finite")
    largest, spread = float(images.abs().max()), float(images.std())
    require(largest < LARGEST_VALUE, f"sample gives {largest:.0f}; images lie in about [-1, 1]")
    require(
        spread > SMALLEST_SPREAD,
        f"samples spread by {spread:.2g}, less than a level of 8 bits; images lie in about [-1, 1]",
    )
