"""What draws images: a cell's snapshot or a checkpoint, with truncation and layer noise chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from fsgan_bench.data.images import Images, to_uint8
from fsgan_bench.driver.probe import sample_batch
from fsgan_bench.errors import UserError
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CELL, CellFiles
from fsgan_bench.results.records import CellFields
from fsgan_bench.snapshots.latents import StoredLatents
from fsgan_bench.snapshots.restore import stored_sampler, stored_task
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.stylegan2.networks import Generator, Synthesis
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.files import file_hash
from fsgan_bench.training.method import Method, check_sample
from fsgan_bench.training.streams import Streams

LayerNoise = Literal["fixed", "fresh"]
"""The buffers of the snapshot, as scoring takes them, or drawn anew for each image."""

LAYER_NOISES: tuple[LayerNoise, ...] = get_args(LayerNoise)

TRUNCATION_LATENTS = 4096
"""Whose mean ``w`` truncation pulls towards, as in the rosinality code's ``mean_latent(4096)``."""

_TRUNCATION_SEED = 0


@dataclass(frozen=True, eq=False)
class Sampler:
    """Something to draw with.

    Attributes:
        title: what pictures call it.
        method, modules: as :meth:`fsgan_bench.training.method.Method.sample` takes them.
        device: where they are.
        iteration: of its training; None if it is not known.
        record: what a manifest says of it: its file with the SHA-256, and its cell.
    """

    title: str
    method: Method
    modules: Mapping[str, nn.Module]
    device: str
    iteration: int | None
    record: Mapping[str, Any]

    @property
    def generator(self) -> Generator:
        return cast(Generator, self.modules["generator"])

    @property
    def style_dim(self) -> int:
        return self.generator.architecture.style_dim

    @property
    def resolution(self) -> int:
        return self.generator.architecture.resolution

    def draw(
        self, latents: StoredLatents, truncation: float = 1.0, noise: LayerNoise = "fixed"
    ) -> Iterator[Images]:
        """Images of the latents, in batches uint8 [B, R, R, 3].

        ``truncation`` psi scales the distance of each ``w`` to the mean one; ``fresh`` layer noise
        is drawn for each image from its own seed, so that it is the same in any batch.
        """
        if latents.z.shape[1] != self.style_dim:
            raise UserError(
                f"{self.title} takes latents of {self.style_dim} numbers, and these have "
                f"{latents.z.shape[1]}: the noise of another cannot be its own."
            )
        mean = self._mean_w() if truncation != 1.0 else None
        size = sample_batch(self.resolution)
        for start in range(0, len(latents.z), size):
            chosen = slice(start, start + size)
            z = latents.z[chosen].to(self.device)
            layers = None if noise == "fixed" else self._fresh_noise(latents.seeds[chosen])
            with torch.inference_mode(), _steered(self.generator, truncation, mean, layers):
                sampled = self.method.sample(self.modules, z)
                check_sample(sampled, (len(z), 3, self.resolution, self.resolution))
                yield to_uint8(sampled)

    def _mean_w(self) -> Tensor:
        z = torch.randn(
            TRUNCATION_LATENTS, self.style_dim, generator=Streams(_TRUNCATION_SEED)["truncation"]
        )
        with torch.inference_mode():
            return self.generator.mean_w(z.to(self.device))

    def _fresh_noise(self, seeds: Sequence[int]) -> list[Tensor]:
        each = [self.generator.fresh_noise(1, Streams(seed)["layer_noise"]) for seed in seeds]
        return [torch.cat(layer) for layer in zip(*each, strict=True)]


class _steered:
    """Meanwhile all that the generator synthesises has this truncation and this layer noise.

    Samplers reach it through ``forward`` or by styles of their own; all pass ``synthesise``.
    """

    def __init__(
        self,
        generator: Generator,
        truncation: float,
        mean: Tensor | None,
        layers: list[Tensor] | None,
    ) -> None:
        self.generator = generator
        plain: Callable[..., Synthesis] = generator.synthesise

        def truncated(w: Tensor) -> Tensor:
            return w if mean is None else torch.lerp(mean[:, None].expand_as(w), w, truncation)

        def synthesise(
            w: Tensor,
            *,
            noise: list[Tensor] | None = None,
            features: bool = False,
            rgb: Tensor | None = None,
        ) -> Synthesis:
            noise = layers if noise is None else noise
            rgb = None if rgb is None else truncated(rgb)
            return plain(truncated(w), noise=noise, features=features, rgb=rgb)

        self.synthesise = synthesise

    def __enter__(self) -> None:
        self.generator.__dict__["synthesise"] = self.synthesise

    def __exit__(self, *_: object) -> None:
        del self.generator.__dict__["synthesise"]


def load_sampler(
    path: Path,
    iteration: int | None = None,
    *,
    suite: str | None = None,
    data: Path | None = None,
    plugins: Sequence[Path] = (),
    device: str = "cpu",
) -> Sampler:
    """The sampler of a cell's folder, of a snapshot in one, or of a checkpoint.

    Args:
        path: the folder of a cell, a file in its ``snapshots``, or a checkpoint as
            :func:`fsgan_bench.stylegan2.checkpoint.load_source` takes it.
        iteration: of the cell's snapshot, by default the last that is stored.
        suite, data: where the cell's suite is, if its sampler is no plain generator.
        plugins: plugin files with the cell's method.
        device: to draw on.

    Raises:
        UserError: there is no such cell, snapshot or checkpoint, or it cannot be read.
    """
    if not path.exists():
        raise UserError(f"There is no cell or checkpoint at {path}.")
    if (path / CELL).is_file():
        stored = stored_iterations(CellFiles(path))
        at = stored[-1] if iteration is None else iteration
        if at not in stored:
            raise UserError(
                f"{path} stores no snapshot of iteration {at}; it has {_listed(stored)}."
            )
        return _of_cell(CellFiles(path), at, suite, data, plugins, device)
    if path.is_dir():
        raise UserError(
            f"{path} is not a cell's folder, as it holds no cell.json; name one such as "
            f"{_example(path)}, a snapshot in it, or a checkpoint."
        )
    if iteration is not None:
        raise UserError(f"--iteration names a snapshot of a cell, and {path} is a file.")
    files = CellFiles(path.parent.parent)
    if path.parent.name == "snapshots" and path.stem.isdigit() and files.cell.is_file():
        return _of_cell(files, int(path.stem), suite, data, plugins, device)
    generator = load_networks(path).generator
    record = {"file": str(path), "sha256": file_hash(path)}
    modules = {"generator": generator.to(device)}
    return Sampler(path.stem, Method(), modules, device, None, record)


def holds_images_alone(folder: Path) -> bool:
    """Whether a path is a cell of images that were made elsewhere."""
    snapshots = CellFiles(folder).snapshot(0).parent
    return any(snapshots.glob("*.zip")) and not any(snapshots.glob("*.safetensors"))


def stored_iterations(files: CellFiles) -> list[int]:
    """The iterations of a cell's stored snapshots, ascending.

    Raises:
        UserError: none is stored.
    """
    snapshots = files.snapshot(0).parent.glob("*.safetensors")
    stored = sorted(int(path.stem) for path in snapshots if path.stem.isdigit())
    if not stored:
        raise UserError(f"{files.folder} stores no snapshots, so nothing can be drawn from it.")
    return stored


def _of_cell(
    files: CellFiles,
    iteration: int,
    suite: str | None,
    data: Path | None,
    plugins: Sequence[Path],
    device: str,
) -> Sampler:
    stored = read_cell(files)
    cell, snapshot = stored.cell, files.snapshot(iteration)
    if not snapshot.is_file():
        raise UserError(f"There is no snapshot {snapshot}.")
    method: Method = Method()
    modules: dict[str, nn.Module]
    if is_plain(cell, snapshot, plugins):
        modules = {"generator": load_networks(snapshot).generator.to(device)}
    else:
        try:
            task = stored_task(files.folder.parent.parent, cell, suite, data, device)
            method, modules, _ = stored_sampler(task, cell, snapshot, plugins)
        except UserError as error:
            raise UserError(f"{files.folder}: {error}") from None
    record = {
        "file": str(snapshot),
        "sha256": file_hash(snapshot),
        "cell": stored.hash,
        "iteration": iteration,
        **{key: getattr(cell, key) for key in ("suite", "target", "shots", "method", "seed")},
    }
    return Sampler(stored.title, method, modules, device, iteration, record)


def is_plain(cell: CellFields, snapshot: Path, plugins: Sequence[Path] = ()) -> bool:
    """Whether a cell's sampler is a generator and nothing else, so that its file says it all.

    Raises:
        UserError: the file is damaged.
    """
    entry = method_entries(plugins).get(cell.method)
    if entry is not None and entry.load().sample is not Method.sample:
        return False
    try:
        names = read_tensors(snapshot)[0]
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{snapshot} cannot be read: {error}.") from None
    return all(name.startswith("generator.") and ".parametrizations." not in name for name in names)


def _example(folder: Path) -> str:
    cell_file = next(folder.rglob(CELL), None)
    return str(cell_file.parent if cell_file else folder / "tgan" / "seed0-...")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
