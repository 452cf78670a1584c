"""``fsgan-bench weights``: which pretrained networks are there, and who needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
import cloup

from fsgan_bench.cli.console import make_console

if TYPE_CHECKING:
    from fsgan_bench.features.weights import Weights, WeightsStatus
    from fsgan_bench.suites.model import Suite


@cloup.command()
@click.option("--suite", help="Only what this suite needs.  [default: every network]")
def weights(suite: str | None) -> None:
    """List the pretrained networks of metrics and classifiers: found, missing, or another file.

    Nothing is downloaded; what is missing is listed with its source and its place.

    \b
    Example: fsgan-bench weights --suite ffhq
    """
    from rich.filesize import decimal
    from rich.table import Table

    from fsgan_bench.features.weights import WEIGHTS, look_for
    from fsgan_bench.suites.file import SUITES, get_suite

    suites = [get_suite(name) for name in ([suite] if suite else SUITES)]
    needs = {each.name: needed_by(each) for each in suites}
    listed = dict.fromkeys(w for need in needs.values() for files in need.values() for w in files)
    if suite is None:
        listed = dict.fromkeys([*WEIGHTS.values(), *listed])
    table = Table(box=None, pad_edge=False)
    for heading in ("network", "state", "file", "size", "needed by"):
        table.add_column(
            heading,
            justify="right" if heading == "size" else "left",
            overflow="fold",
            no_wrap=heading == "state",
        )
    findings = [look_for(each) for each in listed]
    for finding in findings:
        of = finding.weights
        size = "-" if of.size is None else decimal(of.size)
        table.add_row(of.name, _state(finding), _file(finding), size, _users(of, needs))
    console = make_console()
    console.print(table, highlight=False)
    for finding in findings:
        if finding.problem is not None:
            console.print(finding.problem, highlight=False, markup=False, soft_wrap=True)


def needed_by(suite: Suite) -> dict[str, Sequence[Weights]]:
    """The weights that a suite needs, by the metric that needs them."""
    from fsgan_bench.features.names import frechet_name
    from fsgan_bench.features.weights import backbone_weights
    from fsgan_bench.plugins.classifiers import classifier_weights

    return {
        "intra_lpips": backbone_weights([suite.lpips_backbone]),
        **{
            frechet_name(name): backbone_weights([name])
            for name in (suite.frechet_backbone, *suite.frechet_also)
        },
        "realisticness": classifier_weights(suite.classifier),
    }


def _state(finding: WeightsStatus) -> str:
    carried = finding.state == "found" and finding.weights.package
    return f"comes with {finding.weights.package}" if carried else finding.state


def _file(finding: WeightsStatus) -> str:
    if finding.path is None or finding.weights.package:
        return finding.weights.file.rpartition("/")[2]
    return str(finding.path)


def _users(weights: Weights, needs: Mapping[str, Mapping[str, Sequence[Weights]]]) -> str:
    """``SUITE: METRIC, METRIC; ...``, or the backbones that any suite may name."""
    from fsgan_bench.features.weights import BACKBONE_WEIGHTS

    metrics = {
        suite: [metric for metric, files in need.items() if weights in files]
        for suite, need in needs.items()
    }
    named = [f"{suite}: {', '.join(metrics[suite])}" for suite in metrics if metrics[suite]]
    backbones = [name for name, files in BACKBONE_WEIGHTS.items() if weights.name in files]
    return "; ".join(named or [f"backbone {name}" for name in backbones])
