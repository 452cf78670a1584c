"""``fsgan-bench convert`` of a cell: the adapted generator as other code's file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main
from fsgan_bench.driver.adaptation import Adaptation
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.errors import UserError
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config
from fsgan_bench.results.folders import read_cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.snapshots.export import exported_snapshot
from fsgan_bench.snapshots.restore import stored_sampler
from fsgan_bench.stylegan2.checkpoint import load_source


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


@pytest.fixture(scope="module")
def cells(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, CellFiles]:
    found = {}
    out = tmp_path_factory.mktemp("cells")
    for name in ("tgan", "minegan"):
        request = RunRequest(
            name, ("ink",), str(suite), out=out, iterations=2, allow_weak_classifier=True
        )
        [(task, cell)] = make_plan(request).cells
        method = method_entries()[name].load()
        made = method(build_config(method, cell.config))
        Adaptation(cell, task, made, report=lambda _: None).run()
        found[name] = CellFiles(cell.folder(task.folder))
    return found


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_plain_generator(
    cells: dict[str, CellFiles], suite: Path, tmp_path: Path, suffix: str
) -> None:
    files, out = cells["tgan"], tmp_path / f"out{suffix}"
    result = convert(files.folder, out)
    assert result.exit_code == 0, result.output
    assert "the generator after 2 iterations" in result.output
    loaded = load_source(out)
    assert loaded.discriminator is None
    request = RunRequest("tgan", ("ink",), str(suite), out=tmp_path, iterations=2)
    [(task, _)] = make_plan(request).cells
    method, modules, _ = stored_sampler(task, read_cell(files).cell, files.snapshot(2))
    z = task.probe.latents[:4]
    with torch.inference_mode():
        assert torch.equal(loaded.generator(z).image, method.sample(modules, z))
    if suffix == ".pt":
        assert {"g", "g_ema"} == set(torch.load(out, weights_only=True))
    else:
        assert loaded.card["method"] == "tgan" and loaded.card["iteration"] == 2


def test_of_a_snapshot_and_of_an_iteration(cells: dict[str, CellFiles], tmp_path: Path) -> None:
    files = cells["tgan"]
    assert convert(files.snapshot(0), tmp_path / "a.pt").exit_code == 0
    assert convert(files.folder, tmp_path / "b.pt", "--iteration", 0).exit_code == 0
    ours, theirs = (load_source(tmp_path / n).generator.state_dict() for n in ("a.pt", "b.pt"))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    refused = convert(files.folder, tmp_path / "c.pt", "--iteration", 5)
    assert refused.exit_code == 2 and "no snapshot of iteration 5; it has 0, 1, 2" in refused.output


def test_what_is_no_plain_generator_is_refused(cells: dict[str, CellFiles], tmp_path: Path) -> None:
    refused = convert(cells["minegan"].folder, tmp_path / "out.pt")
    assert refused.exit_code == 2
    assert "MineGAN does not sample with a plain generator" in refused.output
    assert not (tmp_path / "out.pt").exists()


def test_the_last_snapshot_is_that_of_the_highest_iteration(
    cells: dict[str, CellFiles], tmp_path: Path
) -> None:
    """Not that whose name comes last: from a million on, names have more digits."""
    files = CellFiles(tmp_path / "tgan" / cells["tgan"].folder.name)
    shutil.copytree(cells["tgan"].folder, files.folder)
    for at in (900_000, 1_000_000):
        shutil.copy(files.snapshot(0), files.snapshot(at))
    assert exported_snapshot(files, None) == files.snapshot(1_000_000)
    with pytest.raises(UserError, match="it has 0, 1, 2, 900000, 1000000"):
        exported_snapshot(files, 5)
