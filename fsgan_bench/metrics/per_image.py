"""What a score says of each single image of the probe batch: enough to resample it by.

Every method sees the same latents, so that resampling these, the same for all, compares methods
pair by pair. Loads no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fsgan_bench.errors import UserError
from fsgan_bench.system.archives import DAMAGED
from fsgan_bench.system.files import write_atomic

CDC2021_CLUSTER_LIMIT = 50

NEAREST = "nearest_lpips"
"""LPIPS of an image to its nearest few-shot image: near 0, it is a copy."""

_CLUSTER, _VERSIONS = "cluster", "versions"


@dataclass(frozen=True, eq=False)
class ProbeValues:
    """The N images of a scored batch, in the order of the latents.

    Attributes:
        cluster: index of the nearest few-shot image, int16 [N].
        values: by metric, [N]; float16, or float32 where they are too large for that.
            ``realisticness`` is the probability of the target domain, of which p_t is the mean.
            ``intra_lpips`` is the mean LPIPS to the other members of the cluster, NaN for a single
            one; a cluster's mean over its pairs is their mean.
            ``NEAREST`` is no metric: the LPIPS to the few-shot image that ``cluster`` names.
        versions: of these metrics, as their scores give them; of ``NEAREST`` its backbone's.
    """

    cluster: NDArray[np.int16]
    values: Mapping[str, NDArray[np.floating[Any]]]
    versions: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file, atomically: about 5 KB for 1,000 images."""
        arrays: dict[str, Any] = {name: _small(each) for name, each in self.values.items()}
        arrays[_CLUSTER] = self.cluster.astype(np.int16)
        arrays[_VERSIONS] = np.array(json.dumps(dict(self.versions)))
        write_atomic(path, lambda temporary: np.savez_compressed(temporary, **arrays))

    @classmethod
    def load(cls, path: Path) -> ProbeValues:
        """Read what :meth:`save` wrote; runs no code from the file.

        Raises:
            UserError: it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            cluster, versions = arrays.pop(_CLUSTER), json.loads(str(arrays.pop(_VERSIONS)))
        except DAMAGED as error:
            raise UserError(f"{path} is not a file of per-image values: {error}.") from None
        if any(each.shape != cluster.shape for each in arrays.values()) or cluster.ndim != 1:
            raise UserError(f"{path} holds arrays of different lengths.")
        return cls(cluster, arrays, versions)


def add_values(
    path: Path, values: Mapping[str, NDArray[np.floating[Any]]], versions: Mapping[str, str]
) -> None:
    """Save values [N] of further metrics, with their versions, in the file of the same images."""
    before = ProbeValues.load(path)
    more = {**before.values, **values}, {**before.versions, **versions}
    ProbeValues(before.cluster, *more).save(path)


def _small(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    with np.errstate(over="ignore"):
        half: NDArray[np.floating[Any]] = values.astype(np.float16)
    kept = np.array_equal(np.isfinite(half), np.isfinite(values))
    return half if kept else values.astype(np.float32)


def choose(
    index: NDArray[np.integer[Any]], clusters: int, limit: int, seed: int = 0
) -> NDArray[np.bool_]:
    """Mask [N] of at most ``limit`` members of each cluster, drawn without replacement."""
    generator = np.random.default_rng(seed)
    kept = np.zeros(len(index), dtype=bool)
    for cluster in range(clusters):
        members = generator.permutation(np.flatnonzero(index == cluster))
        kept[members[:limit]] = True
    return kept
