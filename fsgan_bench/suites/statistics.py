"""FID statistics of a set of images, for other code and for targets without their images."""

from __future__ import annotations

from pathlib import Path

from fsgan_bench.data.draws import others
from fsgan_bench.data.entries import images as counted
from fsgan_bench.data.fingerprints import Fingerprints
from fsgan_bench.data.sources import find_images
from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.features.networks import load_backbone
from fsgan_bench.metrics.statistics_file import write_statistics
from fsgan_bench.system.machine import check_device


def make_statistics(images: Path, file: Path, backbone: str, size: int, device: str) -> list[str]:
    """Write the statistics of all different images of a set, read at ``size`` x ``size`` pixels.

    Returns:
        Lines for the user.

    Raises:
        UserError: the images or the network's weights cannot be had, there are fewer than two
            images, or ``file`` exists or does not end in ``.npz``.
    """
    check_device(device)
    if file.suffix != ".npz":
        raise UserError(f"{file} must end in .npz, as files of statistics do.")
    if file.exists():
        raise UserError(f"{file} exists already; name a new file.")
    check_folder(str(file), file.parent)
    network = load_backbone(backbone, device)
    if size < network.min_size:
        raise UserError(
            f"--size {size}: {backbone} needs images of at least {network.min_size} pixels a side."
        )
    files = find_images(images, size)
    chosen = others(files, Fingerprints.none())
    if len(chosen) < 2:
        raise UserError(f"{images} holds {counted(len(chosen))}, and statistics take two at least.")
    write_statistics(file, network.pooled(files.images(chosen)))
    notes = [f"{images}: {note}" for note in files.notes]
    return [*notes, f"{file}: {backbone} statistics of {counted(len(chosen))} at {size}x{size}"]
