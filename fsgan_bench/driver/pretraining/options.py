"""Pretraining as the command line asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from fsgan_bench.data.attributes import attribute_table, attributes_of, has_attributes
from fsgan_bench.data.avatars import DOMAINS, draw, get_domain
from fsgan_bench.data.draws import draw_distinct, others
from fsgan_bench.data.fingerprints import fingerprints_of
from fsgan_bench.data.images import Images
from fsgan_bench.data.sources import find_images
from fsgan_bench.driver.pretraining.adversarial import PretrainConfig, pretrain
from fsgan_bench.driver.pretraining.balancing import BalancingConfig
from fsgan_bench.driver.pretraining.drawing import DrawingConfig
from fsgan_bench.driver.pretraining.mapping import MappingConfig
from fsgan_bench.driver.pretraining.reading import ReadingConfig
from fsgan_bench.driver.pretraining.runs import Say
from fsgan_bench.driver.pretraining.stage import Lesson
from fsgan_bench.driver.pretraining.staged import StagedConfig, pretrain_in_stages
from fsgan_bench.errors import UserError
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import load_source
from fsgan_bench.system import machine
from fsgan_bench.system.locks import Taken, owned
from fsgan_bench.system.paths import exists
from fsgan_bench.training.recipe import Recipe

PRETRAINING_HELD_OUT_START = 1_000_000
"""First index of the held-out images of a built-in domain; no task draws any of them."""

LENGTHS = {"coarse": 2000, "drawing": 4000, "reading": 2000, "mapping": 1000}
"""Iterations of the stages before the last, where nothing else is asked for."""


def pretrain_from_options(
    *,
    data: str,
    out: Path,
    resolution: int,
    n_images: int,
    held_out: int,
    style_dim: int,
    mapping_layers: int,
    channels: str,
    iterations: int,
    batch: int,
    learning_rate: float,
    r1_gamma: float,
    ema_half_life: float,
    evaluate_every: int | None,
    seed: int,
    init: Path | None,
    adversarial: bool,
    lengths: Mapping[str, int],
    threads: int | None,
    device: str,
    say: Say,
) -> Path:
    """:func:`pretrain` as the command line asks for it.

    Raises:
        UserError: an option does not fit, the images cannot be had, or ``out`` is in use.
    """
    machine.prepare(threads or machine.cores(), device)
    try:
        widths = [int(width) for width in channels.split(",")]
        sides = [4 << i for i in range(len(widths))]
        architecture = Architecture(
            resolution, style_dim, mapping_layers, dict(zip(sides, widths, strict=True))
        )
    except ValueError as error:
        raise UserError(f"--resolution {resolution} with --channels {channels}: {error}.") from None
    if resolution < Backbone.min_size:
        raise UserError(
            f"--resolution {resolution}: sources are judged through lite0, which needs images of "
            f"at least {Backbone.min_size} pixels a side."
        )
    start = None if init is None else load_source(init)
    if start is not None and start.pair[0].architecture != architecture:
        raise UserError(
            f"--init {init} has another shape than --resolution, --style-dim, --mapping-layers and "
            f"--channels ask for: {start.generator.architecture}."
        )
    try:
        recipe = Recipe(
            batch=batch,
            learning_rate=learning_rate,
            r1_gamma=r1_gamma,
            path_length_every=0,
            ema_half_life=ema_half_life,
            # Both make up for few images; here there are thousands, and no weight is idle.
            distinct_images=False,
            zero_idle_gradients=False,
        )
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        raise UserError(f"--{field.replace('_', '-')} {rest}.") from None
    from_files = data not in DOMAINS and (exists(data) or Path(data).name != data)
    staged = not (from_files or adversarial or start) and has_attributes(get_domain(data))
    if staged and evaluate_every:
        raise UserError(
            "--evaluate-every is for adversarial training alone; each stage is evaluated ten times."
        )
    if staged:
        with _alone(out):
            return _in_stages(
                data,
                n_images,
                held_out,
                architecture,
                recipe,
                iterations,
                lengths,
                seed,
                out,
                device,
                say,
            )
    if lengths:
        raise UserError(
            f"--stage {next(iter(lengths))} is for a domain whose attributes are known, trained in "
            f"stages: {', '.join(name for name in DOMAINS if has_attributes(DOMAINS[name]))}, "
            "without --adversarial and --init."
        )
    if from_files:
        training, kept = divided(Path(data), resolution, held_out, say)
    else:
        training = draw(data, 0, n_images, resolution)
        kept = draw(data, PRETRAINING_HELD_OUT_START, held_out, resolution)
    config = PretrainConfig(
        architecture,
        recipe,
        iterations,
        seed,
        evaluate_every or 500,
        init=start.hash if start else None,
    )
    with _alone(out):
        return pretrain(training, kept, config, out, init=start, device=device, say=say)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Raise UserError if another process trains into the folder."""
    try:
        with owned(out):
            yield
    except Taken as taken:
        raise UserError(f"--out {out} is in use by {taken}; name another folder.") from None


def divided(path: Path, resolution: int, held_out: int, say: Say) -> tuple[Images, Images]:
    """The images of a set on disk for training and, drawn by contents, those held out of it.

    None of the latter equals one that is trained on, or nearly.

    Raises:
        UserError: there are too few different images.
    """
    files = find_images(path, resolution)
    for note in files.notes:
        say(f"{path}: {note}")
    kept = draw_distinct(files, "held-out", held_out, whole=True)
    if len(kept.chosen) < held_out or kept.available < held_out + 2:
        raise UserError(
            f"{path} holds {kept.available:,} different images, too few to keep {held_out} of "
            "them out of the training; lower --held-out."
        )
    images = files.images(kept.chosen)
    return files.images(others(files, fingerprints_of(images))), images


def _in_stages(
    name: str,
    n_images: int,
    held_out: int,
    architecture: Architecture,
    recipe: Recipe,
    iterations: int,
    lengths: Mapping[str, int],
    seed: int,
    out: Path,
    device: str,
    say: Say,
) -> Path:
    domain, side = get_domain(name), architecture.resolution
    steps = LENGTHS | dict(lengths)
    balancing = BalancingConfig(iterations)
    recipe = replace(
        recipe,
        flip=False,
        style_mixing=balancing.recipe.style_mixing,
        generator_rate=balancing.recipe.generator_rate,
    )
    config = StagedConfig(
        architecture,
        DrawingConfig(steps["coarse"], max(8, side // 2)),
        DrawingConfig(steps["drawing"], side),
        ReadingConfig(steps["reading"]),
        MappingConfig(steps["mapping"]),
        replace(balancing, recipe=recipe),
        seed,
    )
    kept = draw(domain, PRETRAINING_HELD_OUT_START, 2 * held_out, side)
    values = torch.from_numpy(attribute_table(domain, 0, n_images))
    lesson = Lesson(draw(domain, 0, n_images, side), values, attributes_of(domain), architecture)
    return pretrain_in_stages(
        lesson, kept[:held_out], config, out, others=kept[held_out:], device=device, say=say
    )
