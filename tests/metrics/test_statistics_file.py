"""FID statistics as pytorch-fid and clean-fid store them, read and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.frechet import FrechetReference
from fsgan_bench.metrics.statistics_file import read_statistics, write_statistics


def features(count: int, seed: int, width: int = 6) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + seed


def test_a_distance_to_statistics_is_that_to_the_features(tmp_path: Path) -> None:
    real, fake = features(40, 1), features(30, 2)
    write_statistics(tmp_path / "real.npz", real)
    reference = read_statistics(tmp_path / "real.npz", 6)
    assert reference.count is None
    expected = FrechetReference(real).distance(fake)
    assert reference.distance(fake) == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_dimensions(tmp_path: Path) -> None:
    real, fake = features(4, 1), features(30, 2)
    write_statistics(tmp_path / "real.npz", real)
    expected = FrechetReference(real).distance(fake)
    found = read_statistics(tmp_path / "real.npz", 6).distance(fake)
    assert found == pytest.approx(expected, rel=1e-6)


def test_as_pytorch_fid_reads_and_writes_them(tmp_path: Path) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    real, fake = features(60, 1), features(50, 2)
    write_statistics(tmp_path / "ours.npz", real)
    mu, sigma = fid_score.compute_statistics_of_path(str(tmp_path / "ours.npz"), None, 1, 6, "cpu")
    theirs = np.mean(fake, axis=0), np.cov(fake, rowvar=False)
    expected = fid_score.calculate_frechet_distance(mu, sigma, *theirs)
    assert read_statistics(tmp_path / "ours.npz", 6).distance(fake) == pytest.approx(expected)
    np.savez(tmp_path / "theirs.npz", mu=theirs[0], sigma=theirs[1])
    found = read_statistics(tmp_path / "theirs.npz", 6).distance(real)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"mean": np.zeros(6)}, "lacks 'mu', and has 'mean'"),
        ({"mu": np.zeros(5), "sigma": np.eye(5)}, "of 5 dimensions, where the backbone's have 6"),
        ({"mu": np.zeros(6), "sigma": np.eye(5)}, "a covariance"),
        ({"mu": np.full(6, np.nan), "sigma": np.eye(6)}, "not finite"),
        ({"mu": np.zeros(6), "sigma": -np.eye(6)}, "negative eigenvalues"),
        ({"mu": np.zeros(6), "sigma": np.triu(np.ones((6, 6)))}, "not symmetric"),
    ],
)
def test_other_files(tmp_path: Path, stored: dict[str, object], says: str) -> None:
    np.savez(tmp_path / "x.npz", **stored)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=says):
        read_statistics(tmp_path / "x.npz", 6)


@pytest.mark.parametrize("content", [b"", b"PK", b"text", b"\x80\x04"])
def test_no_statistics_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.npz cannot be (read|used)|cannot be used"):
        read_statistics(tmp_path / "x.npz", 6)
    with pytest.raises(UserError, match="There is no file of statistics"):
        read_statistics(tmp_path / "gone.npz", 6)
    with pytest.raises(UserError, match=r"must end in \.npz"):
        write_statistics(tmp_path / "x.npy", features(4, 1))
