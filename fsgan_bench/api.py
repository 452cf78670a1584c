"""What a notebook or a script calls; ``import fsgan_bench as fb`` has all of it by name.

The functions do what the commands of the same names do, without a console: bad input raises
:class:`fsgan_bench.UserError`, and what comes back are tables of pandas.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pandas as pd

from fsgan_bench.data.images import Images, check_images
from fsgan_bench.data.sources import load_images
from fsgan_bench.driver.placing import Signalled
from fsgan_bench.driver.plan import make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.run import run_plan, start_over
from fsgan_bench.driver.task import Task, TaskRequest, load_task
from fsgan_bench.errors import UserError, check_keys
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.reader import load, long_table
from fsgan_bench.snapshots.imports import score_image_set
from fsgan_bench.suites.file import get_suite
from fsgan_bench.system.files import check_writable
from fsgan_bench.system.machine import check_device
from fsgan_bench.system.names import names_in

if TYPE_CHECKING:
    from fsgan_bench.driver.events import Event

SCORE_COLUMNS = (
    *("metric", "backbone", "version", "value", "stderr", "n"),
    *("title", "direction", "unit"),
)
"""Of :func:`score_images`; as in the long table, see ``fsgan_bench.results.reader``."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run left.

    Attributes:
        scores: the long table of its cells and of their tasks' references, a row a number.
        failures: why cells failed, by what tells them apart.
        folders: of its cells, finished or not.
    """

    scores: pd.DataFrame
    failures: Mapping[str, str]
    folders: tuple[Path, ...]


def run(
    methods: str | Sequence[str],
    targets: str | Sequence[str],
    *,
    suite: str | os.PathLike[str] = "avatars",
    seeds: int | Sequence[int] = (0,),
    settings: str | Sequence[str] = (),
    plugins: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] = "results",
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Run:
    """Adapt, snapshot and score, as ``fsgan-bench run`` does; finished cells are not run again.

    Cells run in processes of their own, so a script calls this under
    ``if __name__ == "__main__":``.

    Args:
        methods: names, or one string of them with commas; ``all`` stands for those that come with
            fsgan-bench.
        targets: of the suite, in the same forms.
        suite: its name, or its TOML file.
        seeds: a cell each.
        settings: one or several ``METHOD.KEY=VALUE`` as of ``--set``.
        plugins: one or several files with methods.
        out: root of all results.
        say: receives a line whenever a cell begins and ends.
        options: any other field of ``fsgan_bench.driver.request.RunRequest``: budget, shots,
            iterations, snapshots, device, jobs and so on.

    Raises:
        UserError: anything that cannot be carried out; nothing has been trained then.
        KeyboardInterrupt: a signal stopped it; every cell's state is saved, and the same call
            continues.
    """
    check_keys("fsgan_bench.run", options, [field.name for field in fields(RunRequest)])
    if options.get("data") is not None:
        options["data"] = Path(options["data"])
    request = RunRequest(
        methods=methods if isinstance(methods, str) else ",".join(methods),
        targets=tuple(names_in(targets if isinstance(targets, str) else ",".join(targets))),
        suite=os.fspath(suite),
        seeds=(seeds,) if isinstance(seeds, int) else tuple(seeds),
        settings=(settings,) if isinstance(settings, str) else tuple(settings),
        plugins=tuple(map(Path, [plugins] if isinstance(plugins, str | os.PathLike) else plugins)),
        out=Path(out),
        **options,
    )
    plan = make_plan(request)
    if plan.request.fresh:
        start_over(plan)
    if plan.to_prepare:
        check_writable(plan.request.out)
    try:
        failures = {**plan.broken} | run_plan(plan, _Teller(say), recorded_call(request))
    except Signalled as signalled:
        raise KeyboardInterrupt(str(signalled)) from None
    folders = tuple(cell.folder(task.folder) for task, cell in plan.cells)
    begun = tuple(folder for folder in folders if CellFiles(folder).cell.exists())
    scores = long_table(load(begun or tuple(task.folder for task in plan.tasks)))
    if not begun:
        scores = scores[scores["kind"] == "reference"]
    return Run(scores, failures, folders)


def recorded_call(request: RunRequest) -> str:
    """The call that asks for the same, with all that is not as it is by default."""
    plain = RunRequest(request.methods, request.targets)
    given = [repr(request.methods), repr(list(request.targets))]
    for field in fields(RunRequest):
        value = getattr(request, field.name)
        if value != getattr(plain, field.name):
            given.append(f"{field.name}={_plain(value)!r}")
    return f"fsgan_bench.run({', '.join(given)})"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(map(_plain, value))
    return os.fspath(value) if isinstance(value, Path) else value


def score_images(
    images: Images | str | os.PathLike[str],
    target: str,
    *,
    suite: str | os.PathLike[str] = "avatars",
    shots: int | None = None,
    data: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    allow_weak_classifier: bool = False,
) -> pd.DataFrame:
    """Score generated images by every metric that needs no latents; ``SCORE_COLUMNS``.

    The first ``probe_size`` of the suite count, and up to ``frechet_samples`` for the Frechet
    distance, as of every method; fewer make distances larger, and ``n`` says how many there were.
    Nothing is stored.

    Args:
        images: uint8 [N, R, R, 3] at the suite's resolution, or a folder, a zip or an LMDB of
            images, taken by name.
        target: what they are to look like.
        suite: its name, or its TOML file.
        shots: few-shot images that intra-LPIPS clusters around; by default the suite's.
        data: folder that the suite's paths start from.
        device: ``cpu`` or ``cuda``.
        allow_weak_classifier: score even with a classifier that fails its checks.

    Raises:
        UserError: there is no such target, or the images are of another size or fewer than two.
    """
    check_device(device)
    folder = None if data is None else Path(data)
    chosen = get_suite(os.fspath(suite), folder)
    task = load_task(
        TaskRequest(
            suite=os.fspath(suite),
            target=target,
            shots=chosen.default_shots if shots is None else shots,
            root=Path(),
            data=folder,
            device=device,
            allow_weak_classifier=allow_weak_classifier,
        )
    )
    scored = score_image_set(task, _checked(images, task))
    rows = [
        {
            **{name: getattr(score, name) for name in SCORE_COLUMNS[:6]},
            "title": score.about.title,
            "direction": score.about.direction,
            "unit": score.about.unit,
        }
        for score in scored.scores
    ]
    numbers: dict[str, Any] = dict.fromkeys(("value", "stderr"), "float64")
    frame: pd.DataFrame = pd.DataFrame(rows, columns=pd.Index(SCORE_COLUMNS))
    typed: pd.DataFrame = frame.astype(numbers)
    return typed


def _checked(images: Images | str | os.PathLike[str], task: Task) -> Images:
    side = task.resolution
    if isinstance(images, (str, os.PathLike)):
        images = load_images(images, side, repeats="keep")
    try:
        check_images(images)
    except (ValueError, AttributeError) as error:
        raise UserError(f"{error}.") from None
    if images.shape[1:3] != (side, side):
        height, width = images.shape[1:3]
        raise UserError(
            f"The images are {width} x {height} pixels large; the suite '{task.suite.name}' scores "
            f"{side} x {side}."
        )
    if len(images) < 2:
        raise UserError(f"There must be at least two images to score, not {len(images)}.")
    return images


class _Teller:
    """Follows a run and says a line whenever a cell begins or ends."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self.say = say

    def __enter__(self) -> _Teller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def begin(self, totals: Mapping[str, int]) -> None:
        if self.say:
            self.say(f"{len(totals)} cell(s) to run")

    def show(self, label: str, event: Event) -> None:
        from fsgan_bench.driver.events import Started

        if self.say and (event.last or isinstance(event, Started)):
            self.say(f"{label}: {type(event).__name__.lower()}")
