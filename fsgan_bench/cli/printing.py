"""What run and reproduce print: the plan and the results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from fsgan_bench.driver.plan import Plan
from fsgan_bench.driver.run import configured_titles
from fsgan_bench.driver.task import Task
from fsgan_bench.errors import what_happened
from fsgan_bench.results.layout import CellFiles, TaskFiles
from fsgan_bench.system.locks import owner_of
from fsgan_bench.system.names import shots_in_words


def estimate(plan: Plan) -> str:
    """How long a plan with cells to run will take, in words; methods may be timed for that."""
    return f"{_how_long(plan)}{_once(plan)}" if plan.to_run else ""


def show_plan(plan: Plan, time_left: str, console: Console) -> None:
    """Print how many cells there are, how many are done, and ``time_left``, the estimate."""
    to_run = plan.to_run
    count = len(plan.cells)
    if not plan.methods:
        targets = ", ".join(task.target.name for task in plan.tasks)
        console.print(f"No methods: the source is scored for {targets}.", highlight=False)
        return
    if not to_run:
        console.print(f"{count} cell(s), all done already; nothing to run.")
        return
    lengths = sorted({cell.iterations for _, cell in to_run})
    looks = sorted({len(cell.snapshots) for _, cell in to_run})
    at_once = (
        "as many at a time as there is room for" if plan.queued else f"{plan.workers} at a time"
    )
    console.print(
        f"{count} cell(s): {count - len(to_run)} done already, {len(to_run)} to run, {at_once} "
        f"with {plan.threads} thread(s) each.",
        soft_wrap=True,
    )
    console.print(
        f"{_either(lengths)} iterations, {_either(looks)} snapshots of "
        f"{plan.tasks[0].suite.probe_size} images; {time_left}.",
        soft_wrap=True,
    )
    if plan.unused:
        console.print(
            f"Not installed, so without effect in the suite: {', '.join(plan.unused)}.",
            soft_wrap=True,
            markup=False,
        )
    for line in plan.describe():
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _show_micro_batches(plan, console)
    _show_disk(plan, console)
    try:
        _show_memory(plan, console)
    except Exception as error:  # a rehearsal runs the method, and may end in anything
        console.print(f"Memory: no estimate ({what_happened(error)}).", soft_wrap=True)
    titles = configured_titles(plan.cells)
    for task, cell in to_run:
        owner = owner_of(cell.folder(task.folder))
        elsewhere = f" (running elsewhere: {owner})" if owner else ""
        remark = plan.remarks.get(cell.hash, "")
        by = f" [third party: {cell.method_origin}]" if cell.method_origin else ""
        console.print(
            f"  {titles[cell.hash]}{by}: {cell.target}, {shots_in_words(cell.shots)}, "
            f"seed {cell.seed} -> {relative(cell.folder(task.folder))}{elsewhere}"
            + (f" ({remark})" if remark else ""),
            highlight=False,
            soft_wrap=True,
        )


def _how_long(plan: Plan) -> str:
    """What is expected from recorded paces: time on this machine, or hours of what a job takes."""
    from fsgan_bench.driver.pace import NoEstimate, expected, until_done

    device = plan.request.device
    try:
        found = [
            expected(cell, task, plan.methods[cell.method], device, plan.threads)
            for task, cell in plan.to_run
        ]
    except NoEstimate as error:
        return f"no estimate of the time, as an iteration ended in {error}"
    seconds = [
        pace.seconds(cell, plan.starts.get(cell.hash, 0))
        for (pace, _), (_, cell) in zip(found, plan.to_run, strict=True)
        if pace
    ]
    if len(seconds) < len(found):
        unknown = len(found) - len(seconds)
        return f"how long is unknown: no pace on {device} is recorded yet for {unknown} cell(s)"
    seen = all(known for _, known in found)
    how = "from earlier runs" if seen else "from an iteration of each method"
    if plan.queued:
        unit = "CPU" if device == "cpu" else "GPU"
        hours = sum(seconds) / 3600 * (plan.threads if unit == "CPU" else 1)
        return f"about {hours:,.1f} {unit} hours ({how})"
    left = timedelta(seconds=round(until_done(seconds, plan.workers)))
    return f"about {left} ({how})"


def _once(plan: Plan) -> str:
    """That tasks are prepared first, if any is new in its root."""
    new = [t for t in plan.to_prepare if not TaskFiles(t.folder).references.exists()]
    targets = ", ".join(dict.fromkeys(task.target.name for task in new))
    return f", and once some minutes to prepare {targets}" if new else ""


def _show_disk(plan: Plan, console: Console) -> None:
    from rich.filesize import decimal

    from fsgan_bench.data.cache import cache_dir
    from fsgan_bench.driver.disk import cached_bytes, free_bytes, stored_bytes, working_bytes

    keep = plan.request.keep_snapshots
    stays = sum(stored_bytes(cell, task, keep) for task, cell in plan.to_run)
    besides = plan.workers * max(working_bytes(task) for task in plan.tasks)
    free = free_bytes(plan.request.out.resolve())
    scarce = "; the disk may run full" if free < stays + besides else ""
    console.print(
        f"Disk: about {decimal(stays)} to stay (--keep-snapshots {keep}), {decimal(besides)} more "
        f"while it runs; {decimal(free)} free{scarce}.",
        highlight=False,
        soft_wrap=True,
    )
    kept = sum({task.target.name: cached_bytes(task) for task in plan.tasks}.values())
    if kept:
        console.print(
            f"Images drawn from files: up to {decimal(kept)}, decoded, in {cache_dir()}; "
            f"{decimal(free_bytes(cache_dir().absolute()))} free there.",
            highlight=False,
            soft_wrap=True,
        )


def _show_micro_batches(plan: Plan, console: Console) -> None:
    from fsgan_bench.stylegan2.ops import stddev_group

    batch, parts = plan.tasks[0].suite.recipe.batch, plan.request.accumulate
    whole, split = stddev_group(batch), stddev_group(batch // parts)
    if whole != split:
        console.print(
            f"Micro-batches of {batch // parts}: the discriminator's minibatch standard deviation "
            f"is over {split} image(s) instead of {whole}, so results are not those of one batch.",
            soft_wrap=True,
        )


def _show_memory(plan: Plan, console: Console) -> None:
    from rich.filesize import decimal

    from fsgan_bench.driver.memory import needs
    from fsgan_bench.system.machine import free_memory

    found = needs(plan.to_run, plan.methods, plan.request.device)
    if plan.queued:
        largest = max(need.peak for need in found)
        console.print(f"Memory: about {decimal(largest)} for the largest cell.", highlight=False)
        given = plan.executor.memory if plan.request.device == "cpu" else None
        if given is not None and given < largest:
            console.print(f"Warning: the profile gives a job {decimal(given)} only.")
        return
    together = sum(sorted((need.peak for need in found), reverse=True)[: plan.workers])
    free = free_memory(plan.request.device)
    training, scoring = (max(getattr(need, n) for need in found) for n in ("training", "scoring"))
    how = "" if all(need.own for need in found) else " (some methods taken for plain fine-tuning)"
    console.print(
        f"Memory: about {decimal(training)} to train a cell{how}, {decimal(scoring)} to score it, "
        f"{decimal(together)} for {plan.workers} at a time"
        + ("." if free is None else f"; {decimal(free)} free."),
        highlight=False,
        soft_wrap=True,
    )
    if free is not None and together > free:
        console.print(
            "Warning: the memory does not suffice; try fewer --jobs, --accumulate or "
            "--precision bf16.",
            soft_wrap=True,
        )


def show_results(plan: Plan, console: Console) -> None:
    """Print the table of each task and draw its figures, if they are older than its scores.

    They are of the plan's cells, which may be compared; how many others there are is said.
    """
    from fsgan_bench.figures.drawing import draw
    from fsgan_bench.results.reader import load
    from fsgan_bench.tables import rendering
    from fsgan_bench.tables.scores import tables

    for task in plan.tasks:
        if not plan.methods:
            _show_references(task, console)
            continue
        folders = [cell.folder(t.folder) for t, cell in plan.cells if t is task]
        begun = [folder for folder in folders if CellFiles(folder).cell.exists()]
        files = TaskFiles(task.folder)
        begun += files.imported()
        if not any(CellFiles(folder).done.exists() for folder in begun):
            continue
        if plan.to_run or not files.figures.exists():
            draw(begun)
        for results in load(begun):
            rendering.print_tables(tables(results), console)
        console.print(f"Figures and tables: {relative(files.figures)}", soft_wrap=True)
        others = [cell for cell in files.cells() if cell not in begun]
        if further := [cell for cell in others if CellFiles(cell).done.exists()]:
            console.print(
                f"{len(further)} further cell(s) of {task.target.name} are not shown; fsgan-bench "
                f"figures {relative(task.folder)} draws all.",
                highlight=False,
                soft_wrap=True,
            )


def _show_references(task: Task, console: Console) -> None:
    """Print the reference lines; they are drawn where no method is that has them in its figures."""
    from fsgan_bench.figures.drawing import draw
    from fsgan_bench.results.reader import load_references
    from fsgan_bench.tables import rendering
    from fsgan_bench.tables.scores import tables

    rendering.print_tables(tables(load_references(task.folder)), console)
    files = TaskFiles(task.folder)
    if not files.cells():
        draw([task.folder])
        console.print(f"Figures and tables: {relative(files.figures)}", soft_wrap=True)


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))


def relative(path: Path) -> Path:
    """``path`` from the working folder, where it is below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
