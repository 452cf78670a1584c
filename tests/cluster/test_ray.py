"""Cells through a real Ray of two nodes, one of which is killed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.system.machine import cores

from .conftest import WAIT, Start, cells, content
from .slurm_cluster import wait_for

LOOPBACK = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    # 0 makes Ray call itself 127.0.0.1, on Linux too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A Ray whose head has no processor to give, and two nodes with one each."""
    pytest.importorskip("ray", reason="no Ray here: pip install 'fsgan-bench[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOOPBACK.items():
            patch.setenv(name, value)
        folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        patch.setenv("RAY_TMPDIR", folder)
        from ray.cluster_utils import Cluster

        here: dict[str, Any] = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, **here},
        )
        try:
            two = [cluster.add_node(num_cpus=1, **here) for _ in range(2)]
            cluster.wait_for_nodes(120)
            yield cluster, two
        finally:
            with contextlib.suppress(Exception):
                stop: Any = cluster.shutdown
                stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.cluster
def test_a_lost_nodes_cell_goes_on_elsewhere(
    nodes: Any, start: Start, slow: Path, hold: Path, tmp_path: Path
) -> None:
    cluster, (_, doomed) = nodes
    profile = tmp_path / "ray.toml"
    profile.write_text("cpus = 1\n")
    asked = ("--methods", "slow", "--plugin", slow, "--seeds", "0-2", "--iterations", 60)
    out = tmp_path / "ray"
    run = start(out, *asked, "--executor", f"ray:{profile}", "--address", cluster.address)
    wait_for(lambda: len(list(out.glob("*/*/*/*/scores.jsonl"))) == 2, WAIT)
    cluster.remove_node(doomed, allow_graceful=False)
    hold.unlink()
    said = run.finish()
    assert "its node or process was lost" in said and "retry 1 of 2" in said
    start(tmp_path / "local", *asked, "--jobs", cores()).finish()
    here, there = cells(tmp_path / "local"), cells(out)
    assert here.keys() == there.keys() and len(here) == 3
    for name in here:
        assert content(there[name]) == content(here[name])
