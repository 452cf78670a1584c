"""Several values of a setting: a line a value, a row a value, and a figure of the final scores."""

from __future__ import annotations

from typing import Any

from fsgan_bench.figures.sensitivity import figure, studies
from fsgan_bench.results.reader import load
from fsgan_bench.tables.scores import tables


def swept(method: str, iteration: int, seed: int) -> dict[str, float]:
    return {"realisticness": 0.1 * (seed + 1), "intra_lpips": 1.0, "fd_lite0": 3.0 + iteration}


def test_values_stand_in_their_order_with_a_row_and_a_point_each(writer: Any) -> None:
    writer.task()
    for strength in (1e10, 1e2, 1e6):
        for seed in (0, 1):
            config = {"strength": strength, "reduction": "sum"}
            writer.cell("ewc", seed, snapshots=[0, 5], config=config, scores=swept)
    writer.cell("tgan", snapshots=[0, 5], scores=swept)
    [results] = load(writer.folder)
    [table] = tables(results)
    labels = ["EWC (strength=100)", "EWC (strength=1e+06)", "EWC (strength=1e+10)"]
    assert [row.label for row in table.rows if row.seeds] == ["TGAN", *labels]
    found = studies(results)
    assert list(found) == ["ewc"]
    study = found["ewc"]
    assert (study.setting, study.values) == ("strength", (1e2, 1e6, 1e10))
    axes = figure(results, study).axes[0]
    assert axes.get_xscale() == "log"
    [container] = axes.containers
    assert container[0].get_xdata().tolist() == [1e2, 1e6, 1e10]
    assert container[0].get_ydata().tolist() == [0.15000000000000002] * 3


def test_of_a_product_the_longer_setting_is_on_the_axis(writer: Any) -> None:
    writer.task()
    for updates in ("generator", "discriminator", "both"):
        for tau in (0.1, 1.0):
            config = {"discriminator_cl_updates": updates, "tau": tau}
            writer.cell("dcl", snapshots=[0, 5], config=config)
    [results] = load(writer.folder)
    study = studies(results)["dcl"]
    labels = results.cells["label"].tolist()
    assert labels[0] == "DCL (discriminator_cl_updates=both, tau=0.1)"
    assert study.setting == "discriminator_cl_updates"
    assert study.values == ("both", "discriminator", "generator")
    assert {name: len(line) for name, line in study.lines.items()} == {"tau=0.1": 3, "tau=1": 3}
    shown = [text.get_text() for text in figure(results, study).axes[0].get_xticklabels()]
    assert shown == ["both", "discriminator", "generator"]


def test_variants_that_differ_in_more_than_settings_are_no_study(writer: Any) -> None:
    writer.task()
    writer.cell("cdc", snapshots=[0, 5])
    writer.cell("cdc", snapshots=[0, 5, 9])
    writer.cell("ewc", snapshots=[0, 5], config={"strength": 1e6})
    writer.cell("ewc", snapshots=[0, 5, 9], config={"strength": 1e7})
    [results] = load(writer.folder)
    assert studies(results) == {}
    writer.cell("ewc", snapshots=[0, 5, 9], config={"strength": 1e8})
    [results] = load(writer.folder)
    assert studies(results)["ewc"].values == (1e7, 1e8)
