"""``fsgan-bench evaluate``: images and checkpoints of other code, or real images alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from fsgan_bench.cli.console import make_console, preparing
from fsgan_bench.cli.options import DATA, DEVICE, PATH
from fsgan_bench.errors import UserError, check_folder
from fsgan_bench.system.bounds import MAX_ITERATIONS, MAX_SHOTS

if TYPE_CHECKING:
    from fsgan_bench.driver.task import Task
    from fsgan_bench.snapshots.checkpoint_files import Import


@cloup.command()
@click.argument("more", nargs=-1, type=PATH, metavar="[FILE...]")
@cloup.option_group(
    "What to score",
    click.option("--images", type=PATH, help="Generated images: a folder, a zip or an LMDB."),
    click.option(
        "--generator",
        "generators",
        multiple=True,
        type=PATH,
        help="Adapted checkpoint (.pt, .pkl, .safetensors), or a folder of them; more may follow.",
    ),
    click.option("--name", "title", help="What figures and tables call it.  [default: the file's]"),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of its training."
    ),
    click.option(
        "--iteration", type=click.IntRange(0, MAX_ITERATIONS), help="Of its training, for --images."
    ),
)
@cloup.option_group(
    "Against what",
    click.option("--target", help="Target domain.  [default: the suite's, if it has one]"),
    click.option("--suite", default="avatars", show_default=True, help="Suite, or its TOML file."),
    DATA,
    click.option(
        "--shots",
        type=click.IntRange(1, MAX_SHOTS),
        help="Few-shot images.  [default: the suite's]",
    ),
    click.option(
        "--allow-weak-classifier",
        is_flag=True,
        help="Score although the classifier fails its checks.",
    ),
)
@cloup.option_group(
    "Results and computing",
    click.option(
        "--out", type=PATH, default=Path("results"), show_default=True, help="Root of all results."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON."),
    DEVICE,
)
def evaluate(
    more: tuple[Path, ...],
    target: str | None,
    images: Path | None,
    generators: tuple[Path, ...],
    title: str | None,
    seed: int,
    iteration: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Score what was not trained here by the suite's metrics, beside its reference lines.

    --images takes a set of generated images, from whatever model; metrics that hold each image
    against the source's for the same latent are left out. --generator takes checkpoints of other
    code, scored on the probe batch; several of one name but for the number at its end (000500.pt)
    are a trajectory. Both become cells, which figures, tables, the verdict, score and verify take
    as our own, marked as trained elsewhere; nothing trains them again.

    With neither, says what a perfect generator would score on the target's real images.

    \b
    Example: fsgan-bench evaluate --target sketches --images mine/ --name "My GAN"
    """
    from fsgan_bench.system.machine import check_device

    check_device(options["device"])
    check_folder("--out", options["out"])
    generators += more
    if more and not generators[: len(generators) - len(more)]:
        raise UserError(f"{more[0]}: name checkpoints by --generator, images by --images.")
    if images is not None and generators:
        raise UserError("--images and --generator are two imports; make one at a time.")
    if iteration is not None and images is None:
        raise UserError("--iteration is of --images; a checkpoint has it in its name: 000500.pt.")
    if images is None and not generators and title is not None:
        raise UserError("--name names what --images or --generator bring.")
    wanted = _wanted(images, iteration or 0, generators, title, seed)
    task = _task(target, options)
    if wanted and not task.suite.source.candidates:
        raise UserError(
            f"The suite '{task.suite.name}' names no source model; what is imported is held "
            "against what that draws, so the suite needs a 'source'."
        )
    task.check_resolution()
    if wanted:
        _import(task, wanted, as_json)
    else:
        _show_perfect(task, as_json)


def _wanted(
    images: Path | None, iteration: int, generators: Sequence[Path], title: str | None, seed: int
) -> list[Import]:
    from fsgan_bench.snapshots.checkpoint_files import Import, find_checkpoints

    if images is None:
        return find_checkpoints(generators, title, seed)
    return [Import(title or images.resolve().stem, {iteration: images}, images=True, seed=seed)]


def _task(target: str | None, options: dict[str, Any]) -> Task:
    from fsgan_bench.driver.task import TaskRequest, load_task
    from fsgan_bench.features.weights import require_weights
    from fsgan_bench.suites.file import get_suite

    suite = get_suite(options["suite"], options["data"])
    if target is None:
        if len(suite.targets) > 1:
            raise UserError(
                f"The suite '{suite.name}' has several targets; name one by --target: "
                f"{', '.join(suite.targets)}."
            )
        target = next(iter(suite.targets))
    shots = options["shots"]
    request = TaskRequest(
        suite=options["suite"],
        target=suite.target(target).name,
        shots=suite.default_shots if shots is None else shots,
        root=options["out"].resolve(),
        data=options["data"],
        device=options["device"],
        allow_weak_classifier=options["allow_weak_classifier"],
    )
    task = load_task(request)
    require_weights(suite.backbones)
    return task


def _import(task: Task, wanted: Sequence[Import], as_json: bool) -> None:
    from fsgan_bench.driver.preparation import prepare
    from fsgan_bench.figures.drawing import draw
    from fsgan_bench.results.reader import load
    from fsgan_bench.snapshots.imports import import_cell, read_import
    from fsgan_bench.system.files import check_writable
    from fsgan_bench.system.locks import owned
    from fsgan_bench.tables import rendering
    from fsgan_bench.tables.scores import tables

    def say(line: str) -> None:
        click.echo(line, err=True)

    read = [read_import(task, each, say) for each in wanted]
    check_writable(task.request.root)
    console = make_console()
    with preparing(console, task.target.name), owned(task.folder, patience=-1):
        prepare(task)
    for note in task.notes:
        say(f"{task.target.name}: {note}")
    imported = [import_cell(task, each, say) for each in read]
    draw([task.folder])
    if as_json:
        scores = [
            {"name": each.title, "cell": str(one.files.folder), **score}
            for each, one in zip(wanted, imported, strict=True)
            for score in one.scores
        ]
        click.echo(json.dumps(scores, indent=2))
        return
    for results in load([task.folder]):
        rendering.print_tables(tables(results), console)
    for one in imported:
        click.echo(one.files.folder)
    click.echo(f"Figures and tables: {task.folder / 'figures'}")


def _show_perfect(task: Task, as_json: bool) -> None:
    from rich.table import Table

    from fsgan_bench.analysis.perfect import perfect_scores, rows

    scores = perfect_scores(task)
    if as_json:
        click.echo(json.dumps([score.to_json() for score in scores], indent=2))
        return
    console = make_console()
    table = Table(box=None, pad_edge=False)
    shown = rows(scores)
    for heading in shown[0]:
        table.add_column(heading, justify="left" if heading in ("metric", "±, from") else "right")
    for row in shown:
        table.add_row(*row.values())
    console.print(f"What a perfect generator would score on '{task.target.name}':")
    console.print(table, highlight=False)
