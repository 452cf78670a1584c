"""Per-image values: a small file that comes back, and is refused when damaged."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from fsgan_bench.errors import UserError
from fsgan_bench.metrics.per_image import ProbeValues, add_values, choose


def made_up(count: int = 1000) -> ProbeValues:
    generator = np.random.default_rng(0)
    values = {
        "realisticness": np.float16(generator.random(count)),
        "intra_lpips": np.float16(generator.normal(2.7, 0.4, count)),
    }
    values["intra_lpips"][3] = np.nan
    return ProbeValues(np.int16(generator.integers(0, 10, count)), values, {"intra_lpips": "1"})


def test_comes_back_from_a_small_file_that_is_always_the_same(tmp_path: Path) -> None:
    path, again = tmp_path / "probe" / "000700.npz", tmp_path / "again.npz"
    written = made_up()
    written.save(path)
    written.save(again)
    assert path.stat().st_size < 10_000
    assert path.read_bytes() == again.read_bytes()
    read = ProbeValues.load(path)
    np.testing.assert_array_equal(read.cluster, written.cluster)
    for name, each in written.values.items():
        np.testing.assert_array_equal(read.values[name], each)
        assert read.values[name].dtype == np.float16
    assert read.versions == written.versions


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "probe.npz"
    made_up(20).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"probe\.npz is not a file of per-image values"):
        ProbeValues.load(path)
    np.savez(path, cluster=np.array([{"runs": "code"}], dtype=object), versions=np.array("{}"))
    with pytest.raises(UserError, match=r"probe\.npz is not a file of per-image values"):
        ProbeValues.load(path)
    np.savez(path, cluster=np.zeros(3, np.int16), x=np.zeros(4), versions=np.array("{}"))
    with pytest.raises(UserError, match="different lengths"):
        ProbeValues.load(path)


def test_at_most_so_many_of_a_cluster_are_chosen() -> None:
    index = np.repeat([0, 2], [120, 30])
    kept = choose(index, 3, 50, seed=1)
    assert (kept[:120].sum(), kept[120:].sum()) == (50, 30)
    assert not np.array_equal(choose(index, 3, 50, seed=2), kept)


@pytest.mark.parametrize("where", range(60, 400, 20))
def test_bytes_changed_in_the_middle_are_a_sentence(tmp_path: Path, where: int) -> None:
    path = tmp_path / "probe.npz"
    made_up().save(path)
    content = bytearray(path.read_bytes())
    content[where : where + 8] = bytes(8)
    path.write_bytes(bytes(content))
    with contextlib.suppress(UserError):
        ProbeValues.load(path)


def test_further_values_lie_beside_those_of_the_same_images(tmp_path: Path) -> None:
    path = tmp_path / "probe.npz"
    before = made_up()
    before.save(path)
    large = np.linspace(0, 1e6, len(before.cluster))
    add_values(path, {"large": large}, {"large": "1"})
    probe = ProbeValues.load(path)
    assert np.array_equal(probe.cluster, before.cluster)
    assert probe.values.keys() == {*before.values, "large"}
    assert probe.values["large"] == pytest.approx(large, rel=1e-6)
    assert probe.versions["large"] == "1"
