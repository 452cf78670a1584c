"""The paper's figures and tables for a suite: which cells they need, and what is drawn of which.

Zhao et al. 2022: the trajectories are Fig. 2, the ablations Fig. 6. Cells lie where
``fsgan-bench run`` puts them and are shared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from fsgan_bench.errors import UserError
from fsgan_bench.plan import Cell
from fsgan_bench.runner import Plan, RunRequest, make_plan
from fsgan_bench.suite import Suite, get_suite
from fsgan_bench.task import Task, TaskRequest

Part: TypeAlias = Literal[
    "trajectories", "grids", "tables", "classifier-ablation", "dcl-ablation", "data-size"
]

PARTS: tuple[Part, ...] = get_args(Part)

COMPARED: tuple[Part, ...] = ("trajectories", "grids", "tables")
"""Parts that are drawn from all methods' cells."""

SHOTS = (1, 5, 10, 50, 100)
"""Of the part data-size."""

CONTRASTIVE: tuple[tuple[str, ...], ...] = ((), ("dcl.lambda2=0",), ("dcl.lambda1=0",))
"""Settings of the part dcl-ablation: both losses, the generator's alone, the discriminator's."""


@dataclass(frozen=True)
class Scope:
    """How much of everything a budget pays for.

    Attributes:
        targets: the first so many of the suite; None: all.
        seeds: of every method.
        ablation_seeds: the first so many of them, in the three ablations.
        sized: methods whose data size is varied.
    """

    targets: int | None
    seeds: int
    ablation_seeds: int
    sized: str


SCOPES: dict[str, Scope] = {
    "quick": Scope(targets=1, seeds=3, ablation_seeds=1, sized="dcl"),
    "standard": Scope(targets=3, seeds=3, ablation_seeds=3, sized="tgan,dcl"),
    "full": Scope(targets=None, seeds=5, ablation_seeds=5, sized="all"),
}
"""By the name of the budget; cells train as the suite's budget of that name says, or its longest."""


@dataclass(frozen=True)
class ReproduceRequest:
    """What is asked for.

    Attributes:
        parts: which of ``PARTS``.
        budget: a name of ``SCOPES``.
        targets, seeds: in place of the scope's; ablations take the first target only.
        run: everything else, as for ``fsgan-bench run``.
    """

    parts: tuple[Part, ...]
    budget: str
    targets: tuple[str, ...] | None
    seeds: tuple[int, ...] | None
    run: RunRequest


@dataclass
class Reproduction:
    """The plan of all cells together, and the folders of those that each drawing takes.

    Attributes:
        plan: every cell once.
        compared: cells of all methods, by task.
        contrastive, sized: cells of the part dcl-ablation, and of data-size by number of shots.
        rejudged: task and cells whose snapshots the part classifier-ablation scores again.
        notes: what is left out, and why.
    """

    plan: Plan
    compared: dict[Path, list[Path]] = field(default_factory=dict)
    contrastive: list[Path] = field(default_factory=list)
    sized: dict[int, list[Path]] = field(default_factory=dict)
    rejudged: tuple[Task, list[Cell]] | None = None
    notes: list[str] = field(default_factory=list)


def plan_reproduction(request: ReproduceRequest) -> Reproduction:
    """Find out which cells are needed, and which of them are there.

    Raises:
        UserError: anything in the request that cannot be carried out.
    """
    suite = get_suite(request.run.suite, request.run.data)
    scope = SCOPES[request.budget]
    targets = request.targets or tuple(suite.targets)[: scope.targets]
    seeds = request.seeds or tuple(range(scope.seeds))
    whole = replace(
        request.run, targets=targets, seeds=seeds, budget=_budget(suite, request.budget, targets[0])
    )
    few = replace(whole, targets=targets[:1], seeds=seeds[: scope.ablation_seeds])
    wanted = set(request.parts)
    plans = _Plans()
    found = Reproduction(Plan(whole, [], {}))
    if wanted & {*COMPARED, "classifier-ablation"}:
        alone = not wanted & set(COMPARED)
        for task, cell in plans.add(few if alone else whole):
            folder = cell.folder(task.folder)
            if not alone:
                found.compared.setdefault(task.folder, []).append(folder)
            if "classifier-ablation" in wanted and cell.target == targets[0]:
                if cell.seed in few.seeds:
                    found.rejudged = found.rejudged or (task, [])
                    found.rejudged[1].append(cell)
    if "dcl-ablation" in wanted:
        for settings in CONTRASTIVE:
            cells = plans.add(replace(few, methods="dcl", settings=settings))
            found.contrastive += [cell.folder(task.folder) for task, cell in cells]
    if "data-size" in wanted:
        for shots in SHOTS:
            try:
                cells = plans.add(replace(few, methods=scope.sized, settings=(), shots=shots))
            except UserError as error:
                found.notes.append(f"data-size: {shots} shots are left out: {error}")
                continue
            found.sized[shots] = [cell.folder(task.folder) for task, cell in cells]
    found.plan = plans.merged(whole)
    return found


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
        found = []
        for task, cell in plan.cells:
            task = self.tasks.setdefault(task.request, task)
            found.append((task, cell))
            self.cells.setdefault(cell.folder(task.folder), (task, cell))
        return found

    def merged(self, request: RunRequest) -> Plan:
        return Plan(
            request,
            list(self.cells.values()),
            _union(plan.methods for plan in self.parts),
            _union(plan.broken for plan in self.parts),
            {digest for plan in self.parts for digest in plan.cached},
        )


def _union(parts: Iterable[Mapping]) -> dict:
    return {key: value for part in parts for key, value in part.items()}
