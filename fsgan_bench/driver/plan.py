"""From a request to a plan: cells and their tasks, and the engine that carries them out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fsgan_bench.driver.executors.engines import open_executor
from fsgan_bench.driver.executors.interface import Executor
from fsgan_bench.driver.executors.placement import Preparation
from fsgan_bench.driver.extension import continued
from fsgan_bench.driver.placing import Terms, pack_by_task
from fsgan_bench.driver.preparation import check_yardstick
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.driver.task import Task, TaskRequest, load_task
from fsgan_bench.driver.worker import Job
from fsgan_bench.errors import UserError
from fsgan_bench.features.weights import require_weights
from fsgan_bench.plugins.classifiers import classifier_weights
from fsgan_bench.plugins.methods import MethodEntry, find_methods, load_methods, method_names
from fsgan_bench.plugins.settings import build_configs, parse_settings
from fsgan_bench.results.cell import Cell, snapshot_schedule
from fsgan_bench.results.layout import CellFiles
from fsgan_bench.suites.file import get_suite
from fsgan_bench.suites.model import Suite
from fsgan_bench.training.method import Method


@dataclass
class Plan:
    """Cells to run and cells that are done, and the tasks that they belong to.

    Without methods there are tasks alone, of which the source is scored. ``broken`` holds what of
    the request is left out, as somebody else's method is broken, and why. By a cell's hash
    ``starts`` has the iteration that it goes on at, if not 0, and ``remarks`` says that it goes on,
    or why it cannot. ``unused`` are the suite's settings of methods that are not installed.
    """

    request: RunRequest
    tasks: list[Task]
    cells: list[tuple[Task, Cell]]
    methods: Mapping[str, type[Method]]
    broken: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    cached: set[str] = field(default_factory=set)

    @property
    def to_run(self) -> list[tuple[Task, Cell]]:
        return [(task, cell) for task, cell in self.cells if cell.hash not in self.cached]

    @property
    def to_prepare(self) -> list[Task]:
        """Tasks whose reference lines are needed now."""
        return self.tasks if self.to_run or not self.methods else []

    @functools.cached_property
    def executor(self) -> Executor:
        """The engine that carries it out; raises UserError if that cannot be had."""
        request = self.request
        return open_executor(
            request.executor,
            root=request.out.resolve(),
            device=request.device,
            address=request.address,
            jobs=request.jobs,
            pack=request.pack,
        )

    @property
    def queued(self) -> bool:
        """Whether an engine queues the cells for other hosts."""
        return not self.executor.here

    @property
    def workers(self) -> int:
        """Cells at a time, as far as that is known here."""
        return max(1, int(min(self.executor.slots, len(self.to_run))))

    @property
    def threads(self) -> int:
        """Processor threads of a cell."""
        return self.executor.threads

    @property
    def terms(self) -> Terms:
        """How its cells are placed."""
        request = self.request
        return Terms(request.cell_timeout, request.pack, request.retries, request.detach)

    def describe(self) -> list[str]:
        """What would be submitted, a line each; nothing if cells run on this machine."""
        packs = pack_by_task(self.jobs, self.terms).values()
        return self.executor.describe(self.preparations, [each for its in packs for each in its])

    @property
    def jobs(self) -> list[Job]:
        """What is to be carried out, for a process on whatever host."""
        return [
            Job(
                cell,
                cell.folder(task.folder),
                self._elsewhere(task.request),
                tuple(path.resolve() for path in self.request.plugins),
                self.threads,
                self.request.keep_snapshots,
                self.request.fresh,
            )
            for task, cell in self.to_run
        ]

    @property
    def preparations(self) -> list[Preparation]:
        """The tasks to prepare, as jobs of their own where cells run on other hosts."""
        if self.executor.here:
            return []
        return [
            Preparation(self._elsewhere(task.request), task.folder, self.threads)
            for task in self.to_prepare
        ]

    def _elsewhere(self, request: TaskRequest) -> TaskRequest:
        """A task's request for another process, maybe in another folder and with other devices."""
        path = request.suite.endswith(".toml")
        return replace(
            request,
            device=self.request.device,
            suite=str(Path(request.suite).resolve()) if path else request.suite,
            data=None if request.data is None else request.data.resolve(),
        )


def make_plan(request: RunRequest) -> Plan:
    """Resolve names and settings into cells.

    Raises:
        UserError: anything in the request that cannot be carried out.
    """
    request.check()
    suite = get_suite(request.suite, request.data)
    classifier = classifier_weights(suite.classifier)
    entries, broken = find_methods(request.plugins)
    names = method_names(request.methods, entries)
    methods = load_methods(names, entries, broken) if names else {}
    settings = parse_settings(request.settings, names)
    usual = parse_settings((s for s in suite.settings if s.partition(".")[0] in names), names)
    unused = tuple(s for s in suite.settings if s.partition(".")[0] not in entries)
    check_numerics(request, suite, methods.values())
    shots = request.shots if request.shots is not None else suite.default_shots
    tasks, cells = [], []
    starts: dict[str, int] = {}
    remarks: dict[str, str] = {}
    for target in request.targets:
        task = load_task(request.task(suite.target(target).name, shots))
        tasks.append(task)
        if methods:
            task.source.start(from_average=suite.recipe.start_from_average)
        for name, method in methods.items():
            settled = usual.get(name, {}) | settings.get(name, {})
            for config in build_configs(method, settled):
                for seed in request.seeds:
                    cell = _cell(request, suite, task, entries[name], method, config, seed)
                    if not request.fresh:
                        cell, start, remark = continued(cell, task.folder)
                        starts |= {cell.hash: start} if start else {}
                        remarks |= {cell.hash: remark} if remark else {}
                    cells.append((task, cell))
    plan = Plan(request, tasks, cells, methods, broken, starts, remarks, unused)
    if not request.fresh:
        plan.cached = {
            cell.hash for task, cell in cells if CellFiles(cell.folder(task.folder)).done.exists()
        }
    if plan.to_prepare:
        require_weights(suite.backbones, classifier)
    emptied = {cell.folder(task.folder) for task, cell in cells} if request.fresh else set()
    for task in plan.to_prepare:
        task.check_resolution()
        check_yardstick(task, emptied)
    return plan


def check_numerics(request: RunRequest, suite: Suite, methods: Iterable[type[Method]]) -> None:
    """Refuse a precision that the device lacks, and micro-batches where they are not exact.

    Raises:
        UserError: the first thing that cannot be carried out.
    """
    request.numerics.check(suite.recipe.batch, request.device, here=request.here)
    if request.accumulate == 1:
        return
    for method in methods:
        if not method.accumulates:
            raise UserError(
                f"--accumulate: micro-batches may change what '{method.name}' computes, as its "
                "losses are no plain means over the images of a batch; run it without."
            )


def _cell(
    request: RunRequest,
    suite: Suite,
    task: Task,
    entry: MethodEntry,
    method: type[Method],
    config: Any,
    seed: int,
) -> Cell:
    budget = suite.budget(request.budget, task.target.name)
    iterations = budget.iterations if request.iterations is None else request.iterations
    count = budget.snapshots if request.snapshots is None else request.snapshots
    return Cell(
        suite=suite.name,
        target=task.target.name,
        shots=task.request.shots,
        method=entry.name,
        title=method.title,
        paper=method.paper,
        method_version=method.version,
        method_source=entry.source_hash,
        method_origin=entry.credit,
        look=method.look,
        config=asdict(config),
        seed=seed,
        iterations=iterations,
        snapshots=snapshot_schedule(iterations, count),
        recipe=suite.recipe,
        source_hash=task.source.hash,
        few_shot_hash=task.splits.few_shot_hash,
        numerics=request.numerics,
    )
