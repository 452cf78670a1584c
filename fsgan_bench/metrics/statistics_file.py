"""Statistics of real images for FID, as pytorch-fid and clean-fid store them: ``.npz`` files.

Both hold the mean of Inception features as ``mu`` [d] and their covariance as ``sigma`` [d, d].
Which network the features are of no file says: clean-fid's belong to the backbone ``inception``,
pytorch-fid's to ``inception_legacy``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.frechet import FeatureArray, FrechetReference, statistics
from fsgan_bench.system.archives import DAMAGED
from fsgan_bench.system.files import write_atomic

KEYS = ("mu", "sigma")


def read_statistics(path: Path, dimensions: int) -> FrechetReference:
    """Read the reference side of a Frechet distance.

    Args:
        path: the file.
        dimensions: of the features that it is to be compared with.

    Raises:
        UserError: there is no such file, it is damaged, or it holds other statistics.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if missing := [key for key in KEYS if key not in stored]:
                has = ", ".join(map(repr, stored.files[:5])) or "nothing"
                raise UserError(
                    f"{path} holds no statistics for FID: it lacks {missing[0]!r}, and has {has}."
                )
            mean, covariance = (stored[key] for key in KEYS)
        if mean.shape != (dimensions,):
            raise UserError(
                f"The statistics in {path} are of features of {mean.size} dimensions, where the "
                f"backbone's have {dimensions}."
            )
        return FrechetReference.from_statistics(mean, covariance)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no file of statistics {path}.") from None
    except ValueError as error:
        raise UserError(f"The statistics in {path} cannot be used: {error}.") from error
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read as a .npz of statistics: {error}.") from error


def write_statistics(path: Path, features: FeatureArray) -> None:
    """Write mean and covariance of features [N, d] as both packages read them, atomically.

    Raises:
        UserError: ``path`` does not end in ``.npz``.
        ValueError: fewer than two images, or values that are not finite.
    """
    if path.suffix != ".npz":
        raise UserError(f"{path} must end in .npz, as files of statistics do.")
    mean, covariance = statistics(features)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, mu=mean, sigma=covariance)

    write_atomic(path, write)
