"""The paper's figures and tables for a suite: which cells they need, and what is drawn of which.

Zhao et al. 2022: the trajectories are Fig. 2, the ablations Fig. 6. Cells lie where
``fsgan-bench run`` puts them and are shared with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from fsgan_bench.analysis import verdict as report
from fsgan_bench.driver.plan import Plan, make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import Task, TaskRequest, load_task
from fsgan_bench.errors import UserError
from fsgan_bench.figures.drawing import KINDS, draw
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.reproduction import drawings
from fsgan_bench.results.cell import Cell
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.results.looks import method_order
from fsgan_bench.results.reader import load
from fsgan_bench.snapshots.classifier_ablation import ABLATION, score_again
from fsgan_bench.suites.file import get_suite
from fsgan_bench.suites.model import Suite
from fsgan_bench.system.machine import cores
from fsgan_bench.system.names import shots_in_words
from fsgan_bench.training.method import Method

T = TypeVar("T")

COMPARED = ("trajectories", "grids", "tables")
"""Parts that are drawn from all methods' cells."""

CLASSIFIERS = "classifier-ablation"
DATA_SIZE = "data-size"

SHOTS = (1, 5, 10, 50, 100)
"""Of the part data-size."""


@dataclass(frozen=True)
class Scope:
    """How much of everything a budget pays for.

    Attributes:
        targets: the first so many of the suite; None: all.
        seeds: of every method.
        ablation_seeds: the first so many of them, in the three ablations.
        sized: places of the methods whose data size is varied, in the order of ours: the first is
            plain fine-tuning, the last is the paper's; None: all.
    """

    targets: int | None
    seeds: int
    ablation_seeds: int
    sized: tuple[int, ...] | None


SCOPES: dict[str, Scope] = {
    "quick": Scope(targets=1, seeds=3, ablation_seeds=1, sized=(-1,)),
    "standard": Scope(targets=3, seeds=3, ablation_seeds=3, sized=(0, -1)),
    "full": Scope(targets=None, seeds=5, ablation_seeds=5, sized=None),
}
"""By the budget's name; cells train as the suite's budget of that name says, or its longest."""


@dataclass(frozen=True)
class ReproduceRequest:
    """What is asked for.

    Attributes:
        parts: which of :func:`known_parts`.
        budget: a name of ``SCOPES``.
        targets, seeds: in place of the scope's; ablations take the first target only.
        run: everything else, as for ``fsgan-bench run``.
    """

    parts: tuple[str, ...]
    budget: str
    targets: tuple[str, ...] | None
    seeds: tuple[int, ...] | None
    run: RunRequest


@dataclass
class Reproduction:
    """The plan of all cells together, and the folders of those that each drawing takes.

    Attributes:
        plan: every cell once.
        task: the first target with the suite's number of shots, where the ablations are drawn.
        compared: cells of all methods, by the folder of their task.
        ablated: cells of the ablation of a method, by its name.
        sized: cells of the part data-size.
        scored_again: cells whose snapshots the part classifier-ablation scores again.
        notes: what is left out, and why.
    """

    plan: Plan
    task: Task
    compared: dict[Path, list[Path]] = field(default_factory=dict)
    ablated: dict[str, list[Path]] = field(default_factory=dict)
    sized: list[Path] = field(default_factory=list)
    scored_again: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def known_parts() -> tuple[str, ...]:
    """What can be asked for; a method that says what its ablation is has a part for it."""
    ablations = (_ablation(method) for method in _ours() if method.ablation)
    return (*COMPARED, CLASSIFIERS, *ablations, DATA_SIZE)


def plan_reproduction(request: ReproduceRequest) -> Reproduction:
    """Find out which cells are needed, and which of them are there.

    Raises:
        UserError: anything in the request that cannot be carried out.
    """
    suite = get_suite(request.run.suite, request.run.data)
    scope = SCOPES[request.budget]
    targets = request.targets or tuple(suite.targets)[: scope.targets]
    seeds = request.seeds or tuple(range(scope.seeds))
    budget = _budget(suite, request.budget, targets[0])
    whole = replace(request.run, targets=targets, seeds=seeds, budget=budget)
    few = replace(whole, targets=targets[:1], seeds=seeds[: scope.ablation_seeds])
    plans = _Plans()
    compared: dict[Path, list[Path]] = {}
    notes: list[str] = []
    ablated: dict[str, list[Path]] = {}
    sized: list[Path] = []
    if not set(COMPARED).isdisjoint(request.parts):
        for task, cell in plans.add(whole):
            compared.setdefault(task.folder, []).append(cell.folder(task.folder))
    scored_again = plans.folders(few) if CLASSIFIERS in request.parts else []
    for method in _ours():
        if _ablation(method) in request.parts:
            ablated[method.name] = [
                folder
                for values in ({}, *method.ablation)
                for folder in plans.folders(
                    replace(few, methods=method.name, settings=_settings(method, values))
                )
            ]
    if DATA_SIZE in request.parts:
        ours = [method.name for method in _ours()]
        methods = "all" if scope.sized is None else ",".join(ours[at] for at in scope.sized)
        for shots in SHOTS:
            try:
                sized += plans.folders(replace(few, methods=methods, shots=shots))
            except UserError as error:
                notes.append(f"data-size: {shots_in_words(shots)} left out: {error}")
    task = load_task(whole.task(targets[0], suite.default_shots))
    return Reproduction(plans.merged(whole), task, compared, ablated, sized, scored_again, notes)


def draw_reproduction(
    request: ReproduceRequest, found: Reproduction, say: Callable[[str], None]
) -> list[Path]:
    """Draw every part that has finished cells, into ``figures`` of its task; the files written.

    The classifier ablation scores its snapshots first, as far as that is not done; ``say`` receives
    a sentence for whatever is left out. The verdict on the paper's observations goes with the
    tables, data sizes into the folder that their tasks have in common.
    """
    written: list[Path] = []
    folder = found.task.folder / "figures"
    kinds = [kind for kind in KINDS if kind in request.parts]
    for task_folder, cells in found.compared.items():
        if finished := _finished(cells):
            written += draw(finished, task_folder / "figures", kinds)
    everything = _finished(cell for cells in found.compared.values() for cell in cells)
    if "tables" in kinds and everything:
        with _without(say):
            written += report.write_verdict(report.verdict(load(everything)))
    for method, cells in found.ablated.items():
        if finished := _finished(cells):
            written += draw(finished, folder / f"{method}_ablation")
    if sized := _finished(found.sized):
        written += drawings.draw_sizes(sized, folder)
    if again := _finished(found.scored_again):
        at_once = int(min(found.plan.executor.slots, cores()))
        with _without(say):
            score_again(
                found.task,
                again,
                plugins=request.run.plugins,
                jobs=at_once,
                threads=max(1, cores() // at_once),
                say=say,
            )
            titles = {each.key: each.title for each in ABLATION}
            written += drawings.draw_classifiers(again, titles)
    return written


@contextmanager
def _without(say: Callable[[str], None]) -> Iterator[None]:
    """Go on without a part that the task cannot have, as one without realisticness no verdict."""
    try:
        yield
    except UserError as error:
        say(f"Left out: {error}")


@functools.cache
def _ours() -> tuple[type[Method], ...]:
    """The methods that come with fsgan-bench, in their order."""
    methods = [entry.load() for entry in method_entries().values() if not entry.third_party]
    return tuple(sorted(methods, key=lambda method: method_order(method.name, method.look)))


def _ablation(method: type[Method]) -> str:
    """The part that compares a method with what it is without some of it."""
    return f"{method.name}-ablation"


def _settings(method: type[Method], values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{method.name}.{key}={value}" for key, value in values.items())


def _finished(cells: Iterable[Path]) -> list[Path]:
    return [cell for cell in cells if CellFiles(cell).done.exists()]


def _budget(suite: Suite, name: str, target: str) -> str:
    budgets = {**suite.budgets, **suite.target(target).budgets}
    return name if name in budgets else max(budgets, key=lambda each: budgets[each].iterations)


class _Plans:
    """Plans put together, each cell and each task once."""

    def __init__(self) -> None:
        self.parts: list[Plan] = []
        self.tasks: dict[TaskRequest, Task] = {}
        self.cells: dict[Path, tuple[Task, Cell]] = {}

    def add(self, request: RunRequest) -> list[tuple[Task, Cell]]:
        """The cells of a request."""
        plan = make_plan(request)
        self.parts.append(plan)
        found = [(self.tasks.setdefault(task.request, task), cell) for task, cell in plan.cells]
        for task, cell in found:
            self.cells.setdefault(cell.folder(task.folder), (task, cell))
        return found

    def folders(self, request: RunRequest) -> list[Path]:
        """Those of the cells of a request."""
        return [cell.folder(task.folder) for task, cell in self.add(request)]

    def merged(self, request: RunRequest) -> Plan:
        return Plan(
            request,
            list(self.tasks.values()),
            list(self.cells.values()),
            _union(plan.methods for plan in self.parts),
            _union(plan.broken for plan in self.parts),
            _union(plan.starts for plan in self.parts),
            _union(plan.remarks for plan in self.parts),
            tuple(dict.fromkeys(setting for plan in self.parts for setting in plan.unused)),
            {digest for plan in self.parts for digest in plan.cached},
        )


def _union(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {key: value for part in parts for key, value in part.items()}
